"""Everything after the batch in one axis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import fx, nn

from obliq.errors import ModelError
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import LARGEST_SAMPLE, Operator, Value, activation, require, whole
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations.step import Codes, Reals, Step, TracedCall
from obliq.quantization.operations import is_number, module_of, operation


def _check(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    whole(node, "axis", 1, 1, 1)
    require(source.flows, node, "an activation")
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Step):
    """Codes in one row a sample; ExecuTorch has nothing to compute, since values keep two axes of space there."""

    moves: ClassVar[bool] = True
    flat: ClassVar[bool] = True
    calls: ClassVar[frozenset[Any]] = frozenset(
        {nn.Flatten, torch.flatten, "flatten", "view", "reshape", torch.reshape}
    )
    offers: ClassVar[str] = "flattening"
    onnx: ClassVar[Mapping[str, Operator]] = {
        "Flatten": Operator(rule=_check, inputs=(1, 1), settings=frozenset({"axis"}))
    }
    xnnpack: ClassVar[frozenset[str] | None] = frozenset()
    qdq: ClassVar[Mapping[str, Operator]] = {
        "Reshape": Operator(rule=_check_reshape, inputs=(2, 2), settings=frozenset({"allowzero"}))
    }

    @classmethod
    def from_call(cls, call: TracedCall) -> tuple[Step, ...]:
        if not _flattens(call.node):
            raise ModelError(
                f"{call.fields['path']} reshapes freely; expected it to flatten all axes but the batch"
            )
        return super().from_call(call)

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        return read[0].reshape(len(read[0]), -1)

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return read[0].flatten(1)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        return "Flatten", {"axis": 1}


def _flattens(node: fx.Node) -> bool:
    """Whether a reshape keeps the batch and puts all else in one axis."""
    if node.op == "call_module":
        module: Any = module_of(node)
        return (module.start_dim, module.end_dim) == (1, -1)
    if operation(node) in (torch.flatten, "flatten"):
        start = node.args[1] if len(node.args) > 1 else node.kwargs.get("start_dim", 0)
        end = node.args[2] if len(node.args) > 2 else node.kwargs.get("end_dim", -1)
        return (start, end) == (1, -1)
    sizes = node.args[1] if isinstance(node.args[1], tuple | list) else node.args[1:]
    keeps_batch = len(sizes) == 2 and isinstance(sizes[0], fx.Node) and is_number(sizes[0])
    return bool(keeps_batch and sizes[1] == -1)
