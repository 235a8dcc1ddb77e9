"""Alterations of the structure of files: entries of archives, chunks of pictures, opcodes of pickles, values of JSON.

Sums and lengths then fit again, so that an altered file reaches what is behind the first check.
"""

import base64
import io
import json
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from tests.hostile.mutations import NUMBERS, Choices, altered_bytes

Structure = Callable[[bytes, Choices], bytes]


def _any(content: bytes, choices: Choices) -> bytes:
    return altered_bytes(content, choices) if content else b"\x00"


def altered_entries(inner: Structure) -> Structure:
    """A ZIP archive with one entry left out, renamed, doubled, or altered by `inner`."""

    def alter(content: bytes, choices: Choices) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
        except Exception:  # an archive that was damaged before
            return _any(content, choices)
        if not entries:
            return _any(content, choices)
        place = choices.below(len(entries))
        name, data = entries[place]
        match choices.below(8):
            case 0:
                del entries[place]
            case 1:
                entries[place] = (entries[choices.below(len(entries))][0], data)
            case 2:
                entries.append((name, data))
            case 3:
                entries[place] = (name, entries[choices.below(len(entries))][1])
            case _:
                entries[place] = (name, inner(data, choices))
        kind = zipfile.ZIP_DEFLATED if choices.below(3) == 0 else zipfile.ZIP_STORED
        made = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(made, "w", kind) as archive:
            warnings.simplefilter("ignore")  # that a name is there twice
            for entry, data in entries:
                with archive.open(zipfile.ZipInfo(entry), "w") as opened:
                    opened.write(data)
        return made.getvalue()

    return alter


TYPES = [
    "|u1",
    "<f4",
    "<f8",
    "<i8",
    "<u8",
    "|O",
    "|V8",
    "<U4",
    "<U4000",
    "|S3",
    "<f2",
    ">f4",
    "<c8",
    "<M8[s]",
    "|b1",
]
SHAPES = [
    "()",
    "(0,)",
    "(1,)",
    "(12,)",
    "(12, 1, 4, 4)",
    "(-1,)",
    "(2**40,)",
    "(4294967296, 4294967296)",
    "(True,)",
]


def altered_array(content: bytes, choices: Choices) -> bytes:
    """An .npy file with another description of its array."""
    head, _, rest = content.partition(b"\n")
    match choices.below(4):
        case 0:
            kind = str(choices.of([*TYPES])).encode()
            start, stop = head.find(b"'descr': '") + 10, head.find(b"', 'fortran")
            head = head[:start] + kind + head[stop:] if 10 <= start <= stop else head
        case 1:
            start, stop = head.find(b"'shape': ") + 9, head.find(b"), }") + 1
            head = (
                head[:start] + str(choices.of([*SHAPES])).encode() + head[stop:]
                if 9 <= start <= stop
                else head
            )
        case 2:
            head = head.replace(b"False", b"True")
        case _:
            return _any(content, choices)
    described = head[10:].rstrip() + b"\n"
    return head[:8] + struct.pack("<H", len(described) % 2**16) + described + rest


def altered_chunks(content: bytes, choices: Choices) -> bytes:
    """A PNG with one chunk left out, doubled, moved or altered, and the sums of all chunks computed again."""
    chunks, place = [], 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        if length > len(content):
            return _any(content, choices)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    if not chunks:
        return _any(content, choices)
    which = choices.below(len(chunks))
    name, data = chunks[which]
    match choices.below(6):
        case 0:
            del chunks[which]
        case 1:
            chunks.insert(which, (name, data))
        case 2:
            chunks.append(chunks.pop(which))
        case 3:
            names = [b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"zTXt", b"iCCP", b"acTL", b"fdAT", b"eXIf", b"IEND"]
            chunks[which] = (names[choices.below(len(names))], data)
        case _:
            chunks[which] = (name, _any(data, choices))
    made = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return content[:8] + b"".join(made)


def altered_opcodes(content: bytes, choices: Choices) -> bytes:
    """A pickle with one opcode left out, doubled, moved or altered."""
    try:
        starts = [place for _, _, place in pickletools.genops(content) if place is not None]
    except Exception:
        return _any(content, choices)
    parts = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    which = choices.below(len(parts))
    match choices.below(5):
        case 0:
            del parts[which]
        case 1:
            parts.insert(which, parts[which])
        case 2:
            parts.insert(choices.below(len(parts)), parts.pop(which))
        case 3:
            parts[which] = bytes([choices.below(256)]) + parts[which][1:]
        case _:
            parts[which] = _any(parts[which], choices)
    return b"".join(parts)


def altered_values(content: bytes, choices: Choices) -> bytes:
    """JSON with one value, at any depth, left out, doubled, renamed or replaced."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _any(content, choices)
    where, key = [document], 0
    while isinstance(where[key], dict | list) and where[key] and (where[key] is document or choices.below(3)):
        where = where[key]
        keys: list[Any] = sorted(where) if isinstance(where, dict) else list(range(len(where)))
        key = keys[choices.below(len(keys))]
    others = [-1, 1.5, 1e308, None, "", "a" * 300, "\x1b[2J", "../x", True, [], {}, [[]], {"a": 1}, *NUMBERS]
    value = choices.of(others)
    match choices.below(5):
        case 0 if where[0:1] != [document] if isinstance(where, list) else True:
            del where[key]
        case 1 if isinstance(where, dict):
            where[str(value)] = where.pop(key)
        case 2 if isinstance(where, list):
            where.insert(key, where[key])
        case _:
            where[key] = value
    return json.dumps(document).encode()


def altered_lines(content: bytes, choices: Choices) -> bytes:
    """Text with one line or cell left out, doubled, moved or replaced."""
    lines = content.split(b"\n")
    which = choices.below(len(lines))
    cells = lines[which].split(b",")
    cell = choices.below(len(cells))
    others = [
        b"",
        b"nan",
        b"1e999",
        b"-1",
        b"9" * 400,
        b'"',
        b'"a,b"',
        b"\xff",
        b"\x00",
        b"\x1b[2J",
        b"0",
        b"1e-400",
    ]
    match choices.below(6):
        case 0:
            del lines[which]
        case 1:
            lines.insert(which, lines[which])
        case 2:
            cells.insert(cell, cells[cell])
            lines[which] = b",".join(cells)
        case _:
            cells[cell] = others[choices.below(len(others))]
            lines[which] = b",".join(cells)
    return b"\n".join(lines)


def altered_words(content: bytes, choices: Choices) -> bytes:
    """A FlatBuffers file with one of its words, which hold offsets, counts and numbers, replaced or moved."""
    if len(content) < 16:
        return _any(content, choices)
    words, rest = (
        list(struct.unpack_from(f"<{len(content) // 4}I", content)),
        content[len(content) // 4 * 4 :],
    )
    # most words are codes of weights, so half of the choices are drawn from those that lead somewhere in the file
    leading = [place for place, word in enumerate(words) if 0 < word < len(content)]
    place = (
        leading[choices.below(len(leading))] if choices.below(2) and leading else choices.below(len(words))
    )
    match choices.below(6):
        case 0:
            words[place] = int(str(choices.of([*NUMBERS]))) % 2**32
        case 1:
            words[place] = (words[place] + 4 * (choices.below(16) - 8)) % 2**32
        case 2:
            words[place] = words[choices.below(len(words))]
        case 3:
            words[place] ^= 1 << choices.below(32)
        case 4:
            words.insert(place, words[place])
        case _:
            del words[place]
    return struct.pack(f"<{len(words)}I", *words) + rest


def altered_pem(content: bytes, choices: Choices) -> bytes:
    """A PEM file whose bytes are altered within its armour."""
    lines = content.strip().split(b"\n")
    try:
        inner = base64.b64decode(b"".join(lines[1:-1]), validate=True)
    except ValueError:
        return _any(content, choices)
    return b"\n".join([lines[0], base64.b64encode(_any(inner, choices)), lines[-1], b""])
