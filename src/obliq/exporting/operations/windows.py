"""What slides over space: the windows of convolutions and pools, wherever their sizes are written.

A node whose window does not fit raises `ModelError`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor, fx

from obliq.exporting.onnx.check_graph import require, setting
from obliq.exporting.onnx.contents import OnnxNode
from obliq.quantization.operations import module_of

FURTHEST = 2**16
"""No stride, dilation, kernel or padding of ours comes near."""

SLIDING = frozenset({"strides", "pads", "dilations"})
"""The settings of ONNX for a window, but for the size of its kernel."""

WINDOW = SLIDING | {"kernel_shape"}
"""All of them."""


@dataclass(frozen=True)
class Window:
    """A window, with one number an axis of space.

    Attributes:
        kernel: how many places it covers.
        stride: how far it moves.
        padding: what stands before and after the values.
        dilation: the distance of the places that it covers.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    @classmethod
    def of_node(cls, node: OnnxNode, kernel: tuple[int, ...]) -> "Window":
        """The window of a node."""
        axes = len(kernel)
        stride = setting(node, "strides", (1,) * axes, 1, FURTHEST)
        dilation = setting(node, "dilations", (1,) * axes, 1, FURTHEST)
        pads = setting(node, "pads", (0,) * 2 * axes, 0, FURTHEST)
        return cls(kernel, stride, tuple(zip(pads[:axes], pads[axes:], strict=True)), dilation)

    @classmethod
    def of_pool(cls, node: OnnxNode, axes: int | None = None) -> "Window":
        """The same of a node that states its kernel.

        Args:
            node: the pool.
            axes: how many there must be; of a node that was checked before, as many as there are.
        """
        kernel = node.settings.get("kernel_shape")
        require(isinstance(kernel, tuple), node, "a kernel")
        assert isinstance(kernel, tuple)
        return cls.of_node(node, setting(node, "kernel_shape", (1,) * (axes or len(kernel)), 1, FURTHEST))

    def settings(self) -> dict[str, tuple[int, ...]]:
        """The settings of a node, without those that have ONNX's default value."""
        before, after = zip(*self.padding, strict=True)
        every = {"strides": self.stride, "pads": (*before, *after), "dilations": self.dilation}
        usual = {"strides": 1, "pads": 0, "dilations": 1}
        return {name: sizes for name, sizes in every.items() if set(sizes) != {usual[name]}}

    @property
    def extent(self) -> tuple[int, ...]:
        """How many values it reaches over, those in its gaps included."""
        return tuple((size - 1) * gap + 1 for size, gap in zip(self.kernel, self.dilation, strict=True))

    def places(self, space: tuple[int, ...]) -> tuple[int, ...]:
        """How many places it takes along each axis, without the rounding up of `ceil_mode`."""
        sizes = zip(space, self.padding, self.extent, self.stride, strict=True)
        return tuple((size + sum(pads) - extent) // step + 1 for size, pads, extent, step in sizes)

    def places_in(self, node: OnnxNode, space: tuple[int, ...]) -> tuple[int, ...]:
        """The same for a node of a file, which may state any numbers."""
        sizes = zip(space, self.padding, self.extent, strict=True)
        slight = all(max(pads) <= max(size, extent) for size, pads, extent in sizes)
        # a result is no multiple of what is read
        require(slight, node, f"pads of at most the window's size, or those of {space}")
        places = self.places(space)
        require(min(places, default=1) >= 1, node, f"a window that fits into {space}")
        return places

    def reaching(self, space: tuple[int, ...], found: tuple[int, ...]) -> "Window":
        """The same with as much padding after each axis as so many places take."""
        sizes = zip(space, found, self.padding, self.extent, self.stride, strict=True)
        padding = tuple(
            (before, (places - 1) * step + extent - size - before)
            for size, places, (before, _), extent, step in sizes
        )
        return replace(self, padding=padding)

    def patches(self, codes: ndarray, outside: int = 0) -> ndarray:
        """(batch, channels, *places, *kernel): what the window sees at each place."""
        padded = np.pad(codes, ((0, 0), (0, 0), *self.padding), constant_values=outside)
        views = np.lib.stride_tricks.sliding_window_view(padded, self.extent, tuple(range(2, padded.ndim)))
        every = [slice(None, None, step) for step in (*self.stride, *self.dilation)]
        seen: ndarray = views[(slice(None), slice(None), *every)]
        return seen

    def convolve(self, groups: int, values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """A convolution in PyTorch."""
        inside = padded(values, self.padding)
        return _CONVOLVE[len(self.kernel)](inside, weight, bias, self.stride, 0, self.dilation, groups)


_CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}


def padded(values: Tensor, padding: Sequence[tuple[int, int]], outside: float = 0.0) -> Tensor:
    """The values with what `padding` says before and after each axis of space; themselves where that is nothing."""
    around = [size for pair in reversed(padding) for size in pair]
    return F.pad(values, around, value=outside) if any(around) else values


def in_the_plane(sizes: tuple[int, ...], otherwise: int = 1) -> list[int]:
    """One size for each of two axes of space; the first is missing where there is one axis."""
    return [otherwise, *sizes][-2:]


def arguments_of(node: fx.Node, names: Sequence[str], **usual: Any) -> dict[str, Any]:
    """The arguments of a call after its first, by name: attributes of a module, or those of a function."""
    if node.op == "call_module":
        module = module_of(node)
        return {name: getattr(module, name, None) for name in names}
    given = dict(zip(names, node.args[1:], strict=False))
    return dict.fromkeys(names) | usual | given | {k: v for k, v in node.kwargs.items() if k in names}


def axes_over(node: fx.Node, rank: int) -> set[int]:
    """The axes that a call reduces, counted from the front; none of them where it reduces all values to one."""
    given = arguments_of(node, ("dim",))["dim"]
    axes = given if isinstance(given, tuple | list) else (given,)
    return set() if None in axes else {axis % rank for axis in axes}


def an_axis(value: Any, axes: int) -> tuple[int, ...]:
    """An argument of a call as one number an axis; empty when it was not given."""
    if value is None or value == []:
        return ()
    return (value,) * axes if isinstance(value, int) else tuple(value) * (axes if len(value) == 1 else 1)
