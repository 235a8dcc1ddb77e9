"""The input, rounded to the first grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor, fx, nn

from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator
from obliq.exporting.operations.step import Codes, CodesInTorch, Convolve, Reals, Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantize(Step):
    """Real numbers to codes; the only step that reads the input."""

    arity: ClassVar[int] = 0
    xnnpack: ClassVar[frozenset[str]] = frozenset({"CONVERT"})

    @classmethod
    def matches(cls, node: fx.Node) -> bool:
        """Whether the node is the network's input."""
        return node.op == "placeholder"

    def in_numpy(self, read: list[Float32[ndarray, "samples ..."]], grids: list[Grid]) -> Codes:
        """Divided by the scale, as QuantizeLinear does, and not multiplied by its inverse."""
        return self.grid.codes(read[0].astype(np.float32) / np.float32(self.grid.scale))

    def in_torch(self, read: list[CodesInTorch], held: Mapping[str, Tensor]) -> CodesInTorch:
        """See `in_numpy`."""
        return self.grid.codes_in_torch(read[0] / held["scale"])

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        """The input itself."""
        return read[0]

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        """Never called: what every step's rounding is written as is all of it."""
        raise AssertionError("an input is only rounded")

    @classmethod
    def onnx_operators(cls) -> Mapping[str, Operator]:
        """None of its own: a rounding of the input is a rounding."""
        return {}

    def in_executorch(self, read: list[Reals], convolve: Convolve) -> Reals:
        """The input itself."""
        return read[0]
