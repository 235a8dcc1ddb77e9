"""A convolution over one or two axes of space."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor, nn

from obliq.errors import ModelError
from obliq.exporting.onnx.check_graph import NOTHING, Operator, Value, activation, require, setting, whole
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape, window_sizes
from obliq.exporting.operations.layer import CheckSums, Layer, check_foreign_sums, check_sums
from obliq.exporting.operations.step import Codes, Convolve, Reals, Step, TracedCall
from obliq.exporting.operations.windows import FURTHEST, SLIDING, WINDOW, Window, in_the_plane, padded
from obliq.exporting.weights import fold
from obliq.quantization import IntegerTensor, QuantizedConv1d, QuantizedConv2d, QuantizedWeight
from obliq.quantization.operations import is_weighted, module_of


def _check(node: OnnxNode, read: list[Value], check: CheckSums) -> Value:
    source, weight, bias = [*read, NOTHING][:3]
    axes = len(source.shape) - 1
    spatial = source.flows and axes in (1, 2) and len(weight.shape) == axes + 2
    require(spatial, node, "one or two axes of space")
    kernel = weight.shape[2:]
    require(setting(node, "kernel_shape", kernel, 1, FURTHEST) == kernel, node, "the weight's kernel")
    groups = whole(node, "group", 1, 1, FURTHEST)
    fits = weight.shape[1] * groups == source.shape[0] and weight.shape[0] % groups == 0
    require(fits, node, f"weights for {source.shape[0]} channels in {groups} groups")
    check(node, source, weight, bias)
    space = Window.of_node(node, kernel).places_in(node, source.shape[1:])
    return activation("float32", (weight.shape[0], *space))


def _operator(settings: frozenset[str], check: CheckSums, fewest: int) -> Operator:
    rule = functools.partial(_check, check=check)
    return Operator(rule=rule, inputs=(fewest, 3), settings=settings | {"group"}, weighted=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution(Layer):
    """Weights of shape (outputs, inputs of a group, *kernel).

    Attributes:
        stride: how far the kernel moves along each axis.
        padding: the zeros before and after each axis.
        dilation: how far the weights of the kernel are apart.
        groups: parts of the channels that have weights of their own.
    """

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    weight_axes: ClassVar = (3, 4)
    sizes: ClassVar = {"stride": 1, "padding": 2, "dilation": 1, "groups": 0}
    calls: ClassVar = frozenset({QuantizedConv1d, QuantizedConv2d})
    offers: ClassVar = "Conv1d, Conv2d"
    onnx: ClassVar = {"Conv": _operator(SLIDING, check_sums, 3)}
    qdq: ClassVar = {"Conv": _operator(WINDOW, check_foreign_sums, 2)}

    @property
    def window(self) -> Window:
        """What slides."""
        return Window(self.weights.codes.shape[2:], self.stride, self.padding, self.dilation)

    @classmethod
    def from_call(cls, call: TracedCall) -> tuple[Step, ...]:
        if not is_weighted(call.node):
            return (cls._of_norm(call),)
        weights, layer = cls.folded(call), module_of(call.node)
        assert isinstance(layer, QuantizedConv1d | QuantizedConv2d)
        if layer.padding_mode != "zeros":
            raise ModelError(f"layer {call.node.target} pads by {layer.padding_mode!r}; expected zeros")
        if layer.padding == "same":  # PyTorch puts an odd zero after the values
            totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
            padding = tuple((total // 2, total - total // 2) for total in totals)
        else:
            sizes = [0] * len(layer.stride) if isinstance(layer.padding, str) else layer.padding
            padding = tuple((size, size) for size in sizes)
        step = cls(
            **call.fields,
            weights=weights,
            stride=tuple(layer.stride),
            padding=padding,
            dilation=tuple(layer.dilation),
            groups=layer.groups,
        )
        return (step,)

    @classmethod
    def _of_norm(cls, call: TracedCall) -> Step:
        """A batch norm that no layer is in front of: it multiplies each channel with one number, and adds another."""
        channels, axes = call.read[0], len(call.read) - 1
        if axes not in (1, 2):
            raise ModelError(
                f"{call.fields['path']} normalises values without space that no layer computed; expected it directly "
                "behind a layer that nothing else reads"
            )
        bits = min(tensor.bits for tensor in call.integers.values() if tensor.codes is not None)
        code = 2 ** (bits - 2)  # with the refinement 64, so that the bias has a fine unit
        kind = QuantizedConv1d if axes == 1 else QuantizedConv2d
        layer = kind(channels, channels, 1, groups=channels, bias=False, bits=bits)
        codes = torch.full((channels, 1, *(1,) * axes), code, dtype=torch.int8)
        weight = IntegerTensor(codes, torch.full((channels,), 1 / code), 0, bits, 0, True)
        assert call.source is not None
        weights, ones = fold(call.fields["path"], layer, weight, call.norm, call.source), (1,) * axes
        fields = call.fields | {"weights": weights, "padding": ((0, 0),) * axes, "groups": channels}
        return cls(**fields, stride=ones, dilation=ones)

    def sums(self, codes: Codes) -> ndarray:
        # each group is a product of patches (batch, channels, *places, *kernel) and weights
        weights = self.weights.wide_codes().astype(np.float64)
        patches = self.window.patches(codes.astype(np.float64))
        space = weights.ndim - 2
        axes = (1, *range(2 + space, 2 + 2 * space)), tuple(range(1, 2 + space))  # channels and kernel
        pairs = zip(np.split(patches, self.groups, axis=1), np.split(weights, self.groups), strict=True)
        summed = [np.moveaxis(np.tensordot(patch, weight, axes), -1, 1) for patch, weight in pairs]
        return np.concatenate(summed, axis=1)

    def sums_in_torch(self, codes: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        return self.window.convolve(self.groups, codes, weights, bias)

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return super().in_reals([padded(read[0], self.padding)], layer)

    def trainable(self) -> QuantizedWeight:
        outputs, inputs, *kernel = self.weights.codes.shape
        kind = QuantizedConv1d if len(kernel) == 1 else QuantizedConv2d
        return kind(
            inputs * self.groups,
            outputs,
            tuple(kernel),
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
            bits=self.weights.bits,
            weight_grid=self.weight_grid,
        )

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        return "Conv", self.window.settings() | ({"group": self.groups} if self.groups > 1 else {})

    @classmethod
    def from_onnx(cls, node: OnnxNode, contents: Contents, **fields: Any) -> Step:
        window = Window.of_node(node, fields["weights"].codes.shape[2:])
        return cls(
            **fields,
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
            groups=whole(node, "group", 1, 1, FURTHEST),
        )

    def in_executorch(self, read: list[Reals], convolve: Convolve) -> Reals:
        before, after = zip(*self.padding, strict=True)
        if before != after:  # XNNPACK pads by the same on both sides
            raise ModelError(f"{self.path} pads by {self.padding}; expected as much after as before")
        sizes = in_the_plane(self.stride), in_the_plane(before, 0), in_the_plane(self.dilation)
        return convolve(read[0], self.groups, *sizes)

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        return self.c_layer(window_sizes(self.window, reads[0], result, self.path), self.groups)
