"""Integer weights of a layer: folded from a network, or recovered from the bytes of a file.

A file does not state how many bits of its bytes are in use, and no result depends on it. The smallest width that agrees
with the powers of two that codes were multiplied with (`refinement_of`) is inferred, so that what a network was
exported from is found again. Equal integers give equal widths, whatever they were stored in.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int, Int32
from numpy import ndarray
from torch import nn

from obliq.errors import ModelError
from obliq.exporting.grids import LARGEST_SUM, Grid, Weights
from obliq.quantization import IntegerTensor, QuantizedWeight
from obliq.quantization.precision import activation_range, weight_range

_SMALLEST_SCALE = 2.0**-100
"""Times a step of an activation, which is 2^-24 or more, this is still a normal float32."""

_LARGEST_PAIR = 2**15 - 1
"""Kernels for x86 without VNNI add two products of bytes in 16 bits, and saturate beyond."""


def fold(
    path: str, layer: QuantizedWeight, weight: IntegerTensor, norm: nn.Module | None, source: Grid
) -> Weights:
    """Integer weights for a layer that reads codes on `source`.

    A channel whose scale is too fine for its bias to fit in int32 (a gamma of zero or nearly so)
    gets the finest scale for which it fits, and its codes are rounded to that.

    Raises:
        ModelError: when numbers are not finite or the layer sums up more than int32 can hold.
    """
    assert weight.codes is not None
    codes = weight.codes.numpy().astype(np.float64)
    outputs = len(codes)
    # gain * (s * sum + bias) + offset = (s * abs(gain)) * (sign(gain) * sum) + (gain * bias + offset)
    gain, offset = _gain_and_offset(norm, outputs)
    bias = _numbers(layer.bias) if isinstance(layer.bias, nn.Parameter) else np.zeros(outputs)
    real_bias = bias * gain + offset
    scale = np.broadcast_to(_numbers(weight.scale), (outputs,)) * np.abs(gain)
    if not (np.isfinite(real_bias).all() and np.isfinite(scale).all()):
        raise ModelError(f"layer {path} or its batch norm holds NaN or infinity; expected finite numbers")
    refinement = refinement_of(weight.bits, source)
    # what the largest sum of products leaves of int32 is for the bias, in units of scale * source.scale / refinement;
    # the share of 2^-20 covers the roundings to float32
    wide = np.abs(codes).reshape(outputs, -1).sum(axis=1) * refinement
    room = LARGEST_SUM - wide * max(abs(source.low), source.high)
    if (room < LARGEST_SUM // 2).any():
        raise ModelError(f"layer {path} sums up {codes[0].size} products; expected a sum that fits in int32")
    smallest = np.abs(real_bias) * refinement / (room * source.scale * (1 - 2.0**-20))
    kept = np.maximum(scale, np.maximum(smallest, _SMALLEST_SCALE))
    shape = (outputs,) + (1,) * (codes.ndim - 1)
    ratio = np.where(kept == scale, 1.0, scale / kept) * np.where(gain < 0, -1.0, 1.0)
    return Weights(
        codes=np.rint(codes * ratio.reshape(shape)).astype(np.int8),
        scale=kept.astype(np.float32),
        bits=weight.bits,
        refinement=refinement,
    ).with_real_bias(real_bias, source)


def _gain_and_offset(norm: nn.Module | None, outputs: int) -> tuple[ndarray, ndarray]:
    """What batch norm in evaluation mode multiplies with and then adds."""
    if norm is None:
        return np.ones(outputs), np.zeros(outputs)
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    if norm.running_mean is None or norm.running_var is None:
        raise ModelError("batch norm keeps no running statistics; expected them, as a device has no batches")
    gain = 1 / np.sqrt(_numbers(norm.running_var) + norm.eps)
    if norm.weight is not None:
        gain = gain * _numbers(norm.weight)
    beta = 0.0 if norm.bias is None else _numbers(norm.bias)
    return gain, beta - _numbers(norm.running_mean) * gain


def refinement_of(bits: int, source: Grid) -> int:
    """The largest power of two r that codes can be multiplied with and still be bytes that add up safely.

    For codes up to c and bytes up to b that is c r <= 127 and 2 b c r < 2^15: see `_LARGEST_PAIR`.
    """
    _, largest = weight_range(bits)
    byte = source.high + source.zero_point
    factor = 1
    while largest * factor * 2 <= 127 and 2 * byte * largest * factor * 2 <= _LARGEST_PAIR:
        factor *= 2
    return factor


def _numbers(tensor: torch.Tensor) -> ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)


EVERY = range(2, 9)
"""The bits that a code may have."""


def weights_from(
    wide: Int[ndarray, "outputs ..."],
    wide_scale: Float32[ndarray, "outputs"],
    bias: Int32[ndarray, "outputs"],
    source: Grid,
    *,
    widths: Sequence[int] = EVERY,
    times: int | None = None,
) -> Weights:
    """Weights whose codes, times their refinement, are these bytes.

    Args:
        wide: codes on the finer grid, from -127 to 127.
        wide_scale: of that grid.
        bias: in units of `source.scale * wide_scale`.
        source: what the layer reads.
        widths: the bits that codes may have had, ascending.
        times: what codes were multiplied with, where that is known.

    Raises:
        ModelError: when no width explains the codes.
    """
    # Layers can have tens of millions of codes, so they are passed over without copies. The lowest bit that is set in
    # any code is the largest power of two that divides them all, also for negative codes.
    largest, set_bits = max(int(wide.max()), -int(wide.min())), int(np.bitwise_or.reduce(wide, axis=None))
    factors = {bits: refinement_of(bits, source) for bits in widths}
    explaining = [
        bits
        for bits, factor in factors.items()
        if times in (None, factor) and not set_bits % factor and largest <= weight_range(bits)[1] * factor
    ]
    if not explaining:
        raise ModelError(
            f"codes from {wide.min()} to {wide.max()} after they are multiplied by {times or 1}; expected codes of a "
            "few bits times what the exporter multiplies them by"
        )
    refinement = factors[explaining[0]]
    return Weights(
        # they fit: see `largest`
        codes=np.floor_divide(wide, np.int8(refinement), dtype=np.int8, casting="unsafe"),
        scale=wide_scale * np.float32(refinement),
        bits=max(bits for bits in explaining if factors[bits] == refinement),
        refinement=refinement,
    ).with_bias(bias, source)


def grid_from(scale: float, zero: int, low: int, high: int) -> Grid:
    """The grid of bytes from `low` to `high` around a zero point."""
    signed = zero > 0
    ranges = {bits: activation_range(bits, signed) for bits in EVERY}
    bits = next(
        bits
        for bits, (least, most) in ranges.items()
        if bits == 8 or (least <= low - zero and high - zero <= most)
    )
    return Grid(scale=scale, bits=bits, signed=signed, low=low - zero, high=high - zero)
