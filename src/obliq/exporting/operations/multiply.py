"""The product of two activations, such as a gate of each channel and the values that it lets through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator, broadcast
from obliq.exporting.operations.c_call import CCall, Shape, pair_sizes
from obliq.exporting.operations.step import Codes, Reals, Step
from obliq.quantization.operations import PRODUCTS


@dataclass(frozen=True, kw_only=True, eq=False)
class Multiply(Step):
    """Codes a on a grid of scale s and b on one of t become round(a b (s t / u)) on the grid of scale u.

    The product of codes is a whole number. The product of both scales, its quotient with u, the product with that, and
    the sum with the zero point of the result are rounded to float32 each, as in ONNX Runtime. An axis of size 1 is
    repeated.
    """

    arity: ClassVar = 2
    calls: ClassVar = frozenset(PRODUCTS)
    offers: ClassVar = "products of activations"
    onnx: ClassVar = {"Mul": Operator(rule=broadcast, inputs=(2, 2), own=True)}
    xnnpack: ClassVar = frozenset({"XNNMultiply"})

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        first, second = (np.float32(grid.scale) for grid in grids)
        products = (read[0] * read[1]).astype(np.float32)
        factor = first * second / np.float32(self.grid.scale)
        return self.grid.codes_of_bytes(products * factor + np.float32(self.grid.zero_point))

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        first, second = held["sources"]
        values = read[0] * read[1] * (first * second / held["scale"])
        return self.grid.codes_of_bytes_in_torch(values + self.grid.zero_point)

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return torch.mul(*read)

    def require_in_executorch(self, grids: list[Grid]) -> None:
        # XNNPACK adds the zero after it has rounded; all pairs of codes show whether that is the same
        first, second = (np.arange(grid.low, grid.high + 1, dtype=np.int32) for grid in grids)
        products = np.unique(np.multiply.outer(first, second)).astype(np.float32)
        factor = np.float32(grids[0].scale) * np.float32(grids[1].scale) / np.float32(self.grid.scale)
        ours = self.grid.codes_of_bytes(products * factor + np.float32(self.grid.zero_point))
        if different := int((ours != self.grid.codes(products * factor)).sum()):
            self.refuse_in_executorch(
                f"of its products, {different} lie so close to a half that XNNPACK rounds them otherwise"
            )

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        sizes = pair_sizes(reads, result, self.path)
        return (CCall(kernel="multiply", struct="axes", sizes=sizes, reads=(0, 1)),)
