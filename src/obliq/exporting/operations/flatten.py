"""Everything after the batch in one axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import nn

from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import LARGEST_SAMPLE, Operator, Value, activation, require, whole
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape
from obliq.exporting.operations.step import Codes, Reals, Step


def _check(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    whole(node, "axis", 1, 1, 1)
    require(source.flows and source.kind in ("uint8", "int8", "float32"), node, "an activation")
    return activation(source.kind, (int(np.prod(source.shape, dtype=object)),), source.scale, source.span)


def _check_reshape(node: OnnxNode, read: list[Value]) -> Value:
    """The shape of a row, written out: (-1, row), or (0, row) and (0, -1) where 0 keeps the batch as it is."""
    source, shape = read
    whole(node, "allowzero", 0, 0, 1)
    row = int(np.prod(source.shape, dtype=object))
    found = () if shape.constant is None else tuple(shape.constant.reshape(-1)[:3].tolist())
    keeps_batch = found[:1] == (0,) and node.settings.get("allowzero", 0) == 0
    fits = shape.kind == "int64" and shape.shape == (2,) and row <= LARGEST_SAMPLE
    spelled = found == (-1, row) or (keeps_batch and found[1] in (-1, row))
    require(fits and spelled, node, f"the shape (batch, {row})")
    require(source.flows and source.kind == "float32", node, "a real activation")
    return activation("float32", (row,), source.scale, source.span)


def _flattened(node: OnnxNode, contents: Contents, **fields: Any) -> Step:
    return Flatten(**fields)


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Step):
    """Codes in one row a sample; ExecuTorch has nothing to compute, since values keep two axes of space there."""

    moves: ClassVar[bool] = True
    flat: ClassVar[bool] = True
    calls: ClassVar[frozenset[Any]] = (
        frozenset()
    )  # whatever gives such a row: see `obliq.exporting.moved_values`
    offers: ClassVar[str] = "flattening"
    onnx: ClassVar[Mapping[str, Operator]] = {
        "Flatten": Operator(rule=_check, inputs=(1, 1), settings=frozenset({"axis"}))
    }
    xnnpack: ClassVar[frozenset[str] | None] = frozenset()
    qdq: ClassVar[Mapping[str, Operator]] = {
        "Reshape": Operator(
            rule=_check_reshape, inputs=(2, 2), settings=frozenset({"allowzero"}), step=_flattened
        )
    }

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        return read[0].reshape(len(read[0]), -1)

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return read[0].flatten(1)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        return "Flatten", {"axis": 1}

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        return ()
