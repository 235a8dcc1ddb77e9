"""Files altered at random: byte by byte, and entry by entry of their structure, from a few bytes of choices."""

import json
import struct
from collections.abc import Callable

BYTES = 0, 1, 2, 3
"""The choices that alter bytes; all others alter structure."""


class Choices:
    """Numbers drawn from a string of bytes, so that whatever fails can be made smaller."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def below(self, count: int) -> int:
        taken, self.data = self.data[:4], self.data[4:]
        return int.from_bytes(taken, "little") % max(1, count)

    def of(self, values: list[object]) -> object:
        return values[self.below(len(values))]


NUMBERS: list[object] = [
    0,
    1,
    2,
    3,
    7,
    127,
    128,
    255,
    2**15,
    2**31 - 1,
    2**31,
    2**32,
    2**40,
    2**62,
    2**63,
    2**64 - 1,
]


def altered_bytes(content: bytes, choices: Choices) -> bytes:
    """One byte changed, or a stretch left out, doubled or filled."""
    start = choices.below(len(content))
    length = 1 + choices.below(16)
    match choices.below(4):
        case 0:
            changed = bytes([content[start] ^ (1 + choices.below(255))])
            return content[:start] + changed + content[start + 1 :]
        case 1:
            return content[:start] + content[start + length :]
        case 2:
            return content[:start] + content[start : start + length] * 2 + content[start + length :]
        case _:
            return content[:start] + bytes([choices.below(256)]) * length + content[start + length :]


def altered(content: bytes, data: bytes, structure: Callable[[bytes, Choices], bytes]) -> bytes:
    """One to three alterations."""
    choices = Choices(data)
    for _ in range(1 + choices.below(3)):
        kind = choices.below(10)
        content = (
            altered_bytes(content, choices) if content and kind in BYTES else structure(content, choices)
        )
    return content


def altered_header(content: bytes, choices: Choices) -> bytes:
    """Safetensors with another description of one tensor; the data stay."""
    length = int.from_bytes(content[:8], "little")
    try:
        described = json.loads(content[8 : 8 + length])
        names = sorted(described)
        name = names[choices.below(len(names))]
        entry = described[name]
        values = [-1, 1.5, None, "", "F32", True, [], {}, *NUMBERS, names[choices.below(len(names))]]
        match choices.below(5):
            case 0:
                del described[name]
            case 1:
                described[str(choices.of(values))] = entry
            case 2:
                entry[["dtype", "shape", "data_offsets"][choices.below(3)]] = choices.of(values)
            case 3:
                numbers = entry[["shape", "data_offsets"][choices.below(2)]]
                numbers[choices.below(len(numbers))] = choices.of(values)
            case _:
                described[name] = choices.of(values)
    except (ValueError, LookupError, TypeError, AttributeError):
        return altered_bytes(content, choices) if content else b"\x00"
    text = json.dumps(described).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


Entry = tuple[int, int, "int | bytes | list[Entry]"]

_MESSAGES = {
    (7,),
    (8,),
    (7, 1),
    (7, 1, 5),
    (7, 5),
    (7, 11),
    (7, 12),
    (7, 11, 2),
    (7, 11, 2, 1),
    (7, 11, 2, 1, 2),
    (7, 13),
    (7, 13, 2),
    (7, 13, 2, 1),
    (7, 13, 2, 1, 2),
    (14,),
}
"""The paths of field numbers at which ONNX has inner messages."""


def altered_message(content: bytes, choices: Choices) -> bytes:
    """ONNX with one entry, at any depth, left out, doubled, moved, renumbered or given another value."""
    try:
        entries = _entries(content, ())
    except (ValueError, IndexError):
        return altered_bytes(content, choices) if content else b"\x00"
    where, path = entries, ()
    while True:
        if not where:
            return _written(entries)
        index = choices.below(len(where))
        number, wire, value = where[index]
        path = (*path, number)
        if not isinstance(value, list) or choices.below(4) == 0:
            break
        where = value
    match choices.below(6):
        case 0:
            del where[index]
        case 1:
            where.insert(choices.below(len(where)), where[index])
        case 2:
            where.append(where.pop(index))
        case 3:
            where[index] = (1 + choices.below(30), wire, value)
        case 4:
            other = choices.below(len(where))
            where[index] = (number, wire, where[other][2]) if where[other][1] == wire else where[other]
        case _:
            where[index] = (number, *_other(wire, value, choices))
    return _written(entries)


def _other(wire: int, value: "int | bytes | list[Entry]", choices: Choices) -> "tuple[int, int | bytes]":
    if wire == 0:
        number = choices.of(NUMBERS)
        assert isinstance(number, int)
        return wire, number
    content = value if isinstance(value, bytes) else b"\x00" * 4
    return wire, altered_bytes(content, choices) if content and wire == 2 else content


def _entries(data: bytes, path: tuple[int, ...]) -> "list[Entry]":
    found: list[Entry] = []
    position = 0
    while position < len(data):
        tag, position = _number(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _number(data, position)
            found.append((number, wire, value))
            continue
        if wire not in (2, 5):
            raise ValueError
        length, position = _number(data, position) if wire == 2 else (4, position)
        inner = data[position : position + length]
        here = (*path, number)
        found.append((number, wire, _entries(inner, here) if here in _MESSAGES else inner))
        position += length
    return found


def _number(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position


def _written(entries: "list[Entry]") -> bytes:
    made = bytearray()
    for number, wire, value in entries:
        made += _varint(number << 3 | wire)
        if isinstance(value, int):
            made += _varint(value)
            continue
        inner = _written(value) if isinstance(value, list) else value
        made += (_varint(len(inner)) if wire == 2 else b"") + inner
    return bytes(made)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)
