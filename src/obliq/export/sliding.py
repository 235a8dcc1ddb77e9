"""What must hold of the operators that slide over space."""

from collections.abc import Callable

import numpy as np

from obliq.export.contents import Node
from obliq.export.sums import check_sums
from obliq.export.values import Value, activation, require, setting, whole

_FURTHEST = 2**16
"""No stride, dilation, kernel or padding of ours comes near."""


def convolution(
    node: Node,
    read: list[Value],
    check: Callable[[Node, Value, Value, Value], None] = check_sums,
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


def average_pool(node: Node, read: list[Value]) -> Value:
    """The mean of windows.

    Raises:
        ModelError: when the windows do not fit.
    """
    source = read[0]
    require(
        source.flows and source.kind == "float32" and len(source.shape) in (2, 3), node, "a real activation"
    )
    return activation("float32", (source.shape[0], *_space(node, source.shape[1:], _kernel(node, source))))


def global_pool(node: Node, read: list[Value]) -> Value:
    """The mean over space.

    Raises:
        ModelError: when there is no space.
    """
    source = read[0]
    require(source.flows and source.kind == "float32" and len(source.shape) >= 2, node, "a real activation")
    return activation("float32", (source.shape[0], *(1 for _ in source.shape[1:])))


def max_pool(node: Node, read: list[Value]) -> Value:
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


def _kernel(node: Node, source: Value) -> tuple[int, ...]:
    require("kernel_shape" in node.settings, node, "a kernel")
    return setting(node, "kernel_shape", (1,) * (len(source.shape) - 1), 1, _FURTHEST)


def _space(node: Node, space: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes of a sliding window's result."""
    axes = len(space)
    strides = setting(node, "strides", (1,) * axes, 1, _FURTHEST)
    dilations = setting(node, "dilations", (1,) * axes, 1, _FURTHEST)
    pads = setting(node, "pads", (0,) * 2 * axes, 0, _FURTHEST)
    extent = (np.array(kernel, object) - 1) * np.array(dilations, object) + 1
    room = np.array(space, object) + np.array(pads[:axes], object) + np.array(pads[axes:], object) - extent
    require(all(size >= 0 for size in room), node, f"a window that fits into {space}")
    return tuple(int(size) for size in room // np.array(strides, object) + 1)
