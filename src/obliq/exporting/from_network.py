"""The one walk over a quantized network that turns it into integer steps."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from obliq.errors import ModelError
from obliq.exporting import windows
from obliq.exporting.graph import Add, Convolution, Flatten, Graph, Grid, Linear, Quantize, Step
from obliq.exporting.weights import fold
from obliq.quantization import QuantizedActivation, QuantizedLinear, QuantizedWeight, integer_state
from obliq.quantization.operations import (
    ADDITIONS,
    AVERAGES,
    CLIPPED_RECTIFIERS,
    DROPOUTS,
    NORMALISATIONS,
    RECTIFIERS,
    is_number,
    module_of,
    operation,
)
from obliq.quantization.precision import activation_range

SUPPORTED = (
    "Conv1d, Conv2d and Linear, each with BatchNorm1d/2d, ReLU, ReLU6 or Hardtanh behind it; additions; "
    "average pools and means over space; max pools; flattening; dropout"
)
"""What a network may consist of in order to be exported."""

_RESHAPES: set[Any] = {nn.Flatten, torch.flatten, "flatten", "view", "reshape", torch.reshape}
_IDENTITIES: set[Any] = DROPOUTS | {nn.Identity, "contiguous", "clone", "detach"}


def graph_of(model: nn.Module, input_shape: Sequence[int]) -> Graph:
    """The integer steps of a network that was quantized with the `deploy` preset.

    Args:
        model: made by `quantize`, calibrated; read as in evaluation mode and left untouched.
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
    """Collects steps; `made` says which step's result a node of the traced network carries."""

    def __init__(self, model: fx.GraphModule, rank: int) -> None:
        self.integers = integer_state(model)
        self.rank = rank
        self.flat: set[str] = set()
        self.steps: list[Step] = []
        self.made: dict[fx.Node, Step] = {}

    def visit(self, node: fx.Node) -> None:
        kind = operation(node)
        if node.op == "placeholder" or is_number(node):
            return
        if node.op == "output":
            self._check_result(node)
        elif kind is QuantizedActivation:
            self._rounded(node)
        elif kind in _IDENTITIES:
            self.made[node] = self._source(node, 0)
        elif kind in windows.MAX_POOLS:
            self._keep(node, windows.max_pool(node, node.name, self._source(node, 0)))
        elif kind in _RESHAPES:
            _check_flattens(node)
            self._flatten(node, node.name, self._source(node, 0))
        elif not _ends_in_quantizer(node):
            raise _unsupported(node)

    def _rounded(self, quantizer: fx.Node) -> None:
        """One step for everything between the last rounding and this one."""
        tensor = self.integers[str(quantizer.target)]
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
        grid = Grid(scale=scale, bits=tensor.bits, signed=tensor.signed, low=low, high=high)
        name = str(quantizer.target)
        self._keep(quantizer, self._step(node, name, grid, norm))
        if windows.drops_axes(node):
            self._flatten(quantizer, f"{name}_flat", self.steps[-1])

    def _flatten(self, node: fx.Node, name: str, source: Step) -> None:
        self._keep(node, Flatten(name=name, path=path_of(node), sources=(source.name,), grid=source.grid))
        self.flat.add(name)

    def _step(self, node: fx.Node, name: str, grid: Grid, norm: nn.Module | None) -> Step:
        kind = operation(node)
        common: dict[str, Any] = {"name": name, "path": path_of(node), "grid": grid}
        if node.op == "call_module" and isinstance(layer := module_of(node), QuantizedWeight):
            source = self._source(node, 0)
            weight = self.integers[f"{node.target}.weight"]
            common |= {
                "sources": (source.name,),
                "weights": fold(path_of(node), layer, weight, norm, source.grid),
            }
            if isinstance(layer, QuantizedLinear):
                if self._rank(source) != 2:
                    raise ModelError(
                        f"layer {node.target} reads a tensor of many axes; expected it flattened"
                    )
                return Linear(**common)
            return Convolution(**common, **windows.convolution(node))
        if norm is not None:
            raise ModelError(f"{path_of(node)} has a batch norm behind it; expected that behind a layer only")
        if node.op == "placeholder":
            return Quantize(**common, sources=())
        if kind in ADDITIONS and len(node.args) == 2 and not node.kwargs:
            return Add(**common, sources=(self._source(node, 0).name, self._source(node, 1).name))
        if kind in AVERAGES:
            source = self._source(node, 0)
            return windows.average_pool(node, name, source, grid, self._rank(source))
        raise _unsupported(node)

    def _rank(self, step: Step) -> int:
        return 2 if step.name in self.flat else self.rank

    def _source(self, node: fx.Node, position: int) -> Step:
        given = node.args[position] if position < len(node.args) else node.kwargs.get("input")
        if not isinstance(given, fx.Node) or given not in self.made:
            raise ModelError(
                f"{path_of(node)} reads a value that is not on a grid; expected a network quantized with the "
                "deploy preset"
            )
        return self.made[given]

    def _keep(self, node: fx.Node, step: Step) -> None:
        self.steps.append(step)
        self.made[node] = step
        if self.flat.intersection(step.sources):
            self.flat.add(step.name)

    def _check_result(self, node: fx.Node) -> None:
        if self._source(node, 0) is not self.steps[-1]:
            raise ModelError("the network's result is not its last step; expected it to be")


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


def _check_flattens(node: fx.Node) -> None:
    """Raise unless a reshape keeps the batch and puts all else in one axis."""
    kind, fits = operation(node), False
    if node.op == "call_module":
        module: Any = module_of(node)
        fits = (module.start_dim, module.end_dim) == (1, -1)
    elif kind in (torch.flatten, "flatten"):
        start = node.args[1] if len(node.args) > 1 else node.kwargs.get("start_dim", 0)
        end = node.args[2] if len(node.args) > 2 else node.kwargs.get("end_dim", -1)
        fits = (start, end) == (1, -1)
    else:
        sizes = node.args[1] if isinstance(node.args[1], tuple | list) else node.args[1:]
        fits = len(sizes) == 2 and isinstance(sizes[0], fx.Node) and is_number(sizes[0])
        fits = bool(fits and sizes[1] == -1)
    if not fits:
        raise ModelError(f"{path_of(node)} reshapes freely; expected it to flatten all axes but the batch")


def _unsupported(node: fx.Node) -> ModelError:
    kind = operation(node)
    what = kind.__name__ if isinstance(kind, type) else "a function" if callable(kind) else "a method"
    return ModelError(f"{path_of(node)} ({what}) has no integer form here; expected {SUPPORTED}")
