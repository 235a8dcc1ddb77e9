"""The sum of two activations, each of which has a grid of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, fx, nn

from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator, Value, activation, require
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations.step import Codes, CodesInTorch, Convolve, Reals, Step
from obliq.quantization.operations import ADDITIONS


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Step):
    """Codes a on a grid of scale s and b on one of t become round((a s + b t) / u) on the grid of scale u.

    The ratios s / u and t / u are rounded to float32 first, and so are both products and their sum.
    """

    arity: ClassVar[int] = 2
    calls: ClassVar[frozenset[Any]] = frozenset(ADDITIONS)
    offers: ClassVar[str] = "additions"
    xnnpack: ClassVar[frozenset[str]] = frozenset({"ADD"})

    @classmethod
    def matches(cls, node: fx.Node) -> bool:
        """Whether two values are added, neither of them multiplied."""
        return super().matches(node) and len(node.args) == 2 and not node.kwargs

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        """See the class."""
        ratios = [np.float32(grid.scale) / np.float32(self.grid.scale) for grid in grids]
        first, second = (codes.astype(np.float32) * ratio for codes, ratio in zip(read, ratios, strict=True))
        return self.grid.codes(first + second)

    def in_torch(self, read: list[CodesInTorch], held: Mapping[str, Tensor]) -> CodesInTorch:
        """See the class."""
        first, second = held["sources"] / held["scale"]
        return self.grid.codes_in_torch(read[0] * first + read[1] * second)

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        """The sum."""
        return read[0] + read[1]

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """An addition of real numbers."""
        return "Add", {}

    @classmethod
    def onnx_operators(cls) -> Mapping[str, Operator]:
        """An addition of real numbers."""
        return {"Add": Operator(rule=_check, inputs=(2, 2), step=cls.from_onnx)}

    def in_executorch(self, read: list[Reals], convolve: Convolve) -> Reals:
        """The sum."""
        return read[0] + read[1]


def _check(node: OnnxNode, read: list[Value]) -> Value:
    first, second = read
    fits = first.flows and second.flows and first.kind == second.kind == "float32"
    require(fits and first.shape == second.shape, node, "two real activations of one shape")
    return activation("float32", first.shape)
