"""Everything after the batch in one axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import nn

from obliq.exporting.onnx.check_graph import Operator, Value, activation, require, whole
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape
from obliq.exporting.operations.step import Reals, Step


def _check(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    whole(node, "axis", 1, 1, 1)
    require(source.flows and source.kind in ("uint8", "int8", "float32"), node, "an activation")
    return activation(source.kind, (int(np.prod(source.shape, dtype=object)),), source.scale, source.span)


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Step):
    """Codes in one row a sample; ExecuTorch has nothing to compute, since values keep two axes of space there."""

    moves: ClassVar = True
    flat: ClassVar = True
    calls: ClassVar = frozenset()  # whatever gives such a row: see `obliq.exporting.moved_values`
    offers: ClassVar = "flattening"
    onnx: ClassVar = {"Flatten": Operator(rule=_check, inputs=(1, 1), settings=frozenset({"axis"}))}
    xnnpack: ClassVar = frozenset()

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return read[0].flatten(1)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        return "Flatten", {"axis": 1}

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        return ()
