"""Functions of values in files of other quantizers: activation functions, arithmetic, batch norm, softmax."""

import operator as arithmetic
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from obliq.errors import ModelError
from obliq.exporting.onnx.check_graph import (
    Operator,
    Value,
    activation,
    constant_of,
    real,
    require,
    text,
    whole,
)
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.qdq.computed import (
    BATCH,
    ForeignOperator,
    Function,
    bound,
    made,
    operator,
    optional,
    reals_of,
    unchanged,
)

_PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    **{"Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "HardSwish": F.hardswish, "Mish": F.mish},
    **{"Softplus": F.softplus, "Softsign": F.softsign, "Exp": torch.exp, "Erf": torch.erf},
    **{"Abs": torch.abs, "Neg": torch.neg, "Sqrt": torch.sqrt},
}


def _of_one(function: Callable[[Tensor], Tensor]) -> ForeignOperator:
    return operator(lambda node, read: bound(node, read, function), (1, 1))


def _of_slope(usual: float, function: Callable[[Tensor, float], Tensor]) -> ForeignOperator:
    def plan(node: OnnxNode, read: list[Value]) -> Function:
        slope = real(node, "alpha", usual)
        return bound(node, read, lambda x: function(x, slope))

    return operator(plan, (1, 1), "alpha")


def _hard_sigmoid(node: OnnxNode, read: list[Value]) -> Function:
    slope, middle = real(node, "alpha", 0.2), real(node, "beta", 0.5)
    return bound(node, read, lambda x: (slope * x + middle).clamp(0, 1))


def _gelu(node: OnnxNode, read: list[Value]) -> Function:
    way = text(node, "approximate", "none", ("none", "tanh"))
    return bound(node, read, lambda x: F.gelu(x, approximate=way))


def _batch_norm(node: OnnxNode, read: list[Value]) -> Function:
    share, (source, *parts) = real(node, "epsilon", 1e-5), read
    whole(node, "training_mode", 0, 0, 0)
    real(node, "momentum", 0.9)  # without a meaning here
    channels = source.shape[:1]
    require(source.flows and all(part.shape == channels for part in parts), node, "four constants a channel")
    held = [reals_of(part) for part in parts]
    require(all(part is not None for part in held), node, "four constants a channel")
    scale, shift, mean, variance = (np.asarray(part, np.float64) for part in held)
    require(bool((variance + share > 0).all()) and share >= 0, node, "variances above zero")
    finite = all(bool((np.abs(part) < 1e30).all()) for part in (scale, shift, mean, variance))
    require(finite, node, "real numbers, finite where they are constant")
    gain = scale / np.sqrt(variance + share)
    column = (-1,) + (1,) * (len(source.shape) - 1)
    with np.errstate(over="ignore"):
        numbers = [one.reshape(column).astype(np.float32) for one in (gain, shift - mean * gain)]
    constants = [Value(kind="float32", shape=one.shape, constant=one) for one in numbers]
    return bound(node, [source, *constants], lambda x, gain, shift: x * gain + shift)


_ARITHMETIC: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    **{"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div, "Pow": torch.pow},
    **{
        "Max": torch.maximum,
        "Min": torch.minimum,
        "PRelu": lambda x, slope: torch.where(x < 0, slope * x, x),
    },
}
_OF_SIZES = {"Add": arithmetic.add, "Sub": arithmetic.sub, "Mul": arithmetic.mul, "Div": arithmetic.floordiv}


def _of_two(name: str) -> ForeignOperator:
    function = _ARITHMETIC[name]

    def plan(node: OnnxNode, read: list[Value]) -> Function:
        first, second = read
        if first.flows and second.flows:  # sizes of one would count from the back of the other
            require(len(first.shape) == len(second.shape), node, "activations of as many axes")
            require(name not in ("PRelu", "Pow", "Div"), node, "a constant as its second input")
        held = reals_of(second)
        require(name != "Div" or held is None or bool((held != 0).all()), node, "a divisor that is not zero")
        return bound(node, read, function)

    def rule(node: OnnxNode, read: list[Value]) -> Value:
        if all(value.kind == "int64" for value in read) and name in _OF_SIZES:
            return _sizes(node, read, _OF_SIZES[name])
        return made(node, read, plan)

    return operator(plan, (2, 2), rule=rule)


def _sizes(node: OnnxNode, read: list[Value], function: Callable[[Any, Any], Any]) -> Value:
    """Arithmetic with sizes, such as half of the channels."""
    rows = [value.constant for value in read if value.constant is not None]
    known = len(rows) == 2 and all(row.size <= 8 and bool((np.abs(row) < 2**31).all()) for row in rows)
    require(known, node, "sizes other than that of the batch, and numbers below 2^31")
    first, second = rows
    divides = function is not arithmetic.floordiv or bool((second > 0).all() and (first >= 0).all())
    require(divides and len({first.shape, second.shape} - {()}) <= 1, node, "sizes that can be computed")
    values = np.asarray(function(first, second), np.int64)  # below 2^62
    return Value(kind="int64", shape=values.shape, constant=values)


def _mean(node: OnnxNode, read: list[Value]) -> Function:
    """The mean over all of space, and no other; its axes are a setting, or an input from operator set 18 on."""
    source, *given = read
    rank = len(source.shape) + 1
    axes = given[0].constant if given and given[0].kind == "int64" else node.settings.get("axes")
    found = () if axes is None else tuple(int(axis) for axis in np.ravel(axes)[:8])
    fits = rank >= 3 and sorted(axis % rank for axis in found) == list(range(2, rank))
    require(fits and all(-rank <= axis < rank for axis in found), node, "a mean over all of space")
    require(not (given and "axes" in node.settings), node, "axes in one place")
    require(source.flows and source.kind == "float32", node, "a real activation")
    kept = bool(whole(node, "keepdims", 1, 0, 1))
    return lambda x: x.mean(tuple(range(2, rank)), keepdim=kept)


def _softmax(node: OnnxNode, read: list[Value]) -> Function:
    require(len(read[0].shape) == 1, node, "one row a sample")
    whole(node, "axis", -1, -1, 1)
    require(node.settings.get("axis", -1) != 0, node, "the axis of classes")
    # the logarithm of the probabilities: logits but for a constant, which is what a network is trained with
    return bound(node, read, lambda x: x.log_softmax(-1))


def require_softmax_last(nodes: tuple[OnnxNode, ...], last: str) -> None:
    """Raise unless a softmax is what gives the result.

    Raises:
        ModelError: naming the node.
    """
    for node in nodes:
        if node.operator == "Softmax" and node.output != last:
            raise ModelError(
                f"Softmax that makes {node.output!r}: expected it last, on real numbers; leave it out of the network "
                "or of what is quantized"
            )


def _relu(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    require(source.flows and source.kind == "float32", node, "a real activation")
    low, high = (max(0, code) for code in source.span)
    return activation("float32", source.shape, source.scale, (low, high))


def _cast(node: OnnxNode, read: list[Value]) -> Value:
    source, kind = read[0], {1: "float32", 7: "int64"}.get(whole(node, "to", 0, 1, 7), "")
    if source.kind == kind == "float32":
        return source
    held = constant_of(source, node, kind != "", "reals as reals, or a few constants")
    require(held.size <= 8, node, "reals as reals, or a few constants")
    exact = bool((np.abs(held) < 2**24).all()) and not bool((held == BATCH).any())
    require(exact and source.kind in ("float32", "int64", "int32"), node, "whole numbers below 2^24")
    return Value(kind=kind, shape=source.shape, constant=held.astype(kind))


def _identity(node: OnnxNode, read: list[Value]) -> Value:
    """The same under another name: Identity, and dropout outside of training."""
    source, *others = read
    require(not any(one.flows for one in others), node, "constant settings")
    if (training := optional(read, 2)) is not None:
        require(training.constant is not None and not training.constant.any(), node, "no training")
    require(source.kind != "nothing", node, "a value")
    return source


FUNCTIONS: dict[str, Operator] = {
    **{name: _of_one(function) for name, function in _PLAIN.items()},
    # its gradient at 0 is 0; that of a clamp is 1
    "Relu": operator(lambda node, read: torch.relu, (1, 1), rule=_relu),
    "HardSigmoid": operator(_hard_sigmoid, (1, 1), "alpha", "beta"),
    "LeakyRelu": _of_slope(0.01, F.leaky_relu),
    "Elu": _of_slope(1.0, F.elu),
    "Gelu": operator(_gelu, (1, 1), "approximate"),
    "Swish": _of_slope(1.0, lambda x, slope: x * (slope * x).sigmoid()),
    "BatchNormalization": operator(_batch_norm, (5, 5), "epsilon", "momentum", "training_mode"),
    "ReduceMean": operator(_mean, (1, 2), "axes", "keepdims"),
    "Softmax": operator(_softmax, (1, 1), "axis"),
    "Cast": operator(unchanged, (1, 1), "to", rule=_cast),
    "Identity": operator(unchanged, (1, 1), rule=_identity),
    "Dropout": operator(unchanged, (1, 3), "seed", rule=_identity),
    **{name: _of_two(name) for name in _ARITHMETIC},
}
"""Those operators, by name."""
