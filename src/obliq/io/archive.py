"""ZIP archives, opened without trusting what they state about themselves.

An archive of a few megabytes may list a hundred thousand entries, let several share bytes, and unpack to any size.
"""

import contextlib
import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator

from obliq.errors import ObliqError
from obliq.io.visible_text import reason_of

LARGEST_DIRECTORY = 2**22
"""Bytes of the list of entries, which is read first; an entry takes 50 or more."""

_DAMAGES = (
    *(EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError),
    *(ValueError, RuntimeError, SyntaxError, TypeError, KeyError, IndexError, OverflowError, MemoryError),
)
"""What damaged archives and arrays raise in the standard library and in NumPy."""


@contextlib.contextmanager
def open_archive(opened: io.BufferedIOBase, what: str, expected: str) -> Iterator[zipfile.ZipFile]:
    """Read the list of entries of an archive; what is damaged in it, and in what the body reads of it, is refused.

    Args:
        opened: the file.
        what: the name of the format, for errors.
        expected: what writes such files.

    Raises:
        ObliqError: for damage of any kind.
    """
    try:
        limited = _OfSmallDirectory(opened)
        with zipfile.ZipFile(limited) as archive:
            limited.largest = 2**63
            yield archive
    except _DAMAGES as error:
        raise ObliqError(f"cannot be read as {what} ({reason_of(error)}); expected {expected}") from error


class _OfSmallDirectory(io.BufferedIOBase):
    """A file of which no more than `largest` bytes can be read at once, as the list of entries is read."""

    def __init__(self, opened: io.BufferedIOBase) -> None:
        self._opened = opened
        self.largest = LARGEST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if (size or 0) > self.largest:  # without a size, no more than the end of the file is read
            raise zipfile.BadZipFile(f"a directory of {size} bytes")
        return self._opened.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if offset < 0 and whence == 0:
            raise zipfile.BadZipFile(f"negative seek value {offset}")
        return self._opened.seek(offset, whence)

    def tell(self) -> int:
        return self._opened.tell()

    def seekable(self) -> bool:
        return True
