"""A lock on a folder, so that only one run at a time writes to it.

The operating system releases the lock when its process ends, however it ends: nobody has to delete a stale file.
The holder is named in a file of its own, because on Windows a locked file cannot be read by others.
"""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from obliq.errors import ObliqError

LOCK, HOLDER = ".lock", ".lock-holder"


@contextlib.contextmanager
def locked(folder: Path, remedy: str = "one run at a time, or another --cache") -> Iterator[None]:
    """Hold the lock of a folder, which is created if it does not exist.

    Args:
        folder: that only one run at a time works in.
        remedy: what errors expect instead of a second run.

    Raises:
        ObliqError: when another run holds it, or the folder cannot be written.
    """
    holder = folder / HOLDER
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder / LOCK).acquire(timeout=0))
            holder.write_text(
                f"process {os.getpid()} on {platform.node() or 'this machine'}", encoding="utf-8"
            )
        except Timeout as error:
            raise ObliqError(f"{folder} is in use by {_holder(holder)}; expected {remedy}") from error
        except OSError as error:
            raise ObliqError(f"cannot write {folder}: {error.strerror or error}") from error
        yield


def _holder(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")[:200].strip() or "another process"
    except OSError:  # between taking the lock and naming the holder
        return "another process"
