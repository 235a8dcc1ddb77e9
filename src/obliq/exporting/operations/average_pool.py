"""The mean of windows, or over all of space."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator, Value, activation, require, whole
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape, window_sizes
from obliq.exporting.operations.flatten import Flatten
from obliq.exporting.operations.layer import CONVOLUTIONS
from obliq.exporting.operations.rearrange import Reshape, Take
from obliq.exporting.operations.step import Codes, Convolve, Kernel, Reals, Step, TracedCall
from obliq.exporting.operations.windows import WINDOW, Window, an_axis, arguments_of, axes_over, in_the_plane
from obliq.quantization.operations import AVERAGES, operation

_AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d}
_OF_WINDOWS: dict[Any, int] = {nn.AvgPool1d: 1, F.avg_pool1d: 1, nn.AvgPool2d: 2, F.avg_pool2d: 2}
_OF_ALL: set[Any] = {
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
    *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d),
}
_MEANS: set[Any] = {torch.mean, "mean"}


def _check_windows(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    spatial = source.flows and source.kind == "float32" and len(source.shape) in (2, 3)
    require(spatial, node, "a real activation")
    window = Window.of_pool(node, len(source.shape) - 1)
    return activation("float32", (source.shape[0], *window.places_in(node, source.shape[1:])))


def _check_foreign(node: OnnxNode, read: list[Value]) -> Value:
    """Other quantizers state more settings, of windows that have neither padding nor gaps."""
    pads, axes = node.settings.get("pads", ()), len(read[0].shape) - 1
    require(isinstance(pads, tuple) and not any(pads), node, "windows without padding")
    require(node.settings.get("dilations", (1,) * axes) == (1,) * axes, node, "windows without gaps")
    whole(node, "count_include_pad", 0, 0, 1)  # without a meaning for windows without padding
    return _check_windows(node, read)


def _check_all(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    require(source.flows and source.kind == "float32" and len(source.shape) >= 2, node, "a real activation")
    return activation("float32", (source.shape[0], *(1 for _ in source.shape[1:])))


_SMALLEST_FACTOR, _LARGEST_FACTOR = 2.0**-32, 2.0**8
"""Of a mean over all of space in ONNX Runtime, which stops at others."""


def _spelled(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes)) or "one value"


def _equal_windows(size: int, places: int) -> tuple[tuple[int, ...], int] | None:
    """The windows of an adaptive pool along an axis, one after the other, and how many values each has.

    PyTorch's window i of n over a values is floor(i a / n) to ceil((i + 1) a / n). If there are more windows than
    values, windows have one value or two; those of one get it twice, which leaves the mean as it is. None where
    windows have other unequal sizes: they would take many copies.
    """
    if size % places == 0:
        return tuple(range(size)), size // places
    if size > places:
        return None
    windows = [range(i * size // places, -(-(i + 1) * size // places)) for i in range(places)]
    most = max(map(len, windows))
    return tuple(at for one in windows for at in (*one, *one)[:most]), most


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Step):
    """Codes c on a grid of scale s become round(sum(c) * (s / (u n))) on one of scale u, for windows of n values.

    The sum is a whole number. The denominator, the factor and the product are rounded to float32 each.

    Attributes:
        kernel: how many values of each axis a window covers; empty for all of space.
        stride: how far windows are apart.
    """

    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()

    sizes: ClassVar = {"kernel": 1, "stride": 1}
    sizes_may_miss: ClassVar = True
    calls: ClassVar = frozenset(AVERAGES)
    offers: ClassVar = "average pools and means over space"
    onnx: ClassVar = {
        "AveragePool": Operator(
            rule=_check_windows, inputs=(1, 1), settings=frozenset({"kernel_shape", "strides"})
        ),
        "GlobalAveragePool": Operator(rule=_check_all, inputs=(1, 1)),
    }
    qdq: ClassVar = {
        "AveragePool": Operator(rule=_check_foreign, inputs=(1, 1), settings=WINDOW | {"count_include_pad"}),
    }
    xnnpack: ClassVar = CONVOLUTIONS

    @classmethod
    def from_call(cls, call: TracedCall) -> tuple[Step, ...]:
        kind, node, path = operation(call.node), call.node, call.fields["path"]
        space, found = call.read[1:], call.result[1:]
        if kind in _OF_ALL and len(found) == len(space):
            if set(found) == {1}:
                return (cls._of_all(call),)
            windows = [_equal_windows(*pair) for pair in zip(space, found, strict=True)]
            if None not in windows:
                return cls._of_equal_windows(call, [one for one in windows if one is not None])
        elif kind in _MEANS:
            over, kept = axes_over(node, call.rank), len(call.result) == len(call.read)
            if over == set(range(2, call.rank)) and over:
                mean = cls._of_all(call)
                row = Flatten(name=f"{mean.name}_flat", path=path, sources=(mean.name,), grid=mean.grid)
                return (mean,) if kept else (mean, row)
            if over and over < set(range(2, call.rank)):
                kernel = tuple(size if axis in over else 1 for axis, size in enumerate(space, 2))
                mean = cls(**call.fields, kernel=kernel, stride=(1,) * len(kernel))
                fields = {"path": path, "sources": (mean.name,), "grid": mean.grid, "shape": call.result}
                return (mean,) if kept else (mean, Reshape(name=f"{mean.name}_shaped", **fields))
        elif kind in _OF_WINDOWS:
            names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
            given, count = arguments_of(node, names), _OF_WINDOWS[kind]
            kernel, stride, padding = (an_axis(given[name], count) for name in names[:3])
            stride = stride or kernel
            window = Window(kernel, stride, ((0, 0),) * count, (1,) * count)
            if not any(padding) and window.places(space) == found and given["divisor_override"] is None:
                return (cls(**call.fields, kernel=kernel, stride=stride),)
        raise ModelError(
            f"{path} averages {_spelled(space)} to {_spelled(found)} in a way without an integer form here; expected "
            "one value for all of space, windows without padding, a size that divides the input's or exceeds it"
        )

    @classmethod
    def _of_all(cls, call: TracedCall) -> "AveragePool":
        """The mean over all of space."""
        assert call.source is not None
        read, grid, path = call.source, call.fields["grid"], call.fields["path"]
        factor = np.float32(read.scale) / (np.float32(grid.scale) * np.float32(math.prod(call.read[1:])))
        if not _SMALLEST_FACTOR <= factor < _LARGEST_FACTOR:
            raise ModelError(
                f"{path} averages values in steps of {read.scale:.3g} to steps of {grid.scale:.3g}, which runtimes do "
                "not take; expected steps that are closer to each other (values that are zero wherever a network was "
                "calibrated get steps next to nothing)"
            )
        return cls(**call.fields)

    @classmethod
    def _of_equal_windows(
        cls, call: TracedCall, windows: "list[tuple[tuple[int, ...], int]]"
    ) -> tuple[Step, ...]:
        """Values are repeated where windows are not of one size; then an ordinary pool computes the means."""
        fields, steps, sources = call.fields, [], call.fields["sources"]
        for axis, ((places, _), size) in enumerate(zip(windows, call.read[1:], strict=True), 2):
            if places != tuple(range(size)):
                name = f"{fields['name']}_{axis}"
                moved = {"name": name, "path": fields["path"], "sources": sources, "grid": call.source}
                steps.append(Take(**moved, axis=axis, places=places))
                sources = (name,)
        kernel = tuple(count for _, count in windows)
        return (*steps, cls(**fields | {"sources": sources}, kernel=kernel, stride=kernel))

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        codes = read[0]
        if self.kernel:
            axes = len(self.kernel)
            patches = Window(self.kernel, self.stride, ((0, 0),) * axes, (1,) * axes).patches(codes)
            count, summed = math.prod(self.kernel), patches.sum(axis=tuple(range(codes.ndim, patches.ndim)))
        else:
            count = math.prod(codes.shape[2:])
            summed = codes.sum(axis=tuple(range(2, codes.ndim)), keepdims=True)
        factor = np.float32(grids[0].scale) / (np.float32(self.grid.scale) * np.float32(count))
        return self.grid.codes(summed.astype(np.float32) * factor)

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        codes = read[0].double()
        count = math.prod(self.kernel or codes.shape[2:])
        # a mean in float64, times the count, is the sum once it is rounded
        summed = (self.in_reals([codes], None) * count).round()
        factor = held["sources"][0] / (held["scale"] * count)
        return self.grid.codes_in_torch(summed.float() * factor)

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        if self.kernel:
            return _AVERAGE[len(self.kernel)](read[0], self.kernel, self.stride)
        return read[0].mean(dim=tuple(range(2, read[0].dim())), keepdim=True)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        if self.kernel:
            return "AveragePool", {"kernel_shape": self.kernel, "strides": self.stride}
        return "GlobalAveragePool", {}

    @classmethod
    def from_onnx(cls, node: OnnxNode, contents: Contents, **fields: Any) -> Step:
        if node.operator == "AveragePool":
            window = Window.of_pool(node)
            return cls(**fields, kernel=window.kernel, stride=window.stride)
        return cls(**fields)

    def kernel_in_xnnpack(self, source: Grid, shape: tuple[int, ...]) -> Kernel:
        # ones, of scale 1 / n: XNNPACK's own mean of bytes was one step off for about one value in fifty
        channels, *space = shape
        kernel = self.kernel or space
        codes = np.ones((channels, 1, *kernel), np.int8)
        return codes, np.full(channels, 1 / math.prod(kernel)), np.zeros(channels)

    def in_executorch(self, read: list[Reals], convolve: Convolve) -> Reals:
        return convolve(read[0], read[0].shape[1], in_the_plane(self.stride) if self.kernel else [1, 1])

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        read, kernel = reads[0], self.kernel
        if not kernel:  # all of space, in one row
            read, result, kernel = (read[0], math.prod(read[1:])), (read[0], 1), (math.prod(read[1:]),)
        window = Window(kernel, self.stride or (1,), ((0, 0),) * len(kernel), (1,) * len(kernel))
        sizes = window_sizes(window, read, result, self.path)
        return (CCall(kernel="average_pool", struct="window", sizes=sizes),)
