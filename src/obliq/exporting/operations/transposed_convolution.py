"""A transposed convolution, as an ordinary one that computes neighbouring places as channels.

With a stride s, place s q + r of the result is a sum over the places near q, with those weights of the kernel that are
r, r + s, r + 2 s, ... So it is an ordinary convolution for each phase r. One convolution computes all s phases of each
output next to one another, and their order is changed afterwards. Runtimes have integer kernels for all of these
steps, and none for a transposed convolution. A kernel that is no multiple of the stride is filled up with zeros.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy import ndarray

from obliq.exporting.grids import Weights
from obliq.exporting.operations.convolution import Convolution
from obliq.exporting.operations.layer import Layer
from obliq.exporting.operations.rearrange import Reshape, Take, Transpose
from obliq.exporting.operations.step import Chain, Step, TracedCall, in_a_row
from obliq.exporting.weights import fold
from obliq.quantization import IntegerTensor, QuantizedConvTranspose1d, QuantizedConvTranspose2d
from obliq.quantization.operations import module_of


@dataclass(frozen=True, kw_only=True, eq=False)
class TransposedConvolution(Layer):
    """What such a layer is in PyTorch; in graphs and files it is a `Convolution` and steps that move codes."""

    calls: ClassVar = frozenset({QuantizedConvTranspose1d, QuantizedConvTranspose2d})
    offers: ClassVar = "ConvTranspose1d, ConvTranspose2d"

    @classmethod
    def from_call(cls, call: TracedCall) -> tuple[Step, ...]:
        layer, fields = module_of(call.node), call.fields
        assert isinstance(layer, QuantizedConvTranspose1d | QuantizedConvTranspose2d)
        assert call.source is not None
        weight = _outputs_first(call.integers[f"{call.node.target}.weight"], layer.groups)
        weights = fold(fields["path"], layer, weight, call.norm, call.source)
        phases = _phases(weights, layer.stride, layer.dilation)
        kernel, padding = phases.codes.shape[2:], [int(size) for size in layer.padding]
        sizes = zip(call.read[1:], call.result[1:], kernel, layer.stride, padding, strict=True)
        axes = tuple(_Axis.of(*one) for one in sizes)
        ones = (1,) * len(axes)
        settings = {
            "weights": phases,
            "stride": ones,
            "padding": tuple((axis.padding, axis.padding) for axis in axes),
            "dilation": ones,
            "groups": layer.groups,
        }
        return in_a_row([(Convolution, settings), *_moves(len(weights.codes), axes)], fields)


@dataclass(frozen=True)
class _Axis:
    """One axis of space: `places` places of `phases` phases each, of which `kept` are kept, from `first` on.

    Attributes:
        padding: of the convolution, the same before and after, as much as the most needed on one side.
    """

    places: int
    phases: int
    padding: int
    first: int
    kept: int

    @classmethod
    def of(cls, size: int, result: int, kernel: int, stride: int, padding: int) -> "_Axis":
        """Sizes of the input and the result, taps of a phase, and what PyTorch's layer states."""
        # without any padding of PyTorch's, place q of the convolution needs the input from q - (kernel - 1) to q
        needed = max(kernel - 1 - padding // stride, -(-(padding + result) // stride) - size, 0)
        first = padding + (needed - (kernel - 1)) * stride
        return cls(size + 2 * needed - kernel + 1, stride, needed, first, result)


def _outputs_first(weight: IntegerTensor, groups: int) -> IntegerTensor:
    """Codes of shape (inputs, outputs of a group, *kernel) as (outputs, inputs of a group, *kernel)."""
    assert weight.codes is not None
    inputs, outputs, *kernel = weight.codes.shape
    by_group = weight.codes.reshape(groups, inputs // groups, outputs, *kernel).transpose(1, 2)
    codes = by_group.reshape(groups * outputs, inputs // groups, *kernel).contiguous()
    if weight.channel_axis is None:
        return replace(weight, codes=codes)
    return replace(weight, codes=codes, scale=weight.scale.repeat(groups), channel_axis=0)


def _phases(weights: Weights, stride: Sequence[int], dilation: Sequence[int]) -> Weights:
    """Weights (outputs * phases, inputs of a group, *taps) of a convolution that slides the other way."""
    outputs, inputs, *kernel = weights.codes.shape
    axes = len(kernel)
    extents = [gap * (size - 1) + 1 for size, gap in zip(kernel, dilation, strict=True)]
    taps = [-(-extent // step) for extent, step in zip(extents, stride, strict=True)]
    filled = np.zeros((outputs, inputs, *(n * step for n, step in zip(taps, stride, strict=True))), np.int8)
    spread = tuple(slice(None, extent, gap) for extent, gap in zip(extents, dilation, strict=True))
    filled[:, :, *spread] = weights.codes
    by_tap = filled.reshape(
        outputs, inputs, *(size for pair in zip(taps, stride, strict=True) for size in pair)
    )
    by_tap = np.flip(by_tap, tuple(range(2, 2 + 2 * axes, 2)))
    order = (0, *range(3, 3 + 2 * axes, 2), 1, *range(2, 2 + 2 * axes, 2))  # output, phases, input, taps
    count = int(np.prod(stride))
    codes = np.ascontiguousarray(by_tap.transpose(order)).reshape(outputs * count, inputs, *taps)

    def each(values: ndarray) -> ndarray:
        return np.repeat(values, count)

    return replace(
        weights,
        codes=codes,
        scale=each(weights.scale),
        bias=each(weights.bias),
        real_bias=each(weights.real_bias),
    )


def _moves(outputs: int, axes: Sequence[_Axis]) -> Chain:
    """The steps from (outputs * phases, *places) to (outputs, *result), with their settings."""
    found: Chain = []
    phases, places = [axis.phases for axis in axes], [axis.places for axis in axes]
    if set(phases) != {1}:
        count = len(axes)
        order = (1, *(number for axis in range(count) for number in (2 + count + axis, 2 + axis)))
        joined = (axis.places * axis.phases for axis in axes)
        found += [
            (Reshape, {"shape": (outputs, *phases, *places)}),
            (Transpose, {"axes": order}),
            (Reshape, {"shape": (outputs, *joined)}),
        ]
    for number, axis in enumerate(axes, 2):
        kept = tuple(range(axis.first, axis.first + axis.kept))
        if kept != tuple(range(axis.places * axis.phases)):
            found.append((Take, {"axis": number, "places": kept}))
    return found
