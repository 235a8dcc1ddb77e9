"""The input, rounded to the first grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, fx, nn

from obliq.exporting.grids import Grid
from obliq.exporting.operations.c_call import CCall, Shape
from obliq.exporting.operations.step import Codes, Reals, Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantize(Step):
    """Real numbers x become round(x / s) on the grid of scale s; the only step that reads the input.

    The quotient is a float32 number, and not the product with the inverse, as in ONNX's QuantizeLinear.
    """

    arity: ClassVar = 0
    xnnpack: ClassVar = frozenset({"XNNConvert"})

    @classmethod
    def matches(cls, node: fx.Node) -> bool:
        return node.op == "placeholder"

    def in_numpy(self, read: list[np.ndarray], grids: list[Grid]) -> Codes:
        return self.grid.codes(read[0].astype(np.float32) / np.float32(self.grid.scale))

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        return self.grid.codes_in_torch(read[0] / held["scale"])

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return read[0]

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        return ()  # the kernel reads floats, and is called by every file
