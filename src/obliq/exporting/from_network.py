"""The one walk over a quantized network that turns it into integer steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from obliq.errors import ModelError
from obliq.exporting.graph import Graph
from obliq.exporting.grids import Grid
from obliq.exporting.known_sizes import KnownSizes
from obliq.exporting.moved_values import in_place, moved, steps_for
from obliq.exporting.operations import (
    OPERATIONS,
    Convolution,
    Flatten,
    Layer,
    LookupTable,
    Quantize,
    Step,
    TracedCall,
)
from obliq.exporting.operations.windows import arguments_of
from obliq.io.user_code import first_line
from obliq.quantization import QuantizedActivation, integer_state
from obliq.quantization.operations import (
    CLIPPED_RECTIFIERS,
    NORMALISATIONS,
    RECTIFIERS,
    TRANSPARENT,
    is_number,
    module_of,
    moves_values,
    operation,
    path_of,
)
from obliq.quantization.precision import activation_range

_LAYERS = ", ".join(one.offers for one in OPERATIONS if issubclass(one, Layer))
_OTHERS = "; ".join(one.offers for one in OPERATIONS if one.offers and not issubclass(one, Layer))
SUPPORTED = f"{_LAYERS}, each with BatchNorm1d/2d, ReLU, ReLU6 or Hardtanh behind it; {_OTHERS}; dropout"
"""What a network may consist of in order to be exported."""

_FLATTENING: set[Any] = {nn.Flatten, torch.flatten, "flatten", "view", "reshape", torch.reshape}


def graph_of(model: nn.Module, input_shape: Sequence[int]) -> Graph:
    """The integer steps of a network that was quantized with the `deploy` preset.

    Args:
        model: of `quantize`, calibrated; read as in evaluation mode and left untouched.
        input_shape: of one sample, channels first.

    Raises:
        ModelError: naming every layer or call that has no integer form here.
    """
    if not isinstance(model, fx.GraphModule):
        raise ModelError(f"cannot export a {type(model).__name__}; expected a network made by quantize")
    walk = _Walk(model, input_shape)
    problems: list[ModelError] = []
    for node in walk.sizes.model.graph.nodes:
        try:
            walk.visit(node)
        except ModelError as error:
            problems.append(error)
        except Exception as error:  # calls of the user's network may have arguments of any kind
            problem = ModelError(
                f"{path_of(node)} cannot be read as an integer step ({first_line(error)}); expected {SUPPORTED}"
            )
            problem.__cause__ = error
            problems.append(problem)
        if problems and not walk.stand_in(node):
            break
    if problems:
        raise _together(problems) from problems[0].__cause__
    return Graph(input_shape=tuple(input_shape), steps=tuple(walk.steps))


def _together(problems: Sequence[ModelError]) -> ModelError:
    """All problems of a network in one line, with what was expected only once where it is the same."""
    expected: dict[str, list[str]] = {}
    for problem in dict.fromkeys(map(str, problems)):
        what, _, instead = problem.partition("; expected ")
        expected.setdefault(instead, []).append(what)
    count = sum(map(len, expected.values()))
    if count == 1:
        return problems[0]
    lines = [f"{', '.join(each)}; expected {instead}" for instead, each in expected.items()]
    return ModelError(f"{count} parts of the network cannot be exported: {'; and '.join(lines)}")


@dataclass(frozen=True)
class _Value:
    """What a node carries: the codes of a step, moved to other places unless `places` is None."""

    step: Step
    places: Any = None


class _Walk:
    """Collects steps; `carried` has what the nodes of the traced network carry."""

    def __init__(self, model: fx.GraphModule, input_shape: Sequence[int]) -> None:
        self.integers = integer_state(model)
        self.sizes = KnownSizes(model, input_shape)
        self.steps: list[Step] = []
        self.carried: dict[fx.Node, _Value] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def visit(self, node: fx.Node) -> None:
        if node.op == "placeholder" or is_number(node):
            return
        found = _operation_of(node)
        if node.op == "output":
            if self._carried(node, node.args[0]) is not self.steps[-1]:
                raise ModelError("the network's result is not its last step; expected it to be")
        elif operation(node) is QuantizedActivation:
            self._rounded(node)
        elif operation(node) in TRANSPARENT:
            if node.all_input_nodes[0] in self.carried:
                self.carried[node] = self.carried[node.all_input_nodes[0]]
            elif not _ends_in_quantizer(node):
                raise _unsupported(node)
        elif found is not None and found.moves:
            self._add(node, found, node)
        elif moves_values(node):
            self._moved(node)
        elif not _ends_in_quantizer(node):
            raise _unsupported(node)

    def stand_in(self, node: fx.Node) -> bool:
        """Let a node carry codes although it has no integer form, so that the walk finds what else has none.

        Returns:
            Whether the walk can go on.
        """
        known = next((self.carried[one] for one in node.all_input_nodes if one in self.carried), None)
        if node in self.carried or (known is None and operation(node) is not QuantizedActivation):
            return True
        if operation(node) is QuantizedActivation:
            tensor = self.integers[str(node.target)]
            low, high = activation_range(tensor.bits, tensor.signed)
            grid = Grid(scale=float(tensor.scale), bits=tensor.bits, signed=tensor.signed, low=low, high=high)
        elif known is not None and moves_values(node):
            grid = known.step.grid
        else:
            return True
        try:
            self._append([Quantize(name=node.name, path=path_of(node), sources=(), grid=grid)], node)
        except Exception:  # a size that nobody knows
            return False
        return True

    def _moved(self, node: fx.Node) -> None:
        """Values that stay on their grid; they become steps as soon as something computes with them."""
        source = next((one for one in node.all_input_nodes if one in self.carried), None)
        if source is None:
            raise self._off_grid(node)
        value = self.carried[source]
        if operation(node) in _FLATTENING and value.places is None and len(self.sizes.of(node)) == 1:
            self._add(node, Flatten, node)
            return
        places = in_place(self.shapes[value.step.name]) if value.places is None else value.places
        try:
            self.carried[node] = _Value(value.step, moved(node, {source: places}))
        except ModelError:
            raise
        except Exception as error:  # the user's own call
            raise _unsupported(node) from error

    def _rounded(self, quantizer: fx.Node) -> None:
        """One step for everything between the last rounding and this one: operation, batch norm, rectifier."""
        tensor, name = self.integers[str(quantizer.target)], str(quantizer.target)
        low, high = activation_range(tensor.bits, tensor.signed)
        node, norm, clamp = quantizer.all_input_nodes[0], None, None
        path = ""
        node = self._before(node)
        if operation(node) in RECTIFIERS | CLIPPED_RECTIFIERS and node not in self.carried:
            clamp = _bounds(node)
            node = self._before(node.all_input_nodes[0])
        if operation(node) in NORMALISATIONS:
            norm, path = module_of(node), path_of(node)
            node = self._before(node.all_input_nodes[0])
        scale = float(tensor.scale)
        if clamp is not None:  # rounding is monotone: clamping codes is clamping values
            low, high = max(low, _code(clamp[0], scale, low)), min(high, _code(clamp[1], scale, high))
        found = _operation_of(node)
        if node in self.carried:  # a value on a grid goes to another grid, or through a batch norm alone
            found = LookupTable if norm is None else Convolution
        if found is None or found.moves:
            raise _unsupported(node)
        grid = Grid(scale=scale, bits=tensor.bits, signed=tensor.signed, low=low, high=high)
        fields = {"name": name, "grid": grid} | ({"path": path} if node in self.carried and path else {})
        self._add(quantizer, found, node, fields, norm)

    def _before(self, node: fx.Node) -> fx.Node:
        """The node itself, or what is in front of dropout and identity."""
        while operation(node) in TRANSPARENT and node not in self.carried:
            node = node.all_input_nodes[0]
        return node

    def _add(
        self,
        result: fx.Node,
        found: type[Step],
        node: fx.Node,
        known: Mapping[str, Any] | None = None,
        norm: nn.Module | None = None,
    ) -> None:
        """Add the steps of a call, whose result a node carries; one that moves codes keeps its source's grid."""
        arguments = [node] if node in self.carried else found.arguments(node)
        sources = tuple(self._carried(node, argument) for argument in arguments)
        fields: dict[str, Any] = {
            "name": node.name,
            "path": path_of(node),
            "sources": tuple(source.name for source in sources),
        }
        fields |= known or {"grid": sources[0].grid}
        call = TracedCall(
            node=node,
            fields=fields,
            source=sources[0].grid if sources else None,
            shapes=tuple(self.shapes[source.name] for source in sources),
            result=self.sizes.of(result),
            norm=norm,
            integers=self.integers,
        )
        self._append(found.from_call(call), result)

    def _append(self, steps: Sequence[Step], result: fx.Node) -> None:
        """Add steps; a node carries what the last one gives."""
        self.steps += steps
        self.carried[result] = _Value(steps[-1])
        self.shapes[steps[-1].name] = self.sizes.of(result)

    def _carried(self, node: fx.Node, argument: object) -> Step:
        """The step whose codes a node reads, after those that move them."""
        if not isinstance(argument, fx.Node) or argument not in self.carried:
            raise self._off_grid(node)
        value = self.carried[argument]
        if isinstance(value.places, tuple | list):
            raise _unsupported(node)
        if value.places is not None:
            fields = {"name": argument.name, "path": path_of(argument), "sources": (value.step.name,)}
            steps = steps_for(value.places, self.shapes[value.step.name], fields | {"grid": value.step.grid})
            if not steps:
                return value.step
            self._append(steps, argument)
        return self.carried[argument].step

    def _off_grid(self, node: fx.Node) -> ModelError:
        return ModelError(
            f"{path_of(node)} reads a value that is not on a grid; expected a network quantized with the "
            "deploy preset"
        )


def _operation_of(node: fx.Node) -> type[Step] | None:
    return next((one for one in OPERATIONS if one.matches(node)), None)


def _ends_in_quantizer(node: fx.Node) -> bool:
    """Whether a quantizer behind the node takes it up; every chain of a unit has one user."""
    users = [user for user in node.users if not is_number(user)]
    if len(users) != 1:
        return False
    return operation(users[0]) is QuantizedActivation or (
        operation(users[0]) in RECTIFIERS | CLIPPED_RECTIFIERS | NORMALISATIONS | TRANSPARENT
        and _ends_in_quantizer(users[0])
    )


def _bounds(node: fx.Node) -> tuple[float, float]:
    """What a rectifier clamps to."""
    kind = operation(node)
    if kind in RECTIFIERS:
        return 0.0, float("inf")
    if kind in (nn.ReLU6, F.relu6):
        return 0.0, 6.0
    given = arguments_of(node, ("min_val", "max_val"), min_val=-1.0, max_val=1.0)
    return float(given["min_val"]), float(given["max_val"])


def _code(value: float, scale: float, otherwise: int) -> int:
    steps = torch.tensor(value) / torch.tensor(scale)
    return int(steps.round()) if bool(torch.isfinite(steps)) else otherwise


def _unsupported(node: fx.Node) -> ModelError:
    kind = operation(node)
    what = kind.__name__ if isinstance(kind, type) else "a function" if callable(kind) else "a method"
    return ModelError(f"{path_of(node)} ({what}) has no integer form here; expected {SUPPORTED}")
