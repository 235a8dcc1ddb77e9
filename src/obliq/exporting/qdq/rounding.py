"""Rounding in files of other quantizers: activations to bytes of either sign, and constants to and from codes.

Activations have one scale and any zero point. Weights and biases lie around zero. A clamp may stand between rounding
and dequantizing, which leaves fewer bits.
"""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from obliq.exporting.onnx.check_graph import Value, activation, constant_of, require, scales, whole
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.qdq.computed import Function, along, operator, optional, reals_of, unchanged
from obliq.quantization.learned_step import fake_quantize

_BYTES = {"uint8": (0, 255), "int8": (-128, 127)}
_TYPES = {2: "uint8", 3: "int8"}
_UNCLAMPED = Value(kind="", shape=()).span


def _single(value: Value) -> Value:
    """Scales and zero points of one element, which may have an axis or none, without it."""
    if value.constant is None or value.shape != (1,):
        return value
    return Value(kind=value.kind, shape=(), constant=value.constant.reshape(()))


def _zero(node: OnnxNode, read: list[Value]) -> Value:
    """The zero point, which may be left out."""
    stated = whole(node, "output_dtype", 0, 0, 3) if node.operator == "QuantizeLinear" else 0
    if (given := optional(read, 2)) is not None:
        require(stated in (0, *(one for one, name in _TYPES.items() if name == given.kind)), node, "one type")
        return _single(given)
    kind = read[0].kind if read[0].kind in (*_BYTES, "int32") else _TYPES.get(stated or 2, "")
    return Value(kind=kind, shape=(), constant=np.zeros((), kind))


@dataclass(frozen=True)
class _Grid:
    """The bytes of an activation.

    Attributes:
        step: one scale, or one a channel.
        zero: the byte of 0, or one a channel.
        kind: type of the bytes.
        column: the shape of scales next to samples.
    """

    step: ndarray
    zero: ndarray
    kind: str
    column: tuple[int, ...]

    @property
    def ends(self) -> tuple[ndarray, ndarray]:
        """The smallest and the largest code, or those of each channel."""
        low, high = _BYTES[self.kind]
        return np.asarray(low - self.zero), np.asarray(high - self.zero)

    @property
    def span(self) -> tuple[int, int]:
        """The smallest and the largest code of all."""
        low, high = self.ends
        return int(low.min()), int(high.max())


def _grid(node: OnnxNode, read: list[Value]) -> _Grid:
    whole(node, "block_size", 0, 0, 0)
    scale, zero, shape = _single(read[1]), _zero(node, read), read[0].shape
    several: tuple[int, ...] = ()
    column: tuple[int, ...] = ()
    if scale.shape == ():
        whole(node, "axis", 1, -8, 8)  # without a meaning for a single scale
    else:
        axis = _axis(node, len(shape) + 1)
        require(axis >= 1, node, "scales along an axis after the batch")
        several, column = shape[axis - 1 : axis], (1,) * axis + (-1,) + (1,) * (len(shape) - axis)
    step, fits = scales(scale, node, several), zero.kind in _BYTES and zero.shape in ((), several)
    held = constant_of(zero, node, fits, "one zero point of type uint8 or int8, or one for each scale")
    return _Grid(step, held.astype(np.int64), zero.kind, column)


def _quantize(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    if not source.flows:
        return _codes(node, read)
    require(source.kind == "float32", node, "a real activation")
    grid = _grid(node, read)
    return replace(activation(grid.kind, source.shape, grid.step, grid.span), zero=grid.zero)


def _axis(node: OnnxNode, rank: int) -> int:
    axis = whole(node, "axis", 1, -rank, rank - 1)
    return axis % rank


def _codes(node: OnnxNode, read: list[Value]) -> Value:
    """Constant weights that the file rounds when it runs."""
    reals, scale, zero = reals_of(read[0]), _single(read[1]), _zero(node, read)
    require(
        reals is not None and bool(np.isfinite(reals).all()) and reals.ndim > 0,
        node,
        "finite constant weights",
    )
    assert reals is not None
    steps, axis = _steps(node, scale, reals.shape)
    around = zero.constant is not None and zero.kind == "int8" and not zero.constant.any()
    require(around, node, "int8 weights around zero (symmetric, QInt8)")
    with np.errstate(over="ignore"):
        codes = np.clip(np.rint(reals / along(steps, axis, reals.ndim)), -128, 127).astype(np.int8)
    return Value(kind="int8", shape=codes.shape, constant=codes)


def _steps(node: OnnxNode, scale: Value, shape: tuple[int, ...]) -> tuple[ndarray, int]:
    """The scales of a constant of this shape, one or several along an axis, and that axis."""
    whole(node, "block_size", 0, 0, 0)
    if scale.shape == ():
        return scales(scale, node, ()), 0
    axis = _axis(node, len(shape))
    return scales(scale, node, shape[axis : axis + 1]), axis


def _dequantize(node: OnnxNode, read: list[Value]) -> Value:
    codes = read[0]
    require(node.settings.get("output_dtype", 0) in (0, 1), node, "float32 results")
    if codes.flows:
        grid = _grid(node, read)
        same = codes.scale is not None and np.array_equal(grid.step, codes.scale)
        same = same and grid.kind == codes.kind and np.array_equal(grid.zero, codes.zero)
        require(same, node, "the scale and zero point that the bytes were rounded with")
        return activation("float32", codes.shape, grid.step, codes.span)
    scale, zero_point = _single(read[1]), _zero(node, read)
    if codes.kind == "uint8" or codes.shape == ():
        return _constant(node, codes, scale, zero_point)
    steps, axis = _steps(node, scale, codes.shape)
    require(codes.kind in ("int8", "int32"), node, "int8 weights or an int32 bias")
    zeros = zero_point.constant
    around = zeros is not None and zero_point.kind == codes.kind and zero_point.shape in ((), steps.shape)
    require(around and not np.any(zeros), node, "zero points of 0: codes around zero (symmetric)")
    span = (-128, 127) if codes.span == _UNCLAMPED else codes.span
    return Value(kind="float32", shape=codes.shape, scale=steps, codes=codes.constant, axis=axis, span=span)


def _constant(node: OnnxNode, codes: Value, scale: Value, zero: Value) -> Value:
    """A constant that is added or multiplied, and was rounded as activations are."""
    step, expected = scales(scale, node, ()), "a constant with one scale and zero point"
    held = constant_of(codes, node, math.prod(codes.shape) <= 2**20, expected)
    around = constant_of(zero, node, zero.shape == () and zero.kind == codes.kind, expected)
    reals = np.asarray((held.astype(np.int64) - int(around)) * step, np.float32)
    return Value(kind="float32", shape=reals.shape, constant=reals, scale=step)


def _bounds(node: OnnxNode, read: list[Value], kind: str) -> tuple[float, float]:
    """Both bounds of a clamp; infinite where one is left out."""
    found = []
    for given, otherwise in ((optional(read, 1), -np.inf), (optional(read, 2), np.inf)):
        if given is None:
            found.append(otherwise)
            continue
        limit = _single(given)
        fits = limit.kind == kind and limit.shape == ()
        found.append(float(constant_of(limit, node, fits, f"constant {kind} bounds")))
    require(found[0] <= found[1] and bool(np.isfinite(found).any()), node, "bounds, the lower one first")
    return found[0], found[1]


def _clip(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    low, high = _bounds(node, read, source.kind)
    if source.kind == "float32" and source.flows:
        return activation("float32", source.shape)
    require(source.kind in _BYTES, node, "an activation, or int8 weights")
    least, most = _BYTES[source.kind]
    codes = int(max(low, least)), int(min(high, most))
    if source.flows:
        require(np.ndim(source.zero) == 0, node, "one scale and zero point")
        zero = int(source.zero)
        span = max(codes[0] - zero, source.span[0]), min(codes[1] - zero, source.span[1])
        require(span[0] <= span[1], node, "bounds within the bytes before")
        return replace(source, span=span)
    held = constant_of(source, node, True, "constant codes")
    return replace(source, constant=np.clip(held, *codes).astype(source.kind), span=codes)


def _rounded(node: OnnxNode, read: list[Value]) -> Function:
    """Rounding to the file's grid, in real numbers; halves go to the even code, the gradient passes within the grid."""
    grid = _grid(node, read)
    if not grid.column:
        (low, high), one = grid.span, float(grid.step)
        return lambda x: fake_quantize(x, x.new_tensor(one), low, high, 1.0)
    ends = (np.broadcast_to(end, grid.step.shape).astype(np.float32) for end in grid.ends)
    step, least, most = (torch.from_numpy(part.reshape(grid.column).copy()) for part in (grid.step, *ends))
    return functools.partial(_rounded_by_channel, step, least, most)


def _rounded_by_channel(step: Tensor, least: Tensor, most: Tensor, x: Tensor) -> Tensor:
    """The same with a grid for each channel."""
    codes = (x / step.to(x)).clamp(least.to(x), most.to(x))
    return (codes + (codes.round() - codes).detach()) * step.to(x)


def _clamped(node: OnnxNode, read: list[Value]) -> Function:
    source = read[0]
    low, high = _bounds(node, read, source.kind)
    if source.kind != "float32":  # bytes are real numbers in a rebuilt network
        assert source.scale is not None
        require(source.scale.ndim == 0, node, "one scale")
        low, high = ((limit - int(source.zero)) * float(source.scale) for limit in (low, high))
    return lambda x: x.clamp(low, high)


_OF_Q = ("axis", "saturate", "block_size", "output_dtype", "precision")

ROUNDING = {
    "QuantizeLinear": operator(_rounded, (2, 3), *_OF_Q, rule=_quantize),
    "DequantizeLinear": operator(unchanged, (2, 3), *_OF_Q, rule=_dequantize),
    "Clip": operator(_clamped, (1, 3), rule=_clip),
}
"""Those operators, by name."""
