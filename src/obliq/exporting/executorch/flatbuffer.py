"""Flatbuffer tables, read without trusting an offset: what lies outside the bytes is an error.

ExecuTorch's files are flatbuffers. Their own readers follow offsets on trust unless a verifier was compiled
in, which default builds of the runtime leave out, and unlike in ONNX a table says nothing of the kind of its
fields. So this reader only finds the values that we ask for by their place in the schema; that nothing else
hides in a file is for `obliq.exporting.executorch.reader` to say. Nothing is copied: bytes stay views.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from obliq.errors import ModelError

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        data: the whole buffer.
        position: of the table in it, in bytes.
    """

    data: memoryview
    position: int

    def number(self, slot: int, form: str) -> int | float:
        """The number in a slot, 0 where it was left out; `form` is its letter in `struct`.

        Raises:
            ModelError: when it lies outside.
        """
        place = self._place(slot)
        return 0 if place is None else number_at(self.data, place, form)

    def whole(self, slot: int, form: str = "I") -> int:
        """The same for a number that is whole by its form."""
        return int(self.number(slot, form))

    def table(self, slot: int) -> "Table":
        """The table that a slot points to.

        Raises:
            ModelError: when there is none, or it lies outside.
        """
        return Table(self.data, self._target(slot))

    def tables(self, slot: int, most: int) -> list["Table"]:
        """The tables in a vector, of which there may be `most`.

        Raises:
            ModelError: when there are more, or they lie outside.
        """
        start, count = self._vector(slot)
        if count > most:
            raise ModelError(f"a list of {count} entries; expected at most {most}")
        places = (start + 4 * index for index in range(count))
        return [Table(self.data, place + int(number_at(self.data, place, "I"))) for place in places]

    def wholes(self, slot: int, most: int) -> tuple[int, ...]:
        """The numbers in a vector of 32 bits, of which there may be `most`.

        Raises:
            ModelError: when there are more, or they lie outside.
        """
        start, count = self._vector(slot)
        if count > most:
            raise ModelError(f"a list of {count} entries; expected at most {most}")
        return tuple(int(number_at(self.data, start + 4 * index, "I")) for index in range(count))

    def text(self, slot: int) -> bytes:
        """The bytes of a text.

        Raises:
            ModelError: when there is none, or it lies outside.
        """
        start, count = self._vector(slot)
        return bytes(stretch(self.data, start, count))

    def _vector(self, slot: int) -> tuple[int, int]:
        """Where its first entry is, and how many there are."""
        start = self._target(slot)
        return start + 4, int(number_at(self.data, start, "I"))

    def _target(self, slot: int) -> int:
        place = self._place(slot)
        if place is None:
            raise ModelError(f"a table without its field {slot}; expected one")
        return place + int(number_at(self.data, place, "I"))

    def _place(self, slot: int) -> int | None:
        """Where the value of a slot is; None where it was left out."""
        kinds = self.position - int(number_at(self.data, self.position, "i"))
        if 4 + 2 * slot + 2 > number_at(self.data, kinds, "H"):
            return None
        offset = int(number_at(self.data, kinds + 4 + 2 * slot, "H"))
        return self.position + offset if offset else None


def one_of(entries: Sequence[Entry], index: int) -> Entry:
    """One of a list.

    Raises:
        ModelError: when it has no such entry.
    """
    if index >= len(entries):
        raise ModelError(f"entry {index} of {len(entries)}; expected one that exists")
    return entries[index]


def root(data: memoryview) -> Table:
    """The outermost table of a buffer.

    Raises:
        ModelError: when it is too short to hold one.
    """
    return Table(data, int(number_at(data, 0, "I")))


def number_at(data: memoryview, place: int, form: str) -> int | float:
    """One little-endian number.

    Raises:
        ModelError: when it lies outside.
    """
    found: int | float = struct.unpack("<" + form, stretch(data, place, struct.calcsize("<" + form)))[0]
    return found


def stretch(data: memoryview, start: int, size: int) -> memoryview:
    """A part of a buffer.

    Raises:
        ModelError: when it lies outside.
    """
    if not 0 <= start <= start + size <= len(data):
        raise ModelError(f"{size} bytes at {start} of {len(data)}; expected them inside")
    return data[start : start + size]
