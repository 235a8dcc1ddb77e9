"""Files that are read only when they are what they should be: regular, not a link, and not too large."""

import errno
import os
import stat
from pathlib import Path

from obliq.errors import ObliqError


def read_regular_file(file: Path, largest: int) -> bytes:
    """The content of a regular file that is not a link.

    Args:
        file: opened once; what is checked is what is read, whatever replaces it meanwhile.
        largest: size in bytes up to which it is read.

    Raises:
        ObliqError: when it is missing, no regular file, larger than `largest` or unreadable.
    """
    # A link is refused, and opening a FIFO does not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(file, flags | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ObliqError("not a regular file")
            if status.st_size > largest:
                raise ObliqError(f"{status.st_size} bytes; expected at most {largest}")
            with os.fdopen(descriptor, "rb", closefd=False) as opened:
                return opened.read(status.st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        link = " (links are not followed)" if error.errno in (errno.ELOOP, errno.EMLINK) else ""
        raise ObliqError(f"cannot be read{link}: {error.strerror}") from error
