"""What the nodes of a traced network do, as far as the placement of quantizers needs to know.

An operation is the class of a module, a function, or the name of a tensor method.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, fx, nn

from obliq.errors import ModelError
from obliq.quantization.layers import QUANTIZED
from obliq.quantization.quantized_weight import QuantizedWeight


class DropoutFunction(nn.Module):
    """A function that drops parts of its input in training, and returns it in evaluation."""

    def __init__(self, function: Callable[..., Tensor], arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self.function, self.arguments = function, dict(arguments)

    def forward(self, input: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """What is left of the input."""
        return self.function(input, **self.arguments, training=self.training)

    def extra_repr(self) -> str:
        """The function and its arguments."""
        return f"{getattr(self.function, '__name__', '')}, {self.arguments}"


RECTIFIERS: set[Any] = {nn.ReLU, F.relu, torch.relu, "relu"}
"""Plain ReLU: an unsigned quantizer does the same."""

CLIPPED_RECTIFIERS: set[Any] = {nn.ReLU6, F.relu6, nn.Hardtanh, F.hardtanh}
"""Bounded above too. They share the quantizer of the layer before them, but stay in the graph."""

NORMALISATIONS: set[Any] = {nn.BatchNorm1d, nn.BatchNorm2d}
"""Folded into the layer before them at export."""

DROPOUTS: set[Any] = {
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout),
    DropoutFunction,
}

TRANSPARENT: set[Any] = DROPOUTS | {nn.Identity, "contiguous", "clone", "detach"}
"""Return their input in evaluation mode: a layer, its batch norm and its rectifier are one unit across them."""

PRESERVING: set[Any] = TRANSPARENT | {
    *(nn.Flatten, nn.Unflatten, nn.ChannelShuffle, nn.PixelShuffle),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.ZeroPad1d, nn.ZeroPad2d),
    *(F.max_pool1d, F.max_pool2d, F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.channel_shuffle),
    *(torch.max_pool1d, torch.max_pool2d, torch.flatten, torch.reshape, torch.permute, torch.transpose),
    *(torch.squeeze, torch.unsqueeze, torch.chunk, torch.split, torch.amax, F.pixel_shuffle),
    *(torch.flip, torch.roll, torch.narrow, torch.movedim, torch.swapaxes, torch.unbind, F.pixel_unshuffle),
    *(nn.PixelUnshuffle, operator.getitem),
    *("flatten", "view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "chunk"),
    *("split", "amax", "unflatten", "expand", "mT", "T", "flip", "roll", "narrow", "select", "movedim"),
    *("swapaxes", "unbind"),
}
"""Move or select values without computing new ones: values on a grid stay on it."""

ADDITIONS: set[Any] = {operator.add, operator.iadd, torch.add, "add"}

PRODUCTS: set[Any] = {operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "multiply"}

CONCATENATIONS: set[Any] = {torch.cat, torch.concat, torch.concatenate}

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

_SEVERAL: dict[Any, str] = {
    **dict.fromkeys((torch.max, "max", torch.min, "min"), "torch.amax(x, dim) or torch.amin(x, dim)"),
    **dict.fromkeys(
        (torch.topk, "topk", torch.sort, "sort", torch.kthvalue, "kthvalue"), "no order of values"
    ),
    **dict.fromkeys(
        (torch.median, "median", torch.mode, "mode", torch.var_mean), "an average, or torch.amax"
    ),
    **dict.fromkeys((F.max_pool1d_with_indices, F.max_pool2d_with_indices), "return_indices=False"),
}
"""Functions that give several tensors, some of them places and not values; and what to use instead."""

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


def path_of(node: fx.Node) -> str:
    """Where a node stands: the layer's name, or the function's and the module that calls it."""
    if node.op == "call_module":
        return str(node.target)
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    function = getattr(node.target, "__name__", str(node.target))
    return f"{stack[-1][0]}.{function}".strip(".") if stack else function


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


def moves_values(node: fx.Node) -> bool:
    """Whether a call moves or selects values without computing new ones: values on a grid stay on it."""
    if operation(node) is F.interpolate:
        given = dict(zip(("input", "size", "scale_factor", "mode"), node.args, strict=False)) | node.kwargs
        return given.get("mode", "nearest") in ("nearest", "nearest-exact")
    if operation(node) in (nn.Upsample, nn.UpsamplingNearest2d):
        return getattr(module_of(node), "mode", "") in ("nearest", "nearest-exact")
    return operation(node) in PRESERVING


def require_one_result(node: fx.Node) -> None:
    """Raise when a call gives several tensors, which cannot lie on one grid.

    Raises:
        ModelError: naming the call, and what to use instead.
    """
    kind = operation(node)
    taken_apart = any(operation(user) in (operator.getitem, getattr) for user in node.users)
    with_places = node.kwargs.get("return_indices") is True or (
        node.op == "call_module" and getattr(module_of(node), "return_indices", False) is True
    )
    if with_places or (kind in _SEVERAL and taken_apart):
        instead = "return_indices=False" if with_places else _SEVERAL[kind]
        raise ModelError(f"{path_of(node)} gives several tensors, with places of values; expected {instead}")


def past_transparent(node: fx.Node) -> fx.Node:
    """The node itself, or the one in front of the dropout and identity that it is."""
    while operation(node) in TRANSPARENT:
        node = node.all_input_nodes[0]
    return node


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
