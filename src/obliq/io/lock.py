"""One run at a time on a folder: a lock that the operating system takes back from a process that died."""

import contextlib
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from obliq.errors import ObliqError

FILE = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if it is not there.

    Raises:
        ObliqError: when another run holds it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / FILE).open("a+b")
    except OSError as error:
        raise ObliqError(f"cannot write {folder}: {error.strerror or error}") from error
    with file:
        if not _take(file):
            file.seek(0)
            holder = file.read(200).decode(errors="replace").strip() or "another process"
            raise ObliqError(
                f"{folder} is in use by {holder}; expected one run at a time, or another --cache"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node() or 'this machine'}".encode())
        file.flush()
        yield


def _take(file: BinaryIO) -> bool:
    """Whether the lock is ours now; it is given back when the file is closed."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(2**20)  # beyond the text, which others shall be able to read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
