"""The operators that files of other quantizers may use, and what must hold of each.

Activations are bytes of either sign with any zero point, weights int8 codes around zero with one scale or one
an output, biases int32 codes in the accumulator's unit or plain float32. Rectifiers and clamps may stand
between a sum and its rounding.
"""

import numpy as np

from obliq.errors import ModelError
from obliq.exporting.onnx.check_graph import Operator, Value, activation, followed, require, scales, whole
from obliq.exporting.onnx.contents import LARGEST_FILE, Contents, OnnxNode
from obliq.exporting.onnx.storage import clip, dequantized, identity
from obliq.exporting.operations import OPERATIONS
from obliq.exporting.qdq.parse import foreign_parsed

_BYTES = {"uint8": (0, 255), "int8": (-128, 127)}


def foreign_contents(data: bytes) -> Contents:
    """What is in the bytes of a file of another quantizer, checked in full.

    Raises:
        ModelError: in one line; unsupported operators and layouts by the name of what the node makes.
    """
    if len(data) > LARGEST_FILE:
        raise ModelError(f"{len(data)} bytes; expected at most {LARGEST_FILE}")
    parsed = foreign_parsed(data, QDQ_RULES)
    values = followed(parsed.contents, QDQ_RULES, parsed.node_constants)
    for name, kind, sizes in parsed.declared:
        if name in values:
            _require_as_declared(name, values[name], kind, sizes)
    return parsed.contents


def _require_as_declared(name: str, value: Value, kind: str, sizes: tuple[int | None, ...]) -> None:
    """Runtimes plan memory by declared shapes. Declarations of values that do not exist are ignored."""
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
    scale, zero = _single(scale), _single(zero)
    if scale.shape != ():
        whole(node, "axis", 1, 0, 0)
        require("axis" in node.settings, node, "scales along axis 0")
    return dequantized(node, codes, scales(scale, node, () if scale.shape == () else codes.shape[:1]), zero)


def _clip(node: OnnxNode, read: list[Value]) -> Value:
    require(read[0].kind == "float32", node, "a real activation")
    return clip(node, read)


def _rectifier(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    require(source.flows and source.kind == "float32", node, "a real activation")
    low, high = (max(0, code) for code in source.span)
    return activation("float32", source.shape, source.scale, (low, high))


_AXIS = frozenset({"axis"})
QDQ_RULES: dict[str, Operator] = {
    "QuantizeLinear": Operator(rule=_quantize, inputs=(3, 3), settings=_AXIS),
    "DequantizeLinear": Operator(rule=_dequantize, inputs=(3, 3), settings=_AXIS),
    "Clip": Operator(rule=_clip, inputs=(3, 3)),
    "Relu": Operator(rule=_rectifier, inputs=(1, 1)),
    "Identity": Operator(rule=identity, inputs=(1, 1)),
    **{name: one for step in OPERATIONS for name, one in {**step.onnx, **step.qdq}.items() if not one.own},
}
"""Every operator that is read in these files, in the standard domain."""
