"""A matrix, applied to one row a sample."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor

from obliq.errors import ModelError
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import NOTHING, Operator, Value, activation, require, whole
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape, window_sizes
from obliq.exporting.operations.layer import Layer, check_foreign_sums, check_sums
from obliq.exporting.operations.step import Codes, Convolve, Kernel, Reals, Step, TracedCall
from obliq.exporting.operations.windows import Window
from obliq.quantization import QuantizedLinear, QuantizedWeight


def _check(node: OnnxNode, read: list[Value], *, own: bool) -> Value:
    """Files of other quantizers may have the inputs of a weight first, as MatMul has them, and no bias."""
    source, weight, bias = [*read, NOTHING][:3]
    outputs = 1 - whole(node, "transB", 0, int(own), 1)
    fits = source.flows and len(source.shape) == 1 and len(weight.shape) == 2
    fits = fits and weight.shape[1 - outputs] == source.shape[0]
    require(fits, node, f"weights for inputs of shape {source.shape}")
    if own:
        check_sums(node, source, weight, bias)
    else:
        check_foreign_sums(node, source, weight, bias, outputs)
    return activation("float32", (weight.shape[outputs],))


_check_own, _check_foreign = (functools.partial(_check, own=own) for own in (True, False))


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Layer):
    """Weights of shape (outputs, inputs)."""

    flat: ClassVar = True
    weight_axes: ClassVar = (2,)
    zeros_in_onnx: ClassVar = True  # ONNX Runtime 1.32 stops at Gemm without them
    calls: ClassVar = frozenset({QuantizedLinear})
    offers: ClassVar = "Linear"
    onnx: ClassVar = {
        "Gemm": Operator(rule=_check_own, inputs=(3, 3), settings=frozenset({"transB"}), weighted=True)
    }
    qdq: ClassVar = {
        "Gemm": Operator(rule=_check_foreign, inputs=(2, 3), settings=frozenset({"transB"}), weighted=True),
        "MatMul": Operator(rule=_check_foreign, inputs=(2, 2), weighted=True),
    }

    @classmethod
    def from_call(cls, call: TracedCall) -> tuple[Step, ...]:
        if call.rank != 2:
            raise ModelError(f"layer {call.node.target} reads a tensor of many axes; expected it flattened")
        return (cls(**call.fields, weights=cls.folded(call)),)

    def sums(self, codes: Codes) -> ndarray:
        return codes.astype(np.float64) @ self.weights.wide_codes().astype(np.float64).T

    def sums_in_torch(self, codes: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        return F.linear(codes, weights, bias)

    def trainable(self) -> QuantizedWeight:
        outputs, inputs = self.weights.codes.shape
        return QuantizedLinear(inputs, outputs, bits=self.weights.bits, weight_grid=self.weight_grid)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        return "Gemm", {"transB": 1}  # weights have outputs first

    def kernel_in_xnnpack(self, source: Grid, shape: tuple[int, ...]) -> Kernel:
        # a kernel that covers all of space: values are flat for us and keep their axes of space there
        codes, scale, bias = super().kernel_in_xnnpack(source, shape)
        return codes.reshape(len(codes), *shape), scale, bias

    def in_executorch(self, read: list[Reals], convolve: Convolve) -> Reals:
        return convolve(read[0], 1)

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        whole = Window(reads[0], (1,), ((0, 0),), (1,))  # of one channel, so that inputs are neighbours
        return self.c_layer(window_sizes(whole, (1, *reads[0]), (*result, 1), self.path), 1)
