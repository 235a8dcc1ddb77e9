"""The operators that a file may use, and what must hold of each: types, shapes, scales and sums.

A runtime trusts all of this. Files with scales, zero points, axes or packed sizes that do not fit their
tensors have made kernels of well-known runtimes read beyond their buffers.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from obliq.errors import ModelError
from obliq.export.contents import Contents, Node, file_bytes, parsed
from obliq.export.onnx_model import INPUT, LOGITS
from obliq.export.sliding import average_pool, convolution, global_pool, max_pool
from obliq.export.sums import gemm
from obliq.export.values import Value, activation, require, scalar, scales, whole

Rule = Callable[[Node, list[Value]], Value]
MOST_PRODUCTS = 2**40
"""Multiplications for one sample."""

_ZERO_POINTS = (0, 128)


def read_onnx(file: Path) -> Contents:
    """An ONNX file that our exporter made, read and checked in full.

    One regular file, no link, no external data, only the operators of `RULES` in the standard domain; names,
    types, shapes, scales, zero points, packed sizes and sums are checked before a runtime sees it.

    Raises:
        ModelError: in one line that names the file, what was found and what was expected.
    """
    try:
        return contents_of(file_bytes(file))
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith(f"{file}: ") else f"{file}: {text}") from error


def contents_of(data: bytes) -> Contents:
    """The same for a file's bytes.

    Raises:
        ModelError: as `read_onnx`, without a file's name.
    """
    contents = parsed(data)
    values = {
        name: Value(kind=contents.kinds[name], shape=values.shape, constant=values)
        for name, values in contents.constants.items()
    }
    if INPUT in values:
        raise ModelError(f"a constant is called {INPUT!r}; expected that of the input alone")
    values[INPUT] = activation("float32", contents.input_shape)
    unread = set(values)
    products = 0
    for node in contents.nodes:
        rule = RULES.get(node.operator)
        if rule is None:
            raise ModelError(f"operator {node.operator[:80]!r} is not read; expected {', '.join(RULES)}")
        least, most, settings = _SIGNATURES[node.operator]
        require(least <= len(node.inputs) <= most, node, f"{least} to {most} inputs")
        require(
            set(node.settings) <= settings, node, f"settings {', '.join(sorted(settings)) or 'of no kind'}"
        )
        require(node.output not in values, node, "a name of its own for each value")
        require(values.keys() >= set(node.inputs), node, "inputs that were made before")
        values[node.output] = made = rule(node, [values[name] for name in node.inputs])
        unread = (unread - set(node.inputs)) | {node.output}
        products += _products(node, values, made)
    if unread != {LOGITS} or not values[LOGITS].flows:
        raise ModelError(f"{sorted(unread)[:3]} are not read by anything; expected that of {LOGITS!r} alone")
    if values[LOGITS].kind != "float32" or len(values[LOGITS].shape) != 1:
        raise ModelError(f"{LOGITS!r} is {values[LOGITS]}; expected a float32 row for each sample")
    if products > MOST_PRODUCTS:
        raise ModelError(f"{products} multiplications for a sample; expected at most {MOST_PRODUCTS}")
    return contents


def _products(node: Node, values: dict[str, Value], made: Value) -> int:
    if node.operator not in ("Conv", "Gemm"):
        return 0
    return int(np.prod(values[node.inputs[1]].shape[1:], dtype=object) * np.prod(made.shape, dtype=object))


def _quantize(node: Node, read: list[Value]) -> Value:
    source, scale, zero = read
    require(source.flows and source.kind == "float32", node, "a real activation")
    scales(scale, node, ())
    require(scalar(zero, node, "uint8") in _ZERO_POINTS, node, "a zero point of 0 or 128")
    return activation("uint8", source.shape)


def _dequantize(node: Node, read: list[Value]) -> Value:
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


def _clip(node: Node, read: list[Value]) -> Value:
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


def _add(node: Node, read: list[Value]) -> Value:
    first, second = read
    fits = first.flows and second.flows and first.kind == second.kind == "float32"
    require(fits and first.shape == second.shape, node, "two real activations of one shape")
    return activation("float32", first.shape)


def _flatten(node: Node, read: list[Value]) -> Value:
    source = read[0]
    whole(node, "axis", 1, 1, 1)
    require(source.flows, node, "an activation")
    return activation(source.kind, (int(np.prod(source.shape, dtype=object)),), source.scale, source.span)


def _identity(node: Node, read: list[Value]) -> Value:
    require(read[0].flows, node, "an activation")
    return read[0]


def _cast(node: Node, read: list[Value]) -> Value:
    kind = {3: "int8", 6: "int32"}.get(whole(node, "to", 0, 3, 6), "")
    require(bool(kind), node, "a cast to int8 or int32")
    source = read[0]
    require(source.constant is not None and source.kind in ("int2", "int4", "int32"), node, "constant codes")
    assert source.constant is not None
    if source.kind == "int32":
        low, high = int(source.constant.min()), int(source.constant.max())
        require(kind == "int8" and low >= -127 and high <= 127, node, "codes that fit in a byte")
    return Value(kind=kind, shape=source.shape, constant=source.constant.astype(kind))


def _multiply(node: Node, read: list[Value]) -> Value:
    codes, factor = read
    fits = codes.constant is not None and codes.kind == "int32" and codes.constant.size > 0
    require(fits and int(np.abs(codes.constant).max()) <= 127, node, "constant codes")  # type: ignore[arg-type]
    times = scalar(factor, node, "int32")
    require(times in (1, 2, 4, 8, 16, 32, 64), node, "a power of two up to 64")
    assert codes.constant is not None
    return Value(kind="int32", shape=codes.shape, constant=codes.constant * np.int32(times))


RULES: dict[str, Rule] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Clip": _clip,
    "Conv": convolution,
    "Gemm": gemm,
    "Add": _add,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool,
    "MaxPool": max_pool,
    "Flatten": _flatten,
    "Identity": _identity,
    "Cast": _cast,
    "Mul": _multiply,
}
"""Every operator that is read, in the standard domain."""

_POOL = frozenset({"kernel_shape", "strides", "pads", "dilations"})
_SIGNATURES: dict[str, tuple[int, int, frozenset[str]]] = {
    "QuantizeLinear": (3, 3, frozenset()),
    "DequantizeLinear": (2, 3, frozenset({"axis"})),
    "Clip": (3, 3, frozenset()),
    "Conv": (3, 3, frozenset({"strides", "pads", "dilations", "group"})),
    "Gemm": (3, 3, frozenset({"transB"})),
    "Add": (2, 2, frozenset()),
    "AveragePool": (1, 1, frozenset({"kernel_shape", "strides"})),
    "GlobalAveragePool": (1, 1, frozenset()),
    "MaxPool": (1, 1, _POOL),
    "Flatten": (1, 1, frozenset({"axis"})),
    "Identity": (1, 1, frozenset()),
    "Cast": (1, 1, frozenset({"to"})),
    "Mul": (2, 2, frozenset()),
}
"""The fewest and most inputs of each, and its settings."""
