"""The sum of two activations, each of which has a grid of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, fx, nn

from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator, Value, activation, broadcast, require
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations.step import Codes, Reals, Step, reads_two
from obliq.quantization.operations import ADDITIONS


def _check(node: OnnxNode, read: list[Value]) -> Value:
    first, second = read
    fits = first.flows and second.flows and first.kind == second.kind == "float32"
    require(fits and first.shape == second.shape, node, "two real activations of one shape")
    return activation("float32", first.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Step):
    """Codes a on a grid of scale s and b on one of t become round(a (s / u) + b (t / u)) on the grid of scale u.

    Both ratios are rounded to float32 first, then both products and their sum. An axis of size 1 is repeated.
    """

    arity: ClassVar[int] = 2
    calls: ClassVar[frozenset[Any]] = frozenset(ADDITIONS)
    offers: ClassVar[str] = "additions"
    onnx: ClassVar[Mapping[str, Operator]] = {"Add": Operator(rule=broadcast, inputs=(2, 2))}
    qdq: ClassVar[Mapping[str, Operator]] = {"Add": Operator(rule=_check, inputs=(2, 2))}
    xnnpack: ClassVar[frozenset[str] | None] = frozenset({"XNNAdd"})

    @classmethod
    def matches(cls, node: fx.Node) -> bool:
        return super().matches(node) and reads_two(node)

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        ratios = [np.float32(grid.scale) / np.float32(self.grid.scale) for grid in grids]
        first, second = (codes.astype(np.float32) * ratio for codes, ratio in zip(read, ratios, strict=True))
        return self.grid.codes(first + second)

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        first, second = held["sources"] / held["scale"]
        return self.grid.codes_in_torch(read[0] * first + read[1] * second)

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return read[0] + read[1]
