"""The operators that a file may use, and what must hold of each: types, shapes, scales and sums.

A runtime trusts all of this. Files with scales, zero points, axes or packed sizes that do not fit their
tensors have made kernels of well-known runtimes read beyond their buffers.
"""

from collections.abc import Callable

import numpy as np

from obliq.exporting.onnx.check_graph import (
    Operator,
    Value,
    activation,
    require,
    scalar,
    scales,
    setting,
    whole,
)
from obliq.exporting.onnx.contents import OnnxNode

_LARGEST_SUM = 2**31 - 1


def gemm(node: OnnxNode, read: list[Value]) -> Value:
    """A matrix (outputs, inputs) applied to one row a sample.

    Raises:
        ModelError: when something does not fit.
    """
    source, weight, bias = read
    require(node.settings == {"transB": 1} and whole(node, "transB", 0, 1, 1) == 1, node, "transB of 1")
    fits = source.flows and len(source.shape) == 1 and len(weight.shape) == 2
    require(fits and weight.shape[1] == source.shape[0], node, f"weights for inputs of shape {source.shape}")
    check_sums(node, source, weight, bias)
    return activation("float32", (weight.shape[0],))


def check_sums(node: OnnxNode, source: Value, weight: Value, bias: Value) -> None:
    """Reals made from codes, or plain finite reals, whose parts fit together.

    Raises:
        ModelError: when the bias lies on another grid than the products, or a sum could overflow.
    """
    outputs = weight.shape[0]
    real = source.kind == weight.kind == bias.kind == "float32"
    require(real and not weight.flows and not bias.flows, node, "a real activation, constant weight and bias")
    require(bias.shape == (outputs,), node, f"one bias for each of {outputs} outputs")
    in_codes = source.scale is not None, weight.codes is not None, bias.codes is not None
    require(len(set(in_codes)) == 1, node, "input, weight and bias all on grids, or none")
    if not in_codes[0]:
        finite = all(
            part.constant is not None and np.isfinite(part.constant).all() for part in (weight, bias)
        )
        require(finite, node, "finite weights and biases")
        return
    assert source.scale is not None
    assert weight.scale is not None
    assert bias.scale is not None
    assert weight.codes is not None
    assert bias.codes is not None
    require(
        weight.codes.dtype == np.int8 and bias.codes.dtype == np.int32, node, "int8 weights, an int32 bias"
    )
    with np.errstate(over="ignore", under="ignore"):
        unit = source.scale.astype(np.float32) * weight.scale.astype(np.float32)
    require(bool(np.array_equal(unit, bias.scale)), node, "a bias in units of input scale times weight scale")
    wide = np.abs(weight.codes.reshape(outputs, -1).astype(np.int64)).sum(axis=1) * max(map(abs, source.span))
    largest = int((wide + np.abs(bias.codes.astype(np.int64))).max())
    require(largest <= _LARGEST_SUM, node, "sums that fit in int32")


_FURTHEST = 2**16
"""No stride, dilation, kernel or padding of ours comes near."""


def convolution(
    node: OnnxNode,
    read: list[Value],
    check: Callable[[OnnxNode, Value, Value, Value], None] = check_sums,
) -> Value:
    """One- or two-dimensional, with groups.

    Args:
        node: the convolution.
        read: its input, weight and bias.
        check: what else must hold of the three.

    Raises:
        ModelError: when shapes, groups, grids or sums do not fit.
    """
    source, weight, bias = read
    axes = len(source.shape) - 1
    require(
        source.flows and axes in (1, 2) and len(weight.shape) == axes + 2, node, "one or two axes of space"
    )
    groups = whole(node, "group", 1, 1, _FURTHEST)
    fits = weight.shape[1] * groups == source.shape[0] and weight.shape[0] % groups == 0
    require(fits, node, f"weights for {source.shape[0]} channels in {groups} groups")
    check(node, source, weight, bias)
    space = _space(node, source.shape[1:], weight.shape[2:])
    return activation("float32", (weight.shape[0], *space))


def average_pool(node: OnnxNode, read: list[Value]) -> Value:
    """The mean of windows.

    Raises:
        ModelError: when the windows do not fit.
    """
    source = read[0]
    require(
        source.flows and source.kind == "float32" and len(source.shape) in (2, 3), node, "a real activation"
    )
    return activation("float32", (source.shape[0], *_space(node, source.shape[1:], _kernel(node, source))))


def global_pool(node: OnnxNode, read: list[Value]) -> Value:
    """The mean over space.

    Raises:
        ModelError: when there is no space.
    """
    source = read[0]
    require(source.flows and source.kind == "float32" and len(source.shape) >= 2, node, "a real activation")
    return activation("float32", (source.shape[0], *(1 for _ in source.shape[1:])))


def max_pool(node: OnnxNode, read: list[Value]) -> Value:
    """The largest of windows; codes stay codes.

    Raises:
        ModelError: when the windows do not fit, or would lie in the padding alone.
    """
    source = read[0]
    require(source.flows and len(source.shape) in (2, 3), node, "an activation with space")
    kernel = _kernel(node, source)
    pads = setting(node, "pads", (0,) * 2 * len(kernel), 0, _FURTHEST)
    require(
        all(pad < size for pad, size in zip(pads, kernel * 2, strict=True)), node, "less padding than kernel"
    )
    return activation(
        source.kind, (source.shape[0], *_space(node, source.shape[1:], kernel)), source.scale, source.span
    )


def _kernel(node: OnnxNode, source: Value) -> tuple[int, ...]:
    require("kernel_shape" in node.settings, node, "a kernel")
    return setting(node, "kernel_shape", (1,) * (len(source.shape) - 1), 1, _FURTHEST)


def _space(node: OnnxNode, space: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes of a sliding window's result."""
    axes = len(space)
    strides = setting(node, "strides", (1,) * axes, 1, _FURTHEST)
    dilations = setting(node, "dilations", (1,) * axes, 1, _FURTHEST)
    pads = setting(node, "pads", (0,) * 2 * axes, 0, _FURTHEST)
    extent = (np.array(kernel, object) - 1) * np.array(dilations, object) + 1
    room = np.array(space, object) + np.array(pads[:axes], object) + np.array(pads[axes:], object) - extent
    require(all(size >= 0 for size in room), node, f"a window that fits into {space}")
    return tuple(int(size) for size in room // np.array(strides, object) + 1)


_ZERO_POINTS = (0, 128)


def _quantize(node: OnnxNode, read: list[Value]) -> Value:
    source, scale, zero = read
    require(source.flows and source.kind == "float32", node, "a real activation")
    scales(scale, node, ())
    require(scalar(zero, node, "uint8") in _ZERO_POINTS, node, "a zero point of 0 or 128")
    return activation("uint8", source.shape)


def _dequantize(node: OnnxNode, read: list[Value]) -> Value:
    codes, scale, *zeros = read
    if codes.flows:
        require(codes.kind == "uint8" and not node.settings, node, "bytes without an axis")
        step = scales(scale, node, ())
        zero = scalar(zeros[0], node, "uint8") if zeros else 0
        require(len(zeros) == 1 and zero in _ZERO_POINTS, node, "a zero point of 0 or 128")
        low, high = codes.span
        return activation("float32", codes.shape, step, (low - zero, high - zero))
    require(codes.kind in ("int8", "int32") and len(codes.shape) >= 1, node, "int8 weights or an int32 bias")
    whole(node, "axis", 1, 0, 0)
    step = scales(scale, node, codes.shape[:1])
    assert codes.constant is not None
    if codes.kind == "int8":
        lowest = int(codes.constant.min())
        require(lowest >= -127, node, "codes from -127: their range is symmetric")
    if zeros:
        fits = zeros[0].constant is not None and zeros[0].kind == codes.kind and zeros[0].shape == step.shape
        require(fits and not np.any(zeros[0].constant), node, "zero points of 0, one a scale")
    return Value(kind="float32", shape=codes.shape, scale=step, codes=codes.constant)


def clip(node: OnnxNode, read: list[Value]) -> Value:
    """Clamping between two constants; the result is on no grid.

    Raises:
        ModelError: when the bounds are of another type, not finite, or the wrong way round.
    """
    source = read[0]
    require(source.flows and source.kind in ("uint8", "float32"), node, "an activation")
    bounds = []
    for bound in read[1:]:
        fits = bound.constant is not None and bound.kind == source.kind and bound.shape == ()
        require(fits, node, f"constant {source.kind} bounds")
        assert bound.constant is not None
        bounds.append(float(bound.constant))
    require(-np.inf < bounds[0] <= bounds[1] < np.inf, node, "finite bounds, the lower one first")
    span = (int(bounds[0]), int(bounds[1])) if source.kind == "uint8" else source.span
    return activation(source.kind, source.shape, span=span)


def add(node: OnnxNode, read: list[Value]) -> Value:
    """The sum of two activations of one shape.

    Raises:
        ModelError: for anything else.
    """
    first, second = read
    fits = first.flows and second.flows and first.kind == second.kind == "float32"
    require(fits and first.shape == second.shape, node, "two real activations of one shape")
    return activation("float32", first.shape)


def flatten(node: OnnxNode, read: list[Value]) -> Value:
    """Everything behind the batch in one axis.

    Raises:
        ModelError: for a constant, or another axis.
    """
    source = read[0]
    whole(node, "axis", 1, 1, 1)
    require(source.flows, node, "an activation")
    return activation(source.kind, (int(np.prod(source.shape, dtype=object)),), source.scale, source.span)


def identity(node: OnnxNode, read: list[Value]) -> Value:
    """The same activation under another name.

    Raises:
        ModelError: for a constant.
    """
    require(read[0].flows, node, "an activation")
    return read[0]


def _cast(node: OnnxNode, read: list[Value]) -> Value:
    kind = {3: "int8", 6: "int32"}.get(whole(node, "to", 0, 3, 6), "")
    require(bool(kind), node, "a cast to int8 or int32")
    source = read[0]
    require(source.constant is not None and source.kind in ("int2", "int4", "int32"), node, "constant codes")
    assert source.constant is not None
    if source.kind == "int32":
        low, high = int(source.constant.min()), int(source.constant.max())
        require(kind == "int8" and low >= -127 and high <= 127, node, "codes that fit in a byte")
    return Value(kind=kind, shape=source.shape, constant=source.constant.astype(kind))


def _multiply(node: OnnxNode, read: list[Value]) -> Value:
    first, second = read
    if first.kind == "float32":
        require(first.constant is not None and len(first.shape) == 1, node, "constant scales")
        assert first.constant is not None
        with np.errstate(over="ignore", under="ignore"):
            unit = scales(first, node, first.shape) * scales(second, node, ())
        return Value(kind="float32", shape=first.shape, constant=unit)
    fits = first.constant is not None and first.kind == "int32" and first.constant.size > 0
    require(fits and int(np.abs(first.constant).max()) <= 127, node, "constant codes")  # type: ignore[arg-type]
    times = scalar(second, node, "int32")
    require(times in (1, 2, 4, 8, 16, 32, 64), node, "a power of two up to 64")
    assert first.constant is not None
    return Value(kind="int32", shape=first.shape, constant=first.constant * np.int32(times))


_SLIDING = frozenset({"strides", "pads", "dilations"})
RULES = {
    "QuantizeLinear": Operator(rule=_quantize, inputs=(3, 3)),
    "DequantizeLinear": Operator(rule=_dequantize, inputs=(2, 3), settings=frozenset({"axis"})),
    "Clip": Operator(rule=clip, inputs=(3, 3)),
    "Conv": Operator(rule=convolution, inputs=(3, 3), settings=_SLIDING | {"group"}),
    "Gemm": Operator(rule=gemm, inputs=(3, 3), settings=frozenset({"transB"})),
    "Add": Operator(rule=add, inputs=(2, 2)),
    "AveragePool": Operator(
        rule=average_pool, inputs=(1, 1), settings=frozenset({"kernel_shape", "strides"})
    ),
    "GlobalAveragePool": Operator(rule=global_pool, inputs=(1, 1)),
    "MaxPool": Operator(rule=max_pool, inputs=(1, 1), settings=_SLIDING | {"kernel_shape"}),
    "Flatten": Operator(rule=flatten, inputs=(1, 1), settings=frozenset({"axis"})),
    "Identity": Operator(rule=identity, inputs=(1, 1)),
    "Cast": Operator(rule=_cast, inputs=(1, 1), settings=frozenset({"to"})),
    "Mul": Operator(rule=_multiply, inputs=(2, 2)),
}
"""Every operator that our exporter writes, in the standard domain."""
