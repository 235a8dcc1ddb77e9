"""What all layers with weights share: sums of products, their rounding, and what a file may hold of them.

A sum of products and bias is a whole number in units of `input scale * weight scale / refinement`. The code of the
next activation is

    code = clamp(round_half_even(float32(sum + bias) * float32(input scale * weight scale / output scale)))

with the refinement in the weight scale. It is computed in float32, as the ONNX operators QLinearConv and QuantizeLinear
define it and as ONNX Runtime's kernels do it. Products are added in float64, which is exact for every sum that fits in
int32.
"""

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor, fx, nn

from obliq.exporting.grids import LARGEST_SUM, Grid, Weights
from obliq.exporting.onnx.check_graph import Value, require
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations.c_call import CCall
from obliq.exporting.operations.step import Codes, Kernel, Reals, Step, TracedCall
from obliq.exporting.weights import fold
from obliq.quantization import QuantizedWeight
from obliq.quantization.operations import module_of, operation
from obliq.quantization.precision import weight_range

CONVOLUTIONS = frozenset({"XNNConv2d", "XNNDepthwiseConv2d"})
"""What a layer is in XNNPACK."""

CheckSums = Callable[[OnnxNode, Value, Value, Value], None]
"""What must hold of the input, the weight and the bias of a node; the bias is `NOTHING` where there is none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer(Step):
    """A layer whose weights are integers.

    Attributes:
        weights: what it multiplies with and adds; batch norm is folded into it.
    """

    weights: Weights

    weight_axes: ClassVar[tuple[int, ...]]
    """How many axes the codes may have."""
    zeros_in_onnx: ClassVar = False
    """Whether the zero points of the weights are written, which ONNX allows to leave out."""
    xnnpack: ClassVar = CONVOLUTIONS

    @abc.abstractmethod
    def sums(self, codes: Codes) -> ndarray:
        """The sums of products, without the bias, as whole float64 numbers."""

    @abc.abstractmethod
    def sums_in_torch(self, codes: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        """The same in PyTorch, with the bias."""

    @abc.abstractmethod
    def trainable(self) -> QuantizedWeight:
        """A layer of PyTorch for such weights; it does not pad."""

    @classmethod
    def matches(cls, node: fx.Node) -> bool:
        kind = operation(node)
        return isinstance(kind, type) and issubclass(kind, tuple(cls.calls))

    @staticmethod
    def folded(call: TracedCall) -> Weights:
        """The integer weights of a call in the traced network."""
        layer = module_of(call.node)
        assert isinstance(layer, QuantizedWeight)
        weight = call.integers[f"{call.node.target}.weight"]
        assert call.source is not None
        return fold(call.fields["path"], layer, weight, call.norm, call.source)

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        summed, weights = self.sums(read[0]), self.weights
        along_channels = (-1,) + (1,) * (summed.ndim - 2)
        total = (summed + weights.bias.reshape(along_channels)).astype(np.float32)
        factor = weights.bias_scale(grids[0]) / np.float32(self.grid.scale)
        return self.grid.codes(total * factor.reshape(along_channels))

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        assert layer is not None
        result: Tensor = layer(*read)
        return result

    def constants(self, grids: list[Grid]) -> dict[str, Tensor]:
        units = torch.from_numpy(self.weights.bias_scale(grids[0]))
        return {
            "factors": units / torch.tensor(self.grid.scale, dtype=torch.float32),
            "weights": torch.from_numpy(self.weights.wide_codes()).double(),
            "bias": torch.from_numpy(self.weights.bias).double(),
        }

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        # sums are whole already, unless a library convolves in another way than by adding products
        summed = self.sums_in_torch(read[0].double(), held["weights"], held["bias"]).round()
        along_channels = (-1,) + (1,) * (summed.dim() - 2)
        return self.grid.codes_in_torch(summed.float() * held["factors"].reshape(along_channels))

    def kernel_in_xnnpack(self, source: Grid, shape: tuple[int, ...]) -> Kernel:
        bias = self.weights.bias * self.weights.bias_scale(source).astype(np.float64)
        return self.weights.wide_codes(), self.weights.wide_scale(), bias

    def c_layer(self, window: Mapping[str, Any], groups: int) -> tuple[CCall, ...]:
        """The kernel in C for these sizes of `struct window`."""
        sizes = {"window": window, "outputs": len(self.weights.codes), "groups": groups}
        stored = ("refinement", "codes", "scales", "biases")
        return (CCall(kernel="convolution", struct="layer", sizes=sizes, stored=stored),)

    @property
    def weight_grid(self) -> str:
        """Whether there is one scale an output or one for all."""
        return "per_channel" if self.weights.scale.ndim else "per_tensor"


def check_sums(node: OnnxNode, source: Value, weight: Value, bias: Value) -> None:
    """Reals that stand for codes, or plain finite reals, whose parts fit together."""
    outputs = weight.shape[0]
    real = source.kind == weight.kind == bias.kind == "float32"
    require(real and not weight.flows and not bias.flows, node, "a real activation, constant weight and bias")
    require(bias.shape == (outputs,), node, f"one bias for each of {outputs} outputs")
    in_codes = {source.scale is not None, weight.codes is not None, bias.codes is not None}
    require(len(in_codes) == 1, node, "input, weight and bias all on grids, or none")
    if source.scale is None:
        finite = all(
            part.constant is not None and np.isfinite(part.constant).all() for part in (weight, bias)
        )
        require(finite, node, "finite weights and biases")
        return
    (codes, scale), (bias_codes, bias_scale) = weight.coded, bias.coded
    require(codes.dtype == np.int8 and bias_codes.dtype == np.int32, node, "int8 weights, an int32 bias")
    with np.errstate(over="ignore", under="ignore"):
        unit = source.scale.astype(np.float32) * scale.astype(np.float32)
    units = np.array_equal(unit, bias_scale)
    require(units, node, "a bias in units of input scale times weight scale")
    # abs(sum) <= max abs(input code) * sum of abs(weight codes) + abs(bias), for each output
    # as bytes without a sign: a code of another quantizer may be -128, whose magnitude is no int8
    sizes = np.abs(codes.reshape(outputs, -1)).view(np.uint8)
    wide = sizes.sum(axis=1, dtype=np.int64) * max(map(abs, source.span))
    largest = int((wide + np.abs(bias_codes.astype(np.int64))).max())
    require(largest <= LARGEST_SUM, node, "sums that fit in int32")


def check_foreign_sums(node: OnnxNode, source: Value, weight: Value, bias: Value, outputs: int = 0) -> None:
    """The same for files of other quantizers: weights on a grid; bias and input on grids, or in real numbers.

    Args:
        node: the layer.
        source: what it reads.
        weight: codes with one scale, or one along the axis of outputs.
        bias: constant, or `NOTHING`.
        outputs: the axis of the weight that counts them.
    """
    real = source.flows and source.kind == "float32"
    require(real, node, "a real activation")
    if weight.codes is None and weight.constant is not None and weight.scale is None:
        _check_real_parts(node, weight, bias, outputs)
        return
    on_grid = weight.codes is not None and weight.codes.dtype == np.int8
    require(on_grid, node, "constant int8 weights around zero (symmetric, QInt8) that are dequantized")
    codes, weight_scale = weight.coded
    fits = weight_scale.shape == () or weight.axis == outputs
    require(fits, node, f"one scale, or one for each output along axis {outputs}")
    limit = weight_range(bits_within(node, weight.span))[1]
    low, high = int(codes.min()), int(codes.max())
    fits = -limit - 1 <= low and high <= limit
    require(fits, node, f"codes from {-limit - 1} to {limit}, not {low} to {high}")
    codes = np.moveaxis(codes, outputs, 0)
    shape = codes.shape[:1]
    fits = bias.kind == "nothing" or (not bias.flows and bias.shape == shape)
    require(fits, node, f"one constant bias for each of {shape[0]} outputs")
    if bias.constant is not None:
        finite = bias.kind == "float32" and bool(np.isfinite(bias.constant).all())
        require(finite, node, "one finite bias for each output")
    if bias.codes is not None:
        require(bias.codes.dtype == np.int32, node, "an int32 bias")
    if source.scale is None or source.scale.ndim:  # real numbers for a runtime, which adds them as such
        return
    with np.errstate(over="ignore", under="ignore"):
        unit = np.asarray(source.scale * weight_scale, np.float32)
    held = np.zeros(shape, np.int32) if bias.codes is None else bias.codes
    scale = unit if bias.codes is None or bias.scale is None else bias.scale
    weight = Value(kind="float32", shape=codes.shape, scale=weight_scale, codes=codes)
    check_sums(node, source, weight, Value(kind="float32", shape=shape, scale=scale, codes=held))


def _check_real_parts(node: OnnxNode, weight: Value, bias: Value, outputs: int) -> None:
    """A layer that was not quantized."""
    assert weight.constant is not None
    finite = weight.kind == "float32" and bool(np.isfinite(weight.constant).all())
    require(finite, node, "finite weights, quantized or real")
    shape = weight.shape[outputs : outputs + 1]
    fits = bias.kind == "nothing" or (not bias.flows and bias.shape == shape)
    require(fits, node, "one constant bias an output")


def bits_within(node: OnnxNode, span: tuple[int, int]) -> int:
    """The bits of weights whose codes a file clamps to these bounds; the range of such codes is symmetric."""
    room = min(-span[0], span[1], 127)
    require(room >= 1, node, "weights that are clamped around zero")
    return (room + 1).bit_length()
