"""What the nodes of a traced network do, as far as the placement of quantizers needs to know.

An operation is the class of a module, a function, or the name of a tensor method.
"""

import math
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from obliq.quantization.layers import QUANTIZED, QuantizedWeight

RECTIFIERS: set[Any] = {nn.ReLU, F.relu, torch.relu, "relu"}
"""Plain ReLU: an unsigned quantizer does the same."""

CLIPPED_RECTIFIERS: set[Any] = {nn.ReLU6, F.relu6, nn.Hardtanh, F.hardtanh}
"""Bounded above too. They share the quantizer of the layer before them, but stay in the graph."""

NORMALISATIONS: set[Any] = {nn.BatchNorm1d, nn.BatchNorm2d}
"""Folded into the layer before them at export."""

DROPOUTS: set[Any] = {nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout}

PRESERVING: set[Any] = DROPOUTS | {
    *(nn.Identity, nn.Flatten, nn.Unflatten, nn.ChannelShuffle, nn.PixelShuffle),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.ZeroPad1d, nn.ZeroPad2d),
    *(F.max_pool1d, F.max_pool2d, F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.channel_shuffle),
    *(torch.max_pool1d, torch.max_pool2d, torch.flatten, torch.reshape, torch.permute, torch.transpose),
    *(torch.squeeze, torch.unsqueeze, torch.chunk, torch.split, torch.amax, F.pixel_shuffle),
    operator.getitem,
    *("flatten", "view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "contiguous", "chunk"),
    *("split", "amax", "unflatten", "expand", "detach", "clone", "mT", "T"),
}
"""Move or select values without computing new ones: values on a grid stay on it."""

ADDITIONS: set[Any] = {operator.add, operator.iadd, torch.add, "add"}

AVERAGES: set[Any] = {
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
    *(F.avg_pool1d, F.avg_pool2d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d),
    *(torch.mean, "mean", torch.sum, "sum"),
}

_POSITIVE: set[Any] = RECTIFIERS | {
    *(nn.ReLU6, F.relu6, nn.Sigmoid, torch.sigmoid, F.sigmoid, "sigmoid", nn.Hardsigmoid, F.hardsigmoid),
    *(nn.Softmax, torch.softmax, F.softmax, "softmax", torch.abs, "abs", torch.square, "square"),
    *(torch.exp, "exp", nn.Softplus, F.softplus),
}

_SIGN_KEEPING: set[Any] = {
    *(PRESERVING | ADDITIONS | AVERAGES),
    *(operator.mul, operator.imul, torch.mul, "mul", operator.truediv, torch.div, "div"),
    *(torch.cat, torch.concat, torch.stack, torch.maximum, torch.minimum),
}

COMPARISONS: set[Any] = {
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.invert),
    *(torch.lt, torch.le, torch.gt, torch.ge, torch.eq, torch.ne, torch.isnan, torch.logical_not),
    *("lt", "le", "gt", "ge", "eq", "ne", "isnan", "logical_not", "bool"),
}
"""Return truth values, which have no grid."""

_NUMBERS: set[Any] = {"size", "dim", "numel", "stride", "is_contiguous", getattr, len}
"""Return sizes, not tensors."""


def operation(node: fx.Node) -> Any:
    """The class of a called module, the called function, or the name of the called method."""
    if node.op == "call_module":
        return type(module_of(node))
    return node.target if node.op in ("call_function", "call_method") else None


def module_of(node: fx.Node) -> nn.Module:
    """The module that a `call_module` node calls."""
    owner = node.graph.owning_module
    assert owner is not None
    return owner.get_submodule(str(node.target))


def is_weighted(node: fx.Node) -> bool:
    """Whether a node is a convolution or linear layer, float or quantized."""
    if node.op != "call_module":
        return False
    module = module_of(node)
    return type(module) in QUANTIZED or isinstance(module, QuantizedWeight)


def is_number(node: fx.Node) -> bool:
    """Whether a node computes with sizes rather than with tensors."""
    if operation(node) in _NUMBERS:
        return True
    computes = node.op in ("call_function", "call_method")
    return computes and bool(node.all_input_nodes) and all(map(is_number, node.all_input_nodes))


def tensor_users(node: fx.Node) -> list[fx.Node]:
    """The users of a node that read its values and not only its shape."""
    return [user for user in node.users if not is_number(user)]


def never_negative(node: fx.Node, known: dict[fx.Node, bool]) -> bool:
    """Whether the values of a node can be proved to be at least zero, given `known` for its inputs.

    Only the graph is used, never data, so that the same network always gets the same grids.
    """
    kind = operation(node)
    if kind in _POSITIVE:
        return True
    if kind in (nn.Hardtanh, F.hardtanh):
        return _lower_bound(node) >= 0
    if kind not in _SIGN_KEEPING:
        return False
    numbers = [value for value in (*node.args, *node.kwargs.values()) if isinstance(value, int | float)]
    arithmetic = kind not in PRESERVING | AVERAGES
    if arithmetic and any(value < 0 for value in numbers):
        return False
    return all(known.get(value, False) for value in node.all_input_nodes if not is_number(value))


def _lower_bound(node: fx.Node) -> float:
    if node.op == "call_module":
        return float(getattr(module_of(node), "min_val", -math.inf))
    bound: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("min_val", -1.0)
    return float(bound) if isinstance(bound, int | float) else -math.inf
