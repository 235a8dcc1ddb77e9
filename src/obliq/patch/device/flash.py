"""A model of a device's flash memory: pages are written into erased blocks, and power may be cut at any moment."""

from collections.abc import Callable
from dataclasses import dataclass, field

from obliq.errors import PatchError

ERASED = 0xFF

Watcher = Callable[["Flash", int, bytes], None]
"""Called before each write or erasure with the memory, the address and the bytes that will stand there."""


@dataclass(eq=False, kw_only=True)
class Flash:
    """Bytes that are erased in blocks, and written in pages, once after each erasure.

    Attributes:
        page: bytes of one write, at an address that is a multiple of it.
        block: bytes of one erasure; a multiple of `page`.
        data: the memory's content.
        watch: called before each write or erasure. A test cuts the power by raising in it, after `tear` has done a
            part of the work.
    """

    page: int
    block: int
    data: bytearray = field(repr=False)
    watch: Watcher | None = field(default=None, repr=False)

    @classmethod
    def empty(cls, blocks: int, *, page: int = 64, block: int = 256) -> "Flash":
        """An erased memory.

        Raises:
            PatchError: when blocks do not consist of whole pages.
        """
        if page < 1 or block % page or block < page or blocks < 1:
            raise PatchError(f"{blocks} blocks of {block} bytes in pages of {page}; expected whole pages")
        return cls(page=page, block=block, data=bytearray([ERASED]) * (blocks * block))

    def erase(self, address: int) -> None:
        """Erase the block that begins here."""
        self._require_aligned(address, self.block)
        self._change(address, bytes([ERASED]) * self.block)

    def write(self, address: int, content: bytes) -> None:
        """Write a page that has been erased; a shorter content leaves the rest of it erased.

        Raises:
            PatchError: when the content is longer than a page or the page is not erased.
        """
        self._require_aligned(address, self.page)
        if len(content) > self.page:
            raise PatchError(f"{len(content)} bytes; expected at most the {self.page} of a page")
        if any(byte != ERASED for byte in self.data[address : address + self.page]):
            raise PatchError(f"the page at {address} is not erased; expected `erase` before `write`")
        self._change(address, content)

    def read(self, address: int, length: int) -> bytes:
        """The memory's content."""
        return bytes(self.data[address : address + length])

    def tear(self, address: int, content: bytes, length: int) -> None:
        """Do only the first `length` bytes of a write or an erasure, as when power fails during it."""
        self.data[address : address + length] = content[:length]

    def _change(self, address: int, content: bytes) -> None:
        if self.watch is not None:
            self.watch(self, address, content)
        self.data[address : address + len(content)] = content

    def _require_aligned(self, address: int, unit: int) -> None:
        if address % unit or not 0 <= address <= len(self.data) - unit:
            raise PatchError(
                f"address {address}; expected a multiple of {unit} inside {len(self.data)} bytes"
            )
