"""A second, slow and obvious way to write images and patches, and the decoder by itself.

The decoder is loaded from its file alone, as somebody would who copies it to another project.
"""

import importlib.util
import struct
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from obliq.patch import decoder as packaged
from obliq.patch.encoder import Encoder


def _alone() -> ModuleType:
    specification = importlib.util.spec_from_file_location("decoder_alone", Path(packaged.__file__))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


decoder: Any = _alone()


@dataclass
class Tensor:
    """A label, a kind (1: codes), bits of a code or bytes of a word, and values."""

    label: bytes
    kind: int
    width: int
    values: list[int]


def image(tensors: list[Tensor]) -> bytes:
    """A network's image by the words of the format."""
    records = b""
    for tensor in tensors:
        bits = tensor.width if tensor.kind else 8 * tensor.width
        stream = sum((value % 2**bits) << (bits * place) for place, value in enumerate(tensor.values))
        head = struct.pack("<HBBI", len(tensor.label), tensor.kind, tensor.width, len(tensor.values))
        records += head + tensor.label + stream.to_bytes((bits * len(tensor.values) + 7) // 8, "little")
    return struct.pack("<4sHHII", b"OBQN", 1, 0, len(tensors), 16 + len(records)) + records


def content(tensors: list[Tensor]) -> bytes:
    """The digest of labels and values."""
    hashed = b""
    for tensor in tensors:
        size = 1 if tensor.kind else tensor.width
        hashed += tensor.label + b"".join(
            (value % 256**size).to_bytes(size, "little") for value in tensor.values
        )
    return sha256(hashed).digest()


def form(tensors: list[Tensor]) -> bytes:
    """The digest of everything but values."""
    heads = [
        struct.pack("<HBBI", len(t.label), t.kind, 0 if t.kind else t.width, len(t.values)) + t.label
        for t in tensors
    ]
    return sha256(b"".join(heads)).digest()


def patch(old: list[Tensor], new: list[Tensor], sequence: int, expires: int | None = None) -> bytes:
    """A patch by the words of the format."""
    encoder, last, changed = Encoder(), -1, 0
    for index, (before, after) in enumerate(zip(old, new, strict=True)):
        places = [
            place
            for place, pair in enumerate(zip(before.values, after.values, strict=True))
            if pair[0] != pair[1]
        ]
        if not places:
            continue
        steps = [after.values[place] - before.values[place] for place in places]
        if not before.kind:  # the shorter way around
            half = 256**before.width // 2
            steps = [(step + half) % (2 * half) - half for step in steps]
        encoder.number(0, index - last - 1)
        encoder.changes(before.kind, np.array(places), steps, [before.values[place] for place in places])
        last, changed = index, changed + 1
    version, time = (1, b"") if expires is None else (2, struct.pack("<Q", expires))
    stream = time + encoder.finished()
    head = struct.pack("<4sHHQ", b"OBQP", version, 0, sequence) + form(old) + content(old) + content(new)
    whole = head + struct.pack("<II", changed, len(stream)) + stream
    return whole + sha256(whole).digest()


def random_pair(draw: np.random.Generator, most: int) -> tuple[list[Tensor], list[Tensor]]:
    """Two networks of one form, up to all of whose values differ, with every width and both ends of its range."""
    old, new = [], []
    for number in range(draw.integers(0, 4)):
        elements, kind = int(draw.integers(0, most)), int(draw.random() < 0.75)
        width = int(draw.integers(2, 9)) if kind else int(draw.choice([1, 2, 4, 8]))
        low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if kind else (0, 256**width - 1)
        first, second = (
            draw.integers(low, high, elements, np.int64 if kind else np.uint64, endpoint=True)
            for _ in range(2)
        )
        replaced = draw.random(elements) < draw.choice([0, 0.05, 0.3, 1])
        label = b"%d" % number
        old.append(Tensor(label, kind, width, first.tolist()))
        new.append(Tensor(label, kind, width, np.where(replaced, second, first).tolist()))
    return old, new
