"""Layers that another quantizer left in real numbers. They compute as they are, and nothing in them is trained."""

import functools
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from obliq.exporting.onnx.check_graph import Value, whole
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations.windows import FURTHEST, Window, padded
from obliq.exporting.qdq.computed import Function, bound

_CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}


def real_layer(node: OnnxNode, read: list[Value]) -> Function:
    """The convolution or product of a node whose weights are real numbers.

    Args:
        node: checked.
        read: what is known of its inputs.
    """
    given = [value for value in read if value.kind != "nothing"]
    if node.operator == "Conv":
        window, groups = Window.of_node(node, read[1].shape[2:]), whole(node, "group", 1, 1, FURTHEST)
        return bound(node, given, functools.partial(_convolution, window, groups))
    outputs_first = node.operator == "Gemm" and node.settings.get("transB", 0) == 1
    return bound(node, given, functools.partial(_product, outputs_first))


def _convolution(
    window: Window, groups: int, x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    convolve, values = _CONVOLVE[len(window.kernel)], padded(x, window.padding)
    return convolve(values, weight, bias, window.stride, 0, window.dilation, groups)


def _product(outputs_first: bool, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight if outputs_first else weight.T, bias)
