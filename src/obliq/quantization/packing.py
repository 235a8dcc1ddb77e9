"""Dense storage of integer codes that are narrower than a byte.

Codes are written as two's complement of `bits` bits, the first code in the lowest bits of the first
byte (one little-endian bit stream), and the last byte is filled with zeros. The form is canonical:
equal codes give equal bytes, and bytes with another filling are refused.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int8, UInt8
from torch import Tensor

from obliq.errors import ModelError
from obliq.quantization.precision import check_bits

_GROUP = 8
"""Eight codes of b bits fill exactly b bytes, and one 64-bit word holds them."""


def pack(codes: Int8[Tensor, "..."], bits: int) -> UInt8[Tensor, " bytes"]:
    """Write signed codes of any shape into ceil(elements * bits / 8) bytes.

    Raises:
        ModelError: when a code does not fit into `bits` bits.
    """
    check_bits("code bits", bits)
    flat = codes.detach().cpu().reshape(-1).numpy()
    limit = 2 ** (bits - 1)
    if flat.size and (flat.min() < -limit or flat.max() >= limit):
        raise ModelError(
            f"codes lie in {flat.min()}..{flat.max()}; expected {-limit}..{limit - 1} for {bits} bits"
        )
    padded = np.zeros((-(-flat.size // _GROUP), _GROUP), dtype=np.uint64)
    padded.reshape(-1)[: flat.size] = flat.view(np.uint8) & (2**bits - 1)
    words = np.bitwise_or.reduce(padded << _shifts(bits), axis=1).astype("<u8")
    stream = words.view(np.uint8).reshape(-1, 8)[:, :bits].reshape(-1)
    return torch.from_numpy(stream[: packed_size(flat.size, bits)].copy())


def unpack(packed: UInt8[Tensor, " bytes"], bits: int, shape: Sequence[int]) -> Int8[Tensor, "..."]:
    """Read codes of a shape back; exactly the inverse of `pack`.

    Raises:
        ModelError: when the number of bytes does not fit the shape, or the filling is not zero.
    """
    check_bits("code bits", bits)
    if any(length < 0 for length in shape):
        raise ModelError(f"shape {tuple(shape)} has a negative length; expected none")
    elements = math.prod(shape)
    size = packed_size(elements, bits)
    if packed.numel() != size:
        raise ModelError(f"{packed.numel()} bytes for shape {tuple(shape)} at {bits} bits; expected {size}")
    groups = -(-elements // _GROUP)
    stream = np.zeros(groups * bits, dtype=np.uint8)
    stream[:size] = packed.detach().cpu().numpy()
    words = np.zeros((groups, 8), dtype=np.uint8)
    words[:, :bits] = stream.reshape(groups, bits)
    fields = (words.view("<u8").astype(np.uint64) >> _shifts(bits)) & np.uint64(2**bits - 1)
    flat = fields.astype(np.uint8).reshape(-1)
    if flat[elements:].any():
        raise ModelError("the bits after the last code are not zero; expected zeros")
    # Move the code's sign bit to the byte's, then let the arithmetic shift spread it.
    signed = (flat[:elements] << np.uint8(8 - bits)).view(np.int8) >> np.int8(8 - bits)
    return torch.from_numpy(signed.copy()).reshape(tuple(shape))


def packed_size(elements: int, bits: int) -> int:
    """The number of bytes that `elements` codes of `bits` bits take."""
    return -(-elements * bits // 8)


def _shifts(bits: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.arange(_GROUP, dtype=np.uint64) * np.uint64(bits)
