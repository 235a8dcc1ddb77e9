"""Random networks as content, and what can be done to them."""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256

import numpy as np

from obliq.patch import Content, TensorRecord, encode_patch, to_device_image
from obliq.patch.decoder import PATCH_HEAD


def random_codes(draw: np.random.Generator, bits: int, elements: int) -> np.ndarray:
    """Every code of the width, both ends too."""
    return draw.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), elements).astype(np.int8)


def changed(draw: np.random.Generator, record: TensorRecord, share: float) -> TensorRecord:
    """The record with about a share of its values replaced."""
    where = draw.random(len(record.values)) < share
    if record.bits is None:
        other = np.frombuffer(draw.bytes(record.values.nbytes), record.values.dtype)
    else:
        other = random_codes(draw, record.bits, len(record.values))
    return TensorRecord(record.label, record.bits, np.where(where, other, record.values))


def sample_pair() -> tuple[Content, Content]:
    """Two networks with every kind of record, of which a fifth differs."""
    draw = np.random.default_rng(3)
    widths = [2, 3, 4, 5, 8]
    old = [TensorRecord(b"codes %d" % bits, bits, random_codes(draw, bits, 60)) for bits in widths]
    old += [
        TensorRecord(b"words %d" % size, None, np.frombuffer(draw.bytes(20 * size), f"<u{size}"))
        for size in (1, 4, 8)
    ]
    return tuple(old), tuple(changed(draw, record, 0.2) for record in old)


def sample_patch(sequence: int = 7, expires: datetime | None = None) -> tuple[bytes, bytes, bytes]:
    """A patch, its base's image and the image that it leads to."""
    old, new = sample_pair()
    return encode_patch(old, new, sequence, expires), to_device_image(old), to_device_image(new)


def small_patch() -> tuple[bytes, bytes, bytes]:
    """The same for a network that is quickly hashed."""
    draw = np.random.default_rng(4)
    old = (
        TensorRecord(b"a", 4, random_codes(draw, 4, 12)),
        TensorRecord(b"b", None, np.frombuffer(draw.bytes(12), "<u4")),
    )
    new = tuple(changed(draw, record, 0.5) for record in old)
    return encode_patch(old, new, 7), to_device_image(old), to_device_image(new)


def damaged(patch: bytes) -> Iterator[bytes]:
    """Every truncation, every flipped bit of every byte, and a byte more."""
    for length in range(len(patch)):
        yield patch[:length]
    for place in range(len(patch)):
        for mask in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            yield patch[:place] + bytes([patch[place] ^ mask]) + patch[place + 1 :]
    yield patch + b"\0"


def certified(head: bytes, stream: bytes) -> bytes:
    """A patch with another stream that is whole as far as its length and checksum can tell."""
    fields = PATCH_HEAD.unpack(head[: PATCH_HEAD.size])
    patch = PATCH_HEAD.pack(*fields[:-1], len(stream)) + stream
    return patch + sha256(patch).digest()


def forged(patch: bytes, draw: np.random.Generator) -> bytes:
    """A patch whose stream was altered by somebody who can compute checksums."""
    stream = bytearray(patch[PATCH_HEAD.size : -32])
    kind = draw.integers(4)
    if kind == 0:
        return certified(patch, draw.bytes(int(draw.integers(0, 60))))
    if kind == 1:
        return certified(patch, bytes(stream[: draw.integers(len(stream))]))
    if kind == 2:
        return certified(patch, bytes(stream) + draw.bytes(int(draw.integers(1, 5))))
    for _ in range(draw.integers(1, 4)):
        stream[draw.integers(len(stream))] = draw.integers(256)
    return certified(patch, bytes(stream))
