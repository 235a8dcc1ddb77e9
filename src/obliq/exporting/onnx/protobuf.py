"""Protocol-buffer messages as trees of Python values, read strictly: one way to write each message.

ONNX files are protocol buffers, whose usual parsers skip what they do not know and let the last of two
values win. Here a field that is not in the table, a second value for a single field, a number written
longer than need be or a message that ends too early is an error, so that no two readers can see
different things in a file. Nothing is copied: bytes stay views of the file.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from obliq.errors import ModelError
from obliq.io.budget import OBJECT, STEP, Budget

_VARINT, _BYTES, _FLOAT = 0, 2, 5


@dataclass(frozen=True)
class Field:
    """What may stand under one number of a message.

    Attributes:
        name: under which it is found in the result.
        kind: `int`, `float`, `text`, `bytes`, or the table of an inner message.
        most: how often it may occur; above 1 the result holds a list.
    """

    name: str
    kind: "str | Table"
    most: int = 1


Table = Mapping[int, Field]


def schema(text: str, **known: Table) -> dict[str, Table]:
    """Tables of messages by name, from one line each: `Name: number field kind, number field kind*most, ...`.

    A kind is `int`, `float`, `text`, `bytes`, or the name of a message of a line above or of `known`. The fields of
    a message that is known already are added to it.
    """
    tables = dict(known)
    for line in text.strip().splitlines():
        name, _, fields = line.strip().partition(":")
        read = re.findall(r"(\d+) (\w+) (\w+)(?:\*(\d+))?", fields)
        added = {
            int(number): Field(key, tables.get(kind, kind), int(most or 1))
            for number, key, kind, most in read
        }
        tables[name] = {**tables.get(name, {}), **added}
    return tables


def read_message(data: memoryview, table: Table, what: str, budget: Budget | None = None) -> dict[str, Any]:
    """The fields of one message by name; those that may occur often are lists, the others None if missing.

    Args:
        data: the bytes of the message.
        table: its fields.
        what: the name of the message in errors.
        budget: of the file that it stands in; None for a part that is limited otherwise.

    Raises:
        ModelError: naming the message and what is wrong with it, or when the file costs too much.
    """
    budget = budget or Budget(len(data), ModelError)
    budget.spend(what, memory=2 * OBJECT, work=STEP)
    found: dict[str, Any] = {field.name: [] if field.most > 1 else None for field in table.values()}
    for number, wire, value in _entries(data, what):
        budget.spend(what, memory=OBJECT, work=2 * STEP)
        field = table.get(number)
        if field is None:
            known = ", ".join(one.name for one in table.values())
            raise ModelError(f"{what} has a field {number}, which is not read; expected {known}")
        decoded = _decoded(field, wire, value, what, budget)
        if field.most == 1:
            if found[field.name] is not None:
                raise ModelError(f"{what} has two values for {field.name}; expected one")
            found[field.name] = decoded
        elif len(found[field.name]) == field.most:
            raise ModelError(f"{what} has more than {field.most} of {field.name}; expected at most so many")
        else:
            found[field.name].append(decoded)
    return found


def packed_numbers(data: memoryview, most: int, what: str) -> list[int]:
    """The whole numbers of a packed field, one after another without tags.

    Raises:
        ModelError: when there are more than `most`, or one is not in its shortest form.
    """
    found: list[int] = []
    position = 0
    while position < len(data):
        if len(found) == most:
            raise ModelError(f"{what} has more than {most} numbers; expected at most so many")
        value, position = _varint(data, position, what)
        found.append(value - 2**64 if value >= 2**63 else value)
    return found


_MOST_LOOKED_AT = 100
"""Entries of a message of which only one is wanted; a model has fewer than fifty."""


def first_text(data: memoryview, wanted: int, what: str) -> str | None:
    """The first text under a number of a message, of which nothing else is looked at; None when there is none.

    Raises:
        ModelError: when the message ends too early, or the text cannot be printed.
    """
    for number, wire, value in islice(_entries(data, what), _MOST_LOOKED_AT):
        if number == wanted and wire == _BYTES:
            assert isinstance(value, memoryview)
            return _text(value, what)
    return None


def _decoded(field: Field, wire: int, value: int | memoryview, what: str, budget: Budget) -> Any:
    expected = _VARINT if field.kind == "int" else _FLOAT if field.kind == "float" else _BYTES
    if wire != expected:
        raise ModelError(f"{what} has {field.name} of wire type {wire}; expected {expected}")
    if isinstance(value, int):
        return value - 2**64 if value >= 2**63 else value
    if field.kind == "float":
        return struct.unpack("<f", value)[0]
    if field.kind == "bytes":
        return value
    if field.kind == "text":
        return _text(value, f"{field.name} of {what}")
    assert isinstance(field.kind, Mapping)
    inner = f"{field.name} of {what}" if len(what) < 60 else field.name
    return read_message(value, field.kind, inner, budget)


def _entries(data: memoryview, what: str) -> Iterator[tuple[int, int, int | memoryview]]:
    """Field number, wire type and value of each entry in turn."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position, what)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ModelError(f"{what} has a field 0; expected numbers from 1")
        if wire == _VARINT:
            value, position = _varint(data, position, what)
            yield number, wire, value
            continue
        if wire == _FLOAT:
            length = 4
        elif wire == _BYTES:
            length, position = _varint(data, position, what)
        else:
            raise ModelError(f"{what} has an entry of wire type {wire}; expected 0, 2 or 5")
        if length > len(data) - position:
            raise ModelError(f"{what} ends within a field of {length} bytes; expected a whole message")
        yield number, wire, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int, what: str) -> tuple[int, int]:
    value = 0
    for count in range(10):
        if position + count >= len(data):
            break
        byte = data[position + count]
        value |= (byte & 127) << (7 * count)
        if byte < 128:
            if (byte == 0 and count) or value >= 2**64:
                raise ModelError(
                    f"{what} has a number in more bytes than it needs; expected the shortest form"
                )
            return value, position + count + 1
    raise ModelError(f"{what} has a number without an end; expected at most 10 bytes")


def _text(value: memoryview, what: str) -> str:
    if len(value) > 512:
        raise ModelError(f"{what} is {len(value)} bytes long; expected at most 512")
    try:
        text = bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{what} is no UTF-8 text; expected some") from error
    if not text.isprintable():
        raise ModelError(f"{what} has control characters; expected letters that can be printed")
    return text
