"""The operators between bytes and real numbers: how integers are stored in our files, and what must hold of them.

A runtime trusts all of this. Files with scales, zero points, axes or packed sizes that do not fit their
tensors have made kernels of well-known runtimes read beyond their buffers. What does not fit raises `ModelError`.
"""

import numpy as np

from obliq.exporting.onnx.check_graph import (
    Operator,
    Value,
    activation,
    constant_of,
    require,
    scalar,
    scales,
    whole,
)
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations import OPERATIONS, LookupTable, Multiply
from obliq.exporting.operations.rearrange import check_take
from obliq.exporting.operations.table import ENTRIES

_ZERO_POINTS = (0, 128)


def _quantize(node: OnnxNode, read: list[Value]) -> Value:
    source, scale, zero = read
    require(source.flows and source.kind == "float32", node, "a real activation")
    step, first = scales(scale, node, ()), scalar(zero, node, "uint8")
    require(first in _ZERO_POINTS, node, "a zero point of 0 or 128")
    if source.scale is not None:  # real values of a table
        low, high = source.span
        same = bool(source.scale == step) and low >= -first and high <= 255 - first
        require(same, node, "the scale and zero point of the table")
    return activation("uint8", source.shape)


def _dequantize(node: OnnxNode, read: list[Value]) -> Value:
    codes, scale, *zeros = read
    if not codes.flows and codes.kind == "uint8":
        return _table(node, codes, scale, *zeros)
    if not codes.flows:
        whole(node, "axis", 1, 0, 0)
        return dequantized(node, codes, scales(scale, node, codes.shape[:1]), *zeros)
    require(codes.kind == "uint8" and not node.settings, node, "bytes without an axis")
    step = scales(scale, node, ())
    zero = scalar(zeros[0], node, "uint8") if zeros else 0
    require(len(zeros) == 1 and zero in _ZERO_POINTS, node, "a zero point of 0 or 128")
    low, high = codes.span
    return activation("float32", codes.shape, step, (low - zero, high - zero))


def _table(node: OnnxNode, codes: Value, scale: Value, *zeros: Value) -> Value:
    """The bytes of a table as real numbers."""
    require(codes.shape == (ENTRIES,) and not node.settings, node, f"{ENTRIES} bytes without an axis")
    step, zero = scales(scale, node, ()), scalar(zeros[0], node, "uint8") if zeros else -1
    require(zero in _ZERO_POINTS, node, "a zero point of 0 or 128")
    assert codes.constant is not None
    return Value(kind="float32", shape=codes.shape, scale=step, codes=codes.constant.astype(np.int32) - zero)


def dequantized(node: OnnxNode, codes: Value, step: np.ndarray, zero: Value | None = None) -> Value:
    """Constant codes around zero as real numbers."""
    require(codes.kind in ("int8", "int32") and len(codes.shape) >= 1, node, "int8 weights or an int32 bias")
    assert codes.constant is not None
    if codes.kind == "int8":
        require(int(codes.constant.min()) >= -127, node, "codes from -127: their range is symmetric")
    if zero is not None:
        fits = zero.constant is not None and zero.kind == codes.kind and zero.shape == step.shape
        require(fits and not np.any(zero.constant), node, "zero points of 0, one a scale: codes around zero")
    return Value(
        kind="float32", shape=codes.shape, scale=step, codes=codes.constant.astype(codes.kind, copy=False)
    )


def clip(node: OnnxNode, read: list[Value]) -> Value:
    """Clamping between two constants; the result is on no grid."""
    source = read[0]
    require(source.flows and source.kind in ("uint8", "float32"), node, "an activation")
    bounds = []
    for bound in read[1:]:
        fits = bound.kind == source.kind and bound.shape == ()
        bounds.append(float(constant_of(bound, node, fits, f"constant {source.kind} bounds")))
    require(-np.inf < bounds[0] <= bounds[1] < np.inf, node, "finite bounds, the lower one first")
    span = (int(bounds[0]), int(bounds[1])) if source.kind == "uint8" else source.span
    return activation(source.kind, source.shape, span=span)


def identity(node: OnnxNode, read: list[Value]) -> Value:
    """The same activation under another name."""
    require(read[0].flows, node, "an activation")
    return read[0]


def _cast(node: OnnxNode, read: list[Value]) -> Value:
    kind = {3: "int8", 6: "int32"}.get(whole(node, "to", 0, 3, 6), "")
    require(bool(kind), node, "a cast to int8 or int32")
    source = read[0]
    if source.flows:  # bytes that choose from a table
        require(source.kind == "uint8" and kind == "int32", node, "constant codes, or bytes as int32")
        return activation("int32", source.shape)
    codes = constant_of(source, node, source.kind in ("int2", "int4", "int32"), "constant codes")
    if source.kind == "int32":
        fits = int(codes.min()) >= -127 and int(codes.max()) <= 127
        require(kind == "int8" and fits, node, "codes that fit in a byte")
    # codes take no more bytes than they need, whatever their type is called
    return Value(kind=kind, shape=source.shape, constant=codes.astype(np.int8, copy=False))


def _largest(codes: np.ndarray) -> int:
    """The largest magnitude; a copy of them could be large."""
    return max(int(codes.max()), -int(codes.min()))


def _multiply(node: OnnxNode, read: list[Value]) -> Value:
    first, second = read
    if first.flows or second.flows:
        return Multiply.onnx["Mul"].rule(node, read)
    if first.kind == "float32":
        require(first.constant is not None and len(first.shape) == 1, node, "constant scales")
        with np.errstate(over="ignore", under="ignore"):
            unit = scales(first, node, first.shape) * scales(second, node, ())
        return Value(kind="float32", shape=first.shape, constant=unit)
    codes = constant_of(first, node, first.kind == "int32", "constant codes")
    require(codes.size > 0 and _largest(codes) <= 127, node, "constant codes")
    times = scalar(second, node, "int32")
    require(times in (1, 2, 4, 8, 16, 32, 64), node, "a power of two up to 64")
    wide = np.multiply(codes, np.int16(times), dtype=np.int16, casting="unsafe")  # at most 127 * 64
    return Value(kind="int32", shape=first.shape, constant=wide)


def _gather(node: OnnxNode, read: list[Value]) -> Value:
    return (check_take if read[0].flows else LookupTable.onnx["Gather"].rule)(node, read)


RULES: dict[str, Operator] = {
    "QuantizeLinear": Operator(rule=_quantize, inputs=(3, 3)),
    "DequantizeLinear": Operator(rule=_dequantize, inputs=(2, 3), settings=frozenset({"axis"})),
    "Clip": Operator(rule=clip, inputs=(3, 3)),
    "Identity": Operator(rule=identity, inputs=(1, 1)),
    "Cast": Operator(rule=_cast, inputs=(1, 1), settings=frozenset({"to"}), width=1),
    **{name: one for step in OPERATIONS for name, one in step.onnx.items()},
    "Mul": Operator(rule=_multiply, inputs=(2, 2), width=4),  # of constants, or of activations
    # places of an axis, or a table
    "Gather": Operator(rule=_gather, inputs=(2, 2), settings=frozenset({"axis"})),
}
"""Every operator that our exporter writes, in the standard domain."""
