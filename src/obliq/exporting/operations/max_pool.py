"""The largest code of windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator, Value, activation, require
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape, window_sizes
from obliq.exporting.operations.flatten import Flatten
from obliq.exporting.operations.step import Codes, Convolve, Reals, Step, TracedCall
from obliq.exporting.operations.windows import (
    WINDOW,
    Window,
    an_axis,
    arguments_of,
    axes_over,
    in_the_plane,
    padded,
)
from obliq.quantization.operations import operation

_AMAX: set[Any] = {torch.amax, "amax"}
_LARGEST_OF_ALL: set[Any] = _AMAX | {
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, F.adaptive_max_pool1d, F.adaptive_max_pool2d),
}
_LARGEST: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d}


def _check(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    moves = source.flows and source.kind in ("uint8", "int8", "float32") and len(source.shape) in (2, 3)
    require(moves, node, "an activation with space")
    window = Window.of_pool(node, len(source.shape) - 1)
    inside = all(max(pads) < size for pads, size in zip(window.padding, window.kernel, strict=True))
    require(inside, node, "less padding than kernel")
    shape = (source.shape[0], *window.places_in(node, source.shape[1:]))
    return activation(source.kind, shape, source.scale, source.span)


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Step):
    """The largest of each window: larger codes are larger numbers, so nothing is rounded and the grid stays.

    Attributes:
        kernel: how many values of each axis a window covers.
        stride: how far windows are apart.
        padding: how many places before and after each axis windows may cover; they are never the largest.
        dilation: how far the values of a window are apart.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    moves: ClassVar = True
    sizes: ClassVar = {"kernel": 1, "stride": 1, "padding": -1, "dilation": 1}
    calls: ClassVar = frozenset({nn.MaxPool1d, nn.MaxPool2d, F.max_pool1d, F.max_pool2d, *_LARGEST_OF_ALL})
    offers: ClassVar = "max pools"
    onnx: ClassVar = {"MaxPool": Operator(rule=_check, inputs=(1, 1), settings=WINDOW)}
    xnnpack: ClassVar[frozenset[str] | None] = frozenset({"XNNMaxPooling2d"})

    @property
    def window(self) -> Window:
        """What slides."""
        return Window(self.kernel, self.stride, self.padding, self.dilation)

    @classmethod
    def from_call(cls, call: TracedCall) -> tuple[Step, ...]:
        space, found = call.read[1:], call.result[1:]
        if operation(call.node) in _LARGEST_OF_ALL:
            return cls._of_all(call)
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
        given = arguments_of(call.node, names, padding=0, dilation=1)
        if given["return_indices"]:
            raise ModelError(
                f"{call.fields['path']} uses return_indices; expected a max pool that gives values alone"
            )
        axes = 1 if operation(call.node) in (nn.MaxPool1d, F.max_pool1d) else 2
        kernel, stride, padding, dilation = (an_axis(given[name], axes) for name in names[:4])
        window = Window(kernel, stride or kernel, tuple((size, size) for size in padding), dilation)
        if window.places(space) == found:
            return (cls(**call.fields, **vars(window)),)
        return (UnevenMaxPool(**call.fields, **vars(window.reaching(space, found))),)

    @classmethod
    def _of_all(cls, call: TracedCall) -> tuple[Step, ...]:
        """The largest value of all of space, or of equal parts of it."""
        path, space = call.fields["path"], call.read[1:]
        found = call.result[1:] or (1,) * len(space)
        if operation(call.node) in _AMAX:
            whole_space = axes_over(call.node, call.rank) == set(range(2, call.rank))
            found = (1,) * len(space) if whole_space else ()
        divides = len(found) == len(space) > 0 and all(
            size % parts == 0 for size, parts in zip(space, found, strict=True)
        )
        if not divides:
            raise ModelError(
                f"{path} takes the largest values in a way without an integer form here; expected those of all of "
                "space, or of equal parts of it"
            )
        kernel = tuple(size // parts for size, parts in zip(space, found, strict=True))
        none = ((0, 0),) * len(kernel)
        pool = cls(**call.fields, kernel=kernel, stride=kernel, padding=none, dilation=(1,) * len(kernel))
        if len(call.result) == len(call.read):
            return (pool,)
        row = Flatten(name=f"{pool.name}_flat", path=path, sources=(pool.name,), grid=pool.grid)
        return pool, row

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        patches = self.window.patches(read[0], outside=np.iinfo(np.int32).min)
        largest: ndarray = patches.max(axis=tuple(range(read[0].ndim, patches.ndim)))
        return largest

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        # PyTorch's own padding is limited to half the kernel, and the same on both sides
        values = padded(read[0], self.padding, -torch.inf)
        return _LARGEST[len(self.kernel)](values, self.kernel, self.stride, 0, self.dilation)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        return "MaxPool", {"kernel_shape": self.kernel, **self.window.settings()}

    @classmethod
    def from_onnx(cls, node: OnnxNode, contents: Contents, **fields: Any) -> Step:
        window = Window.of_pool(node)
        even = all(before == after for before, after in window.padding)
        # files of other quantizers have no description, which tells the two kinds apart
        return (UnevenMaxPool if contents.own and not even else MaxPool)(**fields, **vars(window))

    def in_executorch(self, read: list[Reals], convolve: Convolve) -> Reals:
        before, _ = zip(*self.padding, strict=True)
        kernel, stride, dilation = map(in_the_plane, (self.kernel, self.stride, self.dilation))
        return F.max_pool2d(read[0], kernel, stride, in_the_plane(before, 0), dilation)

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        sizes = window_sizes(self.window, reads[0], result, self.path)
        return (CCall(kernel="max_pool", struct="window", sizes=sizes),)


class UnevenMaxPool(MaxPool):
    """The same with other padding after an axis than before it, as `ceil_mode` has."""

    sizes: ClassVar = {"kernel": 1, "stride": 1, "padding": 2, "dilation": 1}
    calls: ClassVar = frozenset()
    offers: ClassVar = "max pools with ceil_mode"
    onnx: ClassVar = {}
    xnnpack: ClassVar = None
