"""One tensor on a grid: integer codes and their scales, checked at construction; and codes packed into bytes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor

from obliq.errors import ModelError
from obliq.quantization.precision import check_bits, weight_range

_GROUP = 8
"""Codes that are packed together: eight codes of b bits fill exactly b bytes and fit in one 64-bit word."""


_AT_ONCE = 2**16
"""Codes that are packed or unpacked in one step, a multiple of a group: each takes some twenty bytes on the way."""


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
    parts = [_packed(flat[start : start + _AT_ONCE], bits) for start in range(0, flat.size, _AT_ONCE)]
    return torch.from_numpy(np.concatenate([np.zeros(0, np.uint8), *parts]))


def _packed(flat: Int8[np.ndarray, " codes"], bits: int) -> UInt8[np.ndarray, " bytes"]:
    """Codes of a part that begins with a whole group."""
    # Each row of eight codes becomes one little-endian word, code i at bit i * bits; its lower b bytes are kept.
    padded = np.zeros((-(-flat.size // _GROUP), _GROUP), dtype=np.uint64)
    padded.reshape(-1)[: flat.size] = flat.view(np.uint8) & (2**bits - 1)
    words = np.bitwise_or.reduce(padded << _shifts(bits), axis=1).astype("<u8")
    stream: np.ndarray = words.view(np.uint8).reshape(-1, 8)[:, :bits].reshape(-1)
    return stream[: packed_size(flat.size, bits)]


def unpack(packed: UInt8[Tensor, " bytes"], bits: int, shape: Sequence[int]) -> Int8[Tensor, "..."]:
    """Read codes of a shape back; exactly the inverse of `pack`.

    Raises:
        ModelError: when the number of bytes does not fit the shape, or the padding is not zero.
    """
    check_bits("code bits", bits)
    if any(length < 0 for length in shape):
        raise ModelError(f"shape {tuple(shape)} has a negative length; expected none")
    elements = math.prod(shape)
    size = packed_size(elements, bits)
    if packed.numel() != size:
        raise ModelError(f"{packed.numel()} bytes for shape {tuple(shape)} at {bits} bits; expected {size}")
    stored, codes = packed.detach().cpu().numpy(), np.empty(elements, np.int8)
    for start in range(0, elements, _AT_ONCE):
        count = min(_AT_ONCE, elements - start)
        first = start * bits // 8
        codes[start : start + count] = _unpacked(
            stored[first : first + packed_size(count, bits)], bits, count
        )
    return torch.from_numpy(codes).reshape(tuple(shape))


def _unpacked(stored: UInt8[np.ndarray, " bytes"], bits: int, elements: int) -> Int8[np.ndarray, " codes"]:
    """Codes of a part that begins with a whole group, as int8."""
    groups = -(-elements // _GROUP)
    stream = np.zeros(groups * bits, dtype=np.uint8)
    stream[: len(stored)] = stored
    words = np.zeros((groups, 8), dtype=np.uint8)
    words[:, :bits] = stream.reshape(groups, bits)
    fields = (words.view("<u8").astype(np.uint64) >> _shifts(bits)) & np.uint64(2**bits - 1)
    flat = fields.astype(np.uint8).reshape(-1)
    if flat[elements:].any():
        raise ModelError("the bits after the last code are not zero; expected zeros")
    # Sign extension: move the code's sign bit to the sign bit of the byte, then shift back arithmetically.
    return (flat[:elements] << np.uint8(8 - bits)).view(np.int8) >> np.int8(8 - bits)


def packed_size(elements: int, bits: int) -> int:
    """The number of bytes that `elements` codes of `bits` bits take."""
    return -(-elements * bits // 8)


def _shifts(bits: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.arange(_GROUP, dtype=np.uint64) * np.uint64(bits)


_SMALLEST_SCALE = torch.finfo(torch.float32).tiny
_LARGEST_SCALE = torch.finfo(torch.float32).max / 256  # the largest code, below 256, times it stays finite


@dataclass(frozen=True, eq=False)
class IntegerTensor:
    """A tensor on a grid: value = (code - zero_point) * scale.

    Attributes:
        codes: int8 weight codes in -(2^(bits-1)-1) .. 2^(bits-1)-1; None for activations.
        scale: float32, one per channel or a single one without a shape; positive and normal.
        zero_point: the code of zero; always 0 in this format.
        bits: bit width, 2 to 8.
        channel_axis: the axis of `codes` that the scales run along, or None.
        signed: whether codes can be negative; always true for weights.

    Raises:
        ModelError: when the parts do not fit together.
    """

    codes: Tensor | None
    scale: Tensor
    zero_point: int
    bits: int
    channel_axis: int | None
    signed: bool

    def __post_init__(self) -> None:
        check_bits("bits", self.bits)
        if self.zero_point != 0:
            raise ModelError(f"zero point is {self.zero_point}; expected 0")
        if self.scale.dtype != torch.float32:
            raise ModelError(f"scales are {self.scale.dtype}; expected torch.float32")
        usable = torch.isfinite(self.scale) & (self.scale >= _SMALLEST_SCALE) & (self.scale <= _LARGEST_SCALE)
        if not bool(usable.all()):
            first = self.scale[~usable].flatten()[0].item()
            raise ModelError(f"a scale is {first!r}; expected positive, finite and not denormal")
        self._check_codes()

    def _check_codes(self) -> None:
        if self.codes is None:
            if self.channel_axis is not None or self.scale.dim() != 0:
                raise ModelError("an activation has scales by channel; expected a single scale")
            return
        if self.codes.dtype != torch.int8 or not self.signed:
            raise ModelError(
                f"codes are {self.codes.dtype}, signed={self.signed}; expected signed torch.int8"
            )
        expected: tuple[int, ...] = ()
        if self.channel_axis is not None:
            if not 0 <= self.channel_axis < self.codes.dim():
                raise ModelError(
                    f"channel axis is {self.channel_axis}; expected 0..{self.codes.dim() - 1} or none"
                )
            expected = (self.codes.shape[self.channel_axis],)
        if tuple(self.scale.shape) != expected:
            raise ModelError(f"scales have shape {tuple(self.scale.shape)}; expected {expected}")
        low, high = weight_range(self.bits)
        if self.codes.numel() and not low <= int(self.codes.min()) <= int(self.codes.max()) <= high:
            raise ModelError(
                f"codes lie in {int(self.codes.min())}..{int(self.codes.max())}; "
                f"expected {low}..{high} for {self.bits} bits"
            )

    def values(self) -> Float[Tensor, "..."]:
        """The real numbers that the codes represent, exactly as the network computes them.

        Raises:
            ModelError: for an activation, which has no codes.
        """
        if self.codes is None:
            raise ModelError("an activation has no codes; expected a weight")
        return self.codes.to(torch.float32) * broadcast_scale(self.scale, self.channel_axis, self.codes.dim())


def broadcast_scale(scale: Tensor, axis: int | None, dimensions: int) -> Tensor:
    """Reshape one scale per channel so that it broadcasts along `axis`."""
    if axis is None:
        return scale
    shape = [1] * dimensions
    shape[axis] = -1
    return scale.view(shape)
