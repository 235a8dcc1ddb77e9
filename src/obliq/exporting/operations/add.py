"""The sum of two activations, each of which has a grid of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor, nn

from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator, broadcast
from obliq.exporting.operations.c_call import CCall, Shape, pair_sizes
from obliq.exporting.operations.step import Codes, Reals, Step
from obliq.quantization.operations import ADDITIONS


def _order(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, int]:
    """Which activation is added to the constant first: the second one, unless one value of the first is repeated."""
    last = next((pair for pair in zip(first[::-1], second[::-1], strict=True) if max(pair) > 1), (1, 2))
    return (0, 1) if last[0] == 1 else (1, 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Step):
    """Codes a on a grid of scale s and b on one of t become round(a (s / u) + b (t / u)) on the grid of scale u.

    ONNX Runtime adds bytes A and B around zeros p and q to one around r, in float32 and with two multiplications that
    are fused with an addition, so that each rounds once:

        round(A (s / u) + (B (t / u) + (r - (p (s / u) + q (t / u)))))

    Where one value of the first activation is added to several of the second, both change places. The product of a byte
    and a float32 number is a float64 number, and so is its sum with another float32 number but for rare last bits.
    """

    arity: ClassVar = 2
    calls: ClassVar = frozenset(ADDITIONS)
    offers: ClassVar = "additions"
    onnx: ClassVar = {"Add": Operator(rule=broadcast, inputs=(2, 2))}
    xnnpack: ClassVar = frozenset({"XNNAdd"})

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        ratios = [np.float32(grid.scale) / np.float32(self.grid.scale) for grid in grids]
        zeros = [np.float32(grid.zero_point) for grid in grids]
        constant = np.float32(self.grid.zero_point) - (ratios[0] * zeros[0] + ratios[1] * zeros[1])
        total: ndarray = np.full((), constant)
        for number in _order(*(codes.shape for codes in read)):
            products = (read[number] + int(zeros[number])) * np.float64(ratios[number])
            total = (products + total).astype(np.float32)
        return self.grid.codes_of_bytes(total)

    def constants(self, grids: list[Grid]) -> dict[str, Tensor]:
        return {"zeros": torch.tensor([grid.zero_point for grid in grids], dtype=torch.float32)}

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        ratios, zeros = held["sources"] / held["scale"], held["zeros"]
        total = self.grid.zero_point - (ratios[0] * zeros[0] + ratios[1] * zeros[1])
        for number in _order(*(codes.shape for codes in read)):
            products = (read[number] + zeros[number]).double() * ratios[number].double()
            total = (products + total.double()).float()
        return self.grid.codes_of_bytes_in_torch(total)

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return read[0] + read[1]

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        order = _order(*((1, *shape) for shape in reads))
        sizes = pair_sizes([reads[number] for number in order], result, self.path)
        return (CCall(kernel="add", struct="axes", sizes=sizes, reads=order),)
