"""Files that are read only when they are what they should be: regular, not a link, and not too large."""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from obliq.errors import ObliqError


@contextlib.contextmanager
def open_regular_file(file: Path, largest: int) -> Iterator[tuple[io.BufferedIOBase, int]]:
    """Open a regular file that is not a link.

    Args:
        file: opened once; what is checked is what is read, whatever replaces it meanwhile.
        largest: size in bytes up to which it is opened.

    Yields:
        The open file, and its size.

    Raises:
        ObliqError: when it is missing, no regular file, larger than `largest` or unreadable.
    """
    # A link is refused, and opening a FIFO does not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(file, flags | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as opened:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ObliqError("not a regular file; expected one")
            if status.st_size > largest:
                raise ObliqError(f"{status.st_size:,} bytes; expected at most {largest:,}")
            yield opened, status.st_size
    except IsADirectoryError as error:
        raise ObliqError("is a folder; expected a regular file") from error
    except OSError as error:
        link = " (links are not followed)" if error.errno in (errno.ELOOP, errno.EMLINK) else ""
        raise ObliqError(
            f"cannot be read{link}: {error.strerror or error}; expected a regular file"
        ) from error


def read_regular_file(file: Path, largest: int) -> bytes:
    """The content of a regular file that is not a link; see `open_regular_file`.

    Raises:
        ObliqError: when it is missing, no regular file, larger than `largest` or unreadable.
    """
    with open_regular_file(file, largest) as (opened, size):
        return opened.read(size)


def read_secret_file(file: Path, largest: int, *, allow_others: bool = False) -> bytes:
    """The content of a regular file that only its owner may read and write, as `ssh` demands of keys.

    Args:
        file: not a link.
        largest: size in bytes up to which it is read.
        allow_others: whether others may read or write it, too.

    Raises:
        ObliqError: when it is no such file, or others may read or write it.
    """
    with open_regular_file(file, largest) as (opened, size):
        mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
        if os.name == "posix" and mode & 0o066 and not allow_others:
            raise ObliqError(
                f"others may read or write it (mode {mode:o}); expected a file for its owner alone (chmod 600)"
            )
        return opened.read(size)


def size_of(*files: Path) -> int:
    """Bytes of several files together, as far as they are there; links are followed."""
    found = 0
    for file in files:
        with contextlib.suppress(OSError):
            found += file.stat().st_size
    return found
