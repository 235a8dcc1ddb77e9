"""Flatbuffer tables, read without trusting an offset: what lies outside the bytes is an error.

ExecuTorch's files are flatbuffers. Their own readers follow offsets on trust unless a verifier was compiled
in, which default builds of the runtime leave out, and a table does not hold the types of its fields. So this
reader only finds values by the names that ExecuTorch's schema gives them. That nothing else hides in a file is
checked by `obliq.exporting.executorch.reader`. Nothing is copied: bytes stay views.

Everything here raises `ModelError` for what is missing where there must be one, for what lies outside the buffer, and
for more than there may be.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from obliq.errors import ModelError
from obliq.exporting.executorch.schema import Schema
from obliq.io.budget import OBJECT, STEP, Budget

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        data: the whole buffer.
        position: of the table in it, in bytes.
        kind: the table's name in the schema.
        schema: that the buffer was written by.
        budget: of the file; lists and texts may overlap, so that their sizes have no total.
    """

    data: memoryview
    position: int
    kind: str
    schema: Schema
    budget: Budget

    def number(self, field: str) -> int | float:
        """Read a number, 0 where it was left out."""
        found = self.schema.field(self.kind, field)
        place = self._place(found.slot)
        return 0 if place is None else number_at(self.data, place, self.schema.letter(found.kind))

    def whole(self, field: str) -> int:
        """Read a whole number, 0 where it was left out."""
        return int(self.number(field))

    def table(self, field: str) -> "Table":
        """Read the table that a field points to."""
        return self._table(self._target(field), self.schema.field(self.kind, field).kind)

    def member(self, field: str) -> "tuple[str, Table]":
        """Read the table in a union, with the name of the member that it is."""
        found = self.schema.field(self.kind, field)
        place = self._place(found.slot - 1)
        number = 0 if place is None else int(number_at(self.data, place, "B"))
        members = self.schema.unions[found.kind]
        if not 1 <= number <= len(members):
            raise ModelError(f"member {number} of {found.kind}; expected 1 to {len(members)}")
        name, kind = members[number - 1]
        return name, self._table(self._target(field), kind)

    def tables(self, field: str, most: int) -> list["Table"]:
        """Read the tables in a vector, of which there may be `most`."""
        start, count = self._vector(field, most)
        kind = self.schema.field(self.kind, field).kind.strip("[]")
        places = (start + 4 * index for index in range(count))
        return [self._table(place + int(number_at(self.data, place, "I")), kind) for place in places]

    def wholes(self, field: str, most: int) -> tuple[int, ...]:
        """Read the whole numbers in a vector, of which there may be `most`."""
        start, count = self._vector(field, most)
        letter = self.schema.letter(self.schema.field(self.kind, field).kind.strip("[]"))
        width = struct.calcsize("<" + letter)
        return tuple(int(number_at(self.data, start + width * index, letter)) for index in range(count))

    def text(self, field: str, most: int = 512) -> bytes:
        """Read the bytes of a text, of which there may be `most`."""
        start, count = self._vector(field, most)
        self.budget.spend(f"texts of {self.kind}", memory=OBJECT + count, work=count)
        return bytes(stretch(self.data, start, count))

    def _table(self, position: int, kind: str) -> "Table":
        self.budget.spend(f"tables of {self.kind}", memory=2 * OBJECT, work=10 * STEP)
        return Table(self.data, position, kind, self.schema, self.budget)

    def _vector(self, field: str, most: int) -> tuple[int, int]:
        """Where its first entry is, and how many there are."""
        start = self._target(field)
        count = int(number_at(self.data, start, "I"))
        if count > most:
            raise ModelError(f"a list of {count} entries; expected at most {most}")
        return start + 4, count

    def _target(self, field: str) -> int:
        place = self._place(self.schema.field(self.kind, field).slot)
        if place is None:
            raise ModelError(f"{self.kind} without its field {field}; expected one")
        return place + int(number_at(self.data, place, "I"))

    def _place(self, slot: int) -> int | None:
        """Where the value of a slot is; None where it was left out."""
        slots = self.position - int(number_at(self.data, self.position, "i"))
        if 4 + 2 * slot + 2 > number_at(self.data, slots, "H"):
            return None
        offset = int(number_at(self.data, slots + 4 + 2 * slot, "H"))
        return self.position + offset if offset else None


def one_of(entries: Sequence[Entry], index: int) -> Entry:
    """Return one entry of a list."""
    if index >= len(entries):
        raise ModelError(f"entry {index} of {len(entries)}; expected one that exists")
    return entries[index]


def root(data: memoryview, kind: str, schema: Schema, budget: Budget) -> Table:
    """Return the outermost table of a buffer, which is of a known kind."""
    return Table(data, int(number_at(data, 0, "I")), kind, schema, budget)


def number_at(data: memoryview, place: int, form: str) -> int | float:
    """Read one little-endian number; `form` is its letter in `struct`."""
    found: int | float = struct.unpack("<" + form, stretch(data, place, struct.calcsize("<" + form)))[0]
    return found


def stretch(data: memoryview, start: int, size: int) -> memoryview:
    """Return a part of a buffer."""
    if not 0 <= start <= start + size <= len(data):
        raise ModelError(f"{size} bytes at {start} of {len(data)}; expected them inside")
    return data[start : start + size]
