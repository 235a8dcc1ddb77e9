"""The one walk over a quantized network that turns it into integer steps."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from obliq.errors import ModelError
from obliq.exporting.graph import Graph
from obliq.exporting.grids import Grid
from obliq.exporting.operations import OPERATIONS, Layer, Step, TracedCall
from obliq.quantization import QuantizedActivation, integer_state
from obliq.quantization.operations import (
    CLIPPED_RECTIFIERS,
    DROPOUTS,
    NORMALISATIONS,
    RECTIFIERS,
    is_number,
    module_of,
    operation,
)
from obliq.quantization.precision import activation_range

_LAYERS = " and ".join(one.offers for one in OPERATIONS if issubclass(one, Layer))
_OTHERS = "; ".join(one.offers for one in OPERATIONS if one.offers and not issubclass(one, Layer))
SUPPORTED = f"{_LAYERS}, each with BatchNorm1d/2d, ReLU, ReLU6 or Hardtanh behind it; {_OTHERS}; dropout"
"""What a network may consist of in order to be exported."""

_IDENTITIES: set[Any] = DROPOUTS | {nn.Identity, "contiguous", "clone", "detach"}


def graph_of(model: nn.Module, input_shape: Sequence[int]) -> Graph:
    """The integer steps of a network that was quantized with the `deploy` preset.

    Args:
        model: of `quantize`, calibrated; read as in evaluation mode and left untouched.
        input_shape: of one sample, channels first.

    Raises:
        ModelError: naming the layer or call that has no integer form here.
    """
    if not isinstance(model, fx.GraphModule):
        raise ModelError(f"cannot export a {type(model).__name__}; expected a network made by quantize")
    walk = _Walk(model, len(input_shape) + 1)
    for node in model.graph.nodes:
        walk.visit(node)
    return Graph(input_shape=tuple(input_shape), steps=tuple(walk.steps))


class _Walk:
    """Collects steps; `carried` has the step whose result a node of the traced network carries."""

    def __init__(self, model: fx.GraphModule, rank: int) -> None:
        self.integers = integer_state(model)
        self.rank = rank
        self.flat: set[str] = set()
        self.steps: list[Step] = []
        self.carried: dict[fx.Node, Step] = {}

    def visit(self, node: fx.Node) -> None:
        if node.op == "placeholder" or is_number(node):
            return
        found = _operation_of(node)
        if node.op == "output":
            if self._carried(node, node.args[0]) is not self.steps[-1]:
                raise ModelError("the network's result is not its last step; expected it to be")
        elif operation(node) is QuantizedActivation:
            self._rounded(node)
        elif operation(node) in _IDENTITIES:
            self.carried[node] = self._carried(node, [*node.args, node.kwargs.get("input")][0])
        elif found is not None and found.moves:
            self._add(node, found, node)
        elif not _ends_in_quantizer(node):
            raise _unsupported(node)

    def _rounded(self, quantizer: fx.Node) -> None:
        """One step for everything between the last rounding and this one: operation, batch norm, rectifier."""
        tensor, name = self.integers[str(quantizer.target)], str(quantizer.target)
        low, high = activation_range(tensor.bits, tensor.signed)
        node, norm, clamp = quantizer.all_input_nodes[0], None, None
        if operation(node) in RECTIFIERS | CLIPPED_RECTIFIERS:
            clamp = _bounds(node)
            node = node.all_input_nodes[0]
        if operation(node) in NORMALISATIONS:
            norm = module_of(node)
            node = node.all_input_nodes[0]
        scale = float(tensor.scale)
        if clamp is not None:  # rounding is monotone: clamping codes is clamping values
            low, high = max(low, _code(clamp[0], scale, low)), min(high, _code(clamp[1], scale, high))
        found = _operation_of(node)
        if norm is not None and (found is None or not issubclass(found, Layer)):
            raise ModelError(f"{path_of(node)} has a batch norm behind it; expected that behind a layer only")
        if found is None or found.moves:  # what moves codes stays on the grid that they are on
            raise _unsupported(node)
        grid = Grid(scale=scale, bits=tensor.bits, signed=tensor.signed, low=low, high=high)
        self._add(quantizer, found, node, name, grid, norm)

    def _add(
        self,
        result: fx.Node,
        found: type[Step],
        node: fx.Node,
        name: str = "",
        grid: Grid | None = None,
        norm: nn.Module | None = None,
    ) -> None:
        """Add the steps of a call, whose result a node carries; one that moves codes keeps its source's grid."""
        sources = tuple(self._carried(node, argument) for argument in found.arguments(node))
        fields: dict[str, Any] = {
            "name": name or node.name,
            "path": path_of(node),
            "sources": tuple(source.name for source in sources),
            "grid": grid or sources[0].grid,
        }
        rank = 2 if self.flat.intersection(fields["sources"]) else self.rank
        call = TracedCall(
            node=node,
            fields=fields,
            source=sources[0].grid if sources else None,
            rank=rank,
            norm=norm,
            integers=self.integers,
        )
        for step in found.from_call(call):
            if step.flat or self.flat.intersection(step.sources):
                self.flat.add(step.name)
            self.steps.append(step)
            self.carried[result] = step

    def _carried(self, node: fx.Node, argument: object) -> Step:
        if not isinstance(argument, fx.Node) or argument not in self.carried:
            raise ModelError(
                f"{path_of(node)} reads a value that is not on a grid; expected a network quantized with the "
                "deploy preset"
            )
        return self.carried[argument]


def _operation_of(node: fx.Node) -> type[Step] | None:
    return next((one for one in OPERATIONS if one.matches(node)), None)


def path_of(node: fx.Node) -> str:
    """Where a node stands: the layer's name, or the function's and the module that calls it."""
    if node.op == "call_module":
        return str(node.target)
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    function = getattr(node.target, "__name__", str(node.target))
    return f"{stack[-1][0]}.{function}".strip(".") if stack else function


def _ends_in_quantizer(node: fx.Node) -> bool:
    """Whether a quantizer behind the node takes it up; every chain of a unit has one user."""
    users = [user for user in node.users if not is_number(user)]
    if len(users) != 1:
        return False
    return operation(users[0]) is QuantizedActivation or (
        operation(users[0]) in RECTIFIERS | CLIPPED_RECTIFIERS | NORMALISATIONS
        and _ends_in_quantizer(users[0])
    )


def _bounds(node: fx.Node) -> tuple[float, float]:
    """What a rectifier clamps to."""
    kind = operation(node)
    if kind in RECTIFIERS:
        return 0.0, float("inf")
    if kind in (nn.ReLU6, F.relu6):
        return 0.0, 6.0
    if node.op == "call_module":
        module = module_of(node)
        assert isinstance(module, nn.Hardtanh)
        return float(module.min_val), float(module.max_val)
    given = [*node.args[1:3], *[None] * 2]
    low = given[0] if given[0] is not None else node.kwargs.get("min_val", -1.0)
    high = given[1] if given[1] is not None else node.kwargs.get("max_val", 1.0)
    return float(low), float(high)  # type: ignore[arg-type]


def _code(value: float, scale: float, otherwise: int) -> int:
    steps = torch.tensor(value) / torch.tensor(scale)
    return int(steps.round()) if bool(torch.isfinite(steps)) else otherwise


def _unsupported(node: fx.Node) -> ModelError:
    kind = operation(node)
    what = kind.__name__ if isinstance(kind, type) else "a function" if callable(kind) else "a method"
    return ModelError(f"{path_of(node)} ({what}) has no integer form here; expected {SUPPORTED}")
