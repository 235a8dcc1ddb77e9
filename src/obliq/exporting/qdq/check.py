"""The operators that files of other quantizers may use, and what must hold of each.

Activations are bytes of either sign with any zero point, weights int8 codes around zero with one scale or one
an output, biases int32 codes in the accumulator's unit or plain float32. Rectifiers and clamps may stand
between a sum and its rounding.
"""

import numpy as np

from obliq.errors import ModelError
from obliq.exporting.onnx.check_graph import (
    LARGEST_SAMPLE,
    Operator,
    Value,
    activation,
    followed,
    require,
    scales,
    setting,
    whole,
)
from obliq.exporting.onnx.check_operators import (
    add,
    average_pool,
    check_sums,
    clip,
    convolution,
    flatten,
    global_pool,
    identity,
    max_pool,
)
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.qdq.parse import foreign_parsed

_BYTES = {"uint8": (0, 255), "int8": (-128, 127)}


def foreign_contents(data: bytes) -> Contents:
    """What is in the bytes of a file that another quantizer made, checked in full.

    Raises:
        ModelError: in one line; unsupported operators and layouts by the name of what the node makes.
    """
    parsed = foreign_parsed(data, RULES)
    values = followed(parsed.contents, RULES, parsed.made)
    for name, kind, sizes in parsed.declared:
        if name in values:
            _require_as_declared(name, values[name], kind, sizes)
    return parsed.contents


def _require_as_declared(name: str, value: Value, kind: str, sizes: tuple[int | None, ...]) -> None:
    """Runtimes plan memory by declared shapes; of values that are gone they may say anything."""
    found = (None, *value.shape) if value.flows else value.shape
    free = (None, None) if value.flows and len(sizes) == 2 else found  # an output of unnamed size
    if kind != value.kind or sizes not in (found, free):
        raise ModelError(f"{name!r} is declared as {kind} of shape {sizes}; expected {value.kind} of {found}")


def _single(value: Value) -> Value:
    """Scales and zero points of one element, which may have an axis or none, without it."""
    if value.constant is None or value.shape != (1,):
        return value
    return Value(kind=value.kind, shape=(), constant=value.constant.reshape(()))


def _grid(node: OnnxNode, scale: Value, zero: Value) -> tuple[np.ndarray, str, tuple[int, int]]:
    """The scale of an activation, the type of its bytes, and the codes that those stand for."""
    scale, zero = _single(scale), _single(zero)
    whole(node, "axis", 1, -8, 8)  # without a meaning for a single scale
    step = scales(scale, node, ())
    fits = zero.constant is not None and zero.kind in _BYTES and zero.shape == ()
    require(fits, node, "one zero point of type uint8 or int8")
    assert zero.constant is not None
    low, high = _BYTES[zero.kind]
    return step, zero.kind, (low - int(zero.constant), high - int(zero.constant))


def _quantize(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    require(source.flows and source.kind == "float32", node, "a real activation")
    step, kind, span = _grid(node, *read[1:])
    return activation(kind, source.shape, step, span)


def _dequantize(node: OnnxNode, read: list[Value]) -> Value:
    codes, scale, zero = read
    if codes.flows:
        step, kind, span = _grid(node, scale, zero)
        same = (kind, span) == (codes.kind, codes.span) and bool(step == codes.scale)
        require(same, node, "the scale and zero point that the bytes were rounded with")
        return activation("float32", codes.shape, step, span)
    require(codes.kind in ("int8", "int32") and len(codes.shape) >= 1, node, "int8 weights or an int32 bias")
    scale, zero = _single(scale), _single(zero)
    if scale.shape != ():
        whole(node, "axis", 1, 0, 0)
        require("axis" in node.settings, node, "scales along axis 0")
    step = scales(scale, node, () if scale.shape == () else codes.shape[:1])
    assert codes.constant is not None
    if codes.kind == "int8":
        require(int(codes.constant.min()) >= -127, node, "codes from -127: their range is symmetric")
    fits = zero.constant is not None and zero.kind == codes.kind and zero.shape == step.shape
    require(fits and not np.any(zero.constant), node, "zero points of 0, one a scale: codes around zero")
    return Value(kind="float32", shape=codes.shape, scale=step, codes=codes.constant)


def _clip(node: OnnxNode, read: list[Value]) -> Value:
    require(read[0].kind == "float32", node, "a real activation")
    return clip(node, read)


def _rectifier(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    require(source.flows and source.kind == "float32", node, "a real activation")
    low, high = (max(0, code) for code in source.span)
    return activation("float32", source.shape, source.scale, (low, high))


def _convolution(node: OnnxNode, read: list[Value]) -> Value:
    weight = read[1]
    setting(node, "kernel_shape", weight.shape[2:], 1, 2**16)
    require(
        node.settings.get("kernel_shape", weight.shape[2:]) == weight.shape[2:], node, "the weight's kernel"
    )
    return convolution(node, read, _check_sums)


def _gemm(node: OnnxNode, read: list[Value]) -> Value:
    source, weight, bias = read
    require(whole(node, "transB", 0, 1, 1) == 1, node, "transB of 1")
    fits = source.flows and len(source.shape) == 1 and len(weight.shape) == 2
    require(fits and weight.shape[1] == source.shape[0], node, f"weights for inputs of shape {source.shape}")
    _check_sums(node, source, weight, bias)
    return activation("float32", (weight.shape[0],))


def _check_sums(node: OnnxNode, source: Value, weight: Value, bias: Value) -> None:
    """As for our own files, but the bias may be float32."""
    require(
        source.scale is not None and weight.codes is not None, node, "an input and a weight that lie on grids"
    )
    assert weight.scale is not None
    if bias.codes is None:
        fits = bias.constant is not None and bias.kind == "float32" and bias.shape == weight.shape[:1]
        require(fits and bool(np.isfinite(bias.constant).all()), node, "one finite bias for each output")  # type: ignore[arg-type]
        assert source.scale is not None
        unit = source.scale * weight.scale
        bias = Value(kind="float32", shape=bias.shape, scale=unit, codes=np.zeros(bias.shape, np.int32))
    check_sums(node, source, weight, bias)


def _mean(node: OnnxNode, read: list[Value]) -> Value:
    """The mean over all of space, and no other."""
    source, *given = read
    rank = len(source.shape) + 1
    axes = given[0].constant if given and given[0].kind == "int64" else node.settings.get("axes")
    found = () if axes is None else tuple(int(axis) for axis in np.ravel(axes)[:8])
    fits = rank >= 3 and sorted(axis % rank for axis in found) == list(range(2, rank))
    require(fits and all(-rank <= axis < rank for axis in found), node, "a mean over all of space")
    require(not (given and "axes" in node.settings), node, "axes in one place")
    pooled = global_pool(node, read[:1])
    return pooled if whole(node, "keepdims", 1, 0, 1) else activation("float32", source.shape[:1])


def _reshape(node: OnnxNode, read: list[Value]) -> Value:
    """Everything behind the batch in one axis, written out."""
    source, shape = read
    whole(node, "allowzero", 0, 0, 1)
    row = int(np.prod(source.shape, dtype=object))
    found = () if shape.constant is None else tuple(shape.constant.reshape(-1)[:3].tolist())
    zero = found[:1] == (0,) and node.settings.get("allowzero", 0) == 0  # the batch as it is
    fits = shape.kind == "int64" and shape.shape == (2,) and row <= LARGEST_SAMPLE
    require(
        fits and (found == (-1, row) or (zero and found[1] in (-1, row))), node, f"the shape (batch, {row})"
    )
    require(source.flows and source.kind == "float32", node, "a real activation")
    return activation("float32", (row,), source.scale, source.span)


def _average(node: OnnxNode, read: list[Value]) -> Value:
    pads = node.settings.get("pads", ())
    require(isinstance(pads, tuple) and not any(pads), node, "windows without padding")
    axes = len(read[0].shape) - 1
    require(node.settings.get("dilations", (1,) * axes) == (1,) * axes, node, "windows without gaps")
    whole(node, "count_include_pad", 0, 0, 1)  # without a meaning for windows without padding
    return average_pool(node, read)


_SLIDING = frozenset({"kernel_shape", "strides", "pads", "dilations"})
_AXIS = frozenset({"axis"})
RULES = {
    "QuantizeLinear": Operator(rule=_quantize, inputs=(3, 3), settings=_AXIS),
    "DequantizeLinear": Operator(rule=_dequantize, inputs=(3, 3), settings=_AXIS),
    "Clip": Operator(rule=_clip, inputs=(3, 3)),
    "Relu": Operator(rule=_rectifier, inputs=(1, 1)),
    "Conv": Operator(rule=_convolution, inputs=(3, 3), settings=_SLIDING | {"group"}),
    "Gemm": Operator(rule=_gemm, inputs=(3, 3), settings=frozenset({"transB"})),
    "Add": Operator(rule=add, inputs=(2, 2)),
    "AveragePool": Operator(rule=_average, inputs=(1, 1), settings=_SLIDING | {"count_include_pad"}),
    "GlobalAveragePool": Operator(rule=global_pool, inputs=(1, 1)),
    "ReduceMean": Operator(rule=_mean, inputs=(1, 2), settings=frozenset({"axes", "keepdims"})),
    "MaxPool": Operator(rule=max_pool, inputs=(1, 1), settings=_SLIDING),
    "Flatten": Operator(rule=flatten, inputs=(1, 1), settings=_AXIS),
    "Reshape": Operator(rule=_reshape, inputs=(2, 2), settings=frozenset({"allowzero"})),
    "Identity": Operator(rule=identity, inputs=(1, 1)),
}
"""Every operator that is read in these files, in the standard domain."""
