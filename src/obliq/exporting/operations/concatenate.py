"""Activations one after the other along an axis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, fx, nn

from obliq.errors import ModelError
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator, Value, activation, require, whole
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape
from obliq.exporting.operations.step import Codes, Reals, Step, TracedCall
from obliq.quantization.operations import CONCATENATIONS

MOST = 250
"""Activations that one step may join."""


def _check(node: OnnxNode, read: list[Value]) -> Value:
    first, axis = read[0], whole(node, "axis", 0, 1, len(read[0].shape))
    others = [shape[: axis - 1] + shape[axis:] for shape in (value.shape for value in read)]
    real = all(value.flows and value.kind == "float32" for value in read)
    same_rank = all(len(value.shape) == len(first.shape) for value in read)
    require(real and same_rank and len(set(others)) == 1, node, "real activations that differ in one axis")
    joined = sum(value.shape[axis - 1] for value in read)
    return activation("float32", (*first.shape[: axis - 1], joined, *first.shape[axis:]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Concatenate(Step):
    """Codes c on a grid of scale s become round(c s / u) on the grid of scale u that all of them get.

    The product and the quotient are rounded to float32.

    Attributes:
        axis: along which; the first one after the batch is 1.
    """

    axis: int

    arity: ClassVar = -1
    sizes: ClassVar = {"axis": 0}
    calls: ClassVar = frozenset(CONCATENATIONS)
    offers: ClassVar = "concatenation"
    onnx: ClassVar = {
        "Concat": Operator(rule=_check, inputs=(1, MOST), settings=frozenset({"axis"}), own=True)
    }
    not_in_xnnpack: ClassVar = "XNNPACK joins activations of one scale alone"

    @classmethod
    def arguments(cls, node: fx.Node) -> Sequence[object]:
        given = node.args[0] if node.args else node.kwargs.get("tensors")
        return given if isinstance(given, list | tuple) else [given]

    @classmethod
    def from_call(cls, call: TracedCall) -> tuple[Step, ...]:
        node, path = call.node, call.fields["path"]
        axis: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))
        if axis % call.rank == 0 or len(call.fields["sources"]) > MOST:
            raise ModelError(
                f"{path} joins samples, or more than {MOST} tensors; expected an axis after the batch"
            )
        return (cls(**call.fields, axis=axis % call.rank),)

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        scales = [np.float32(grid.scale) for grid in grids]
        reals = [codes.astype(np.float32) * scale for codes, scale in zip(read, scales, strict=True)]
        return self.grid.codes(np.concatenate(reals, self.axis) / np.float32(self.grid.scale))

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        reals = [codes * scale for codes, scale in zip(read, held["sources"], strict=True)]
        return self.grid.codes_in_torch(torch.cat(reals, self.axis) / held["scale"])

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return torch.cat(read, self.axis)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        return "Concat", {"axis": self.axis}

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        calls, offset, axis = [], 0, self.axis - 1
        for number, shape in enumerate(reads):
            sizes = {"outer": math.prod(shape[:axis]), "inner": math.prod(shape[axis:])}
            sizes |= {"stride": math.prod(result[axis:]), "offset": offset}
            calls.append(CCall(kernel="rescale", struct="part", sizes=sizes, reads=(number,)))
            offset += sizes["inner"]
        return tuple(calls)

    @classmethod
    def from_onnx(cls, node: OnnxNode, contents: Contents, **fields: Any) -> Step:
        return cls(**fields, axis=whole(node, "axis", 0, 1, 8))
