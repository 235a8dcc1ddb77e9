"""An exported file back as the integer graph that it was written from.

What the exporter writes determines all but two widths: how many bits of a stored byte are in use,
for weights and for activations. They are inferred (see `obliq.exporting.weights`). That changes nothing that the
graph computes, and writing the graph gives the same bytes again. Whatever else a file computes is in the
graph, or the file is refused: two files of one graph give the same answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.graph import Graph
from obliq.exporting.grids import Grid, Weights
from obliq.exporting.onnx.check_graph import Value, followed
from obliq.exporting.onnx.contents import INPUT, LARGEST_FILE, STORED_BITS, Contents, OnnxNode
from obliq.exporting.onnx.parse import parsed
from obliq.exporting.onnx.storage import RULES
from obliq.exporting.operations import IN_FILES, MOVING, Layer, LookupTable, Quantize, Step
from obliq.exporting.weights import EVERY, grid_from, weights_from
from obliq.io.budget import Budget


def read_onnx(data: bytes) -> Contents:
    """What is in the bytes of an ONNX file that our exporter wrote, checked in full.

    There is no external data, and only the operators of an allow-list in the standard domain; names, types, shapes,
    scales, zero points, packed sizes and sums are checked before a runtime sees the file.

    Raises:
        ModelError: in one line: what was found and what was expected.
    """
    if len(data) > LARGEST_FILE:
        raise ModelError(f"{len(data)} bytes; expected at most {LARGEST_FILE}")
    budget = Budget(len(data), ModelError)
    contents = parsed(data, budget)
    followed(contents, RULES, budget=budget)
    return contents


def graph_in(contents: Contents) -> Graph:
    """The integer steps in a file of the `integer` or `compact` form.

    Args:
        contents: as `read_onnx` checked them.

    Raises:
        ModelError: for the `float` form, which holds no integers, and for graphs that are put together
            in another way than the exporter does it.
    """
    reader = _Reader(contents, followed(contents, RULES))
    for node in contents.nodes:
        reader.visit(node)
    last = next(reversed(reader.steps), "")
    if reader.sums or reader.reals.get(contents.ends[1]) != last:
        raise ModelError(
            f"{contents.ends[1]!r} is not what the last rounding gave, or a sum is not rounded; expected a file of "
            "the integer or compact form"
        )
    return Graph(input_shape=contents.input_shape, steps=tuple(reader.steps.values()))


@dataclass
class _Reader:
    """Follows activations from node to node; `steps` has what was found, by the name of its codes."""

    contents: Contents
    values: Mapping[str, Value]
    steps: dict[str, Step] = field(default_factory=dict)
    reals: dict[str, str] = field(default_factory=dict)
    stored: dict[str, tuple[str, int]] = field(default_factory=dict)
    sums: dict[str, OnnxNode] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)

    def visit(self, node: OnnxNode) -> None:
        first = node.inputs[0]
        if not self.values[node.output].flows:
            self._widened(node)
        elif node.operator == "DequantizeLinear" and first in self.steps:
            self._real(node)
        elif node.operator == "Cast" and first in self.steps:
            self.places[node.output] = first
        elif first in self.steps and (kind := MOVING.get(node.operator)) is not None:
            fields: Any = {"path": node.output, "name": node.output, "sources": (first,)}
            step = kind.from_onnx(node, self.contents, **fields, grid=self.steps[first].grid)
            self.steps[node.output] = step
        elif node.operator in IN_FILES and all(
            name in self.reals or name in self.places or self.values[name].codes is not None
            for name in node.inputs
        ):
            self.sums[node.output] = node
        elif node.operator == "QuantizeLinear" and (first in self.sums or first == INPUT):
            self._rounded(node)
        elif node.operator == "Clip" and first in self.steps:
            self._clamped(node)
        else:
            raise _no_step(node)

    def _widened(self, node: OnnxNode) -> None:
        """Codes on their way to a layer: the constant that they come from, and what they are multiplied with."""
        name, times = self.stored.get(node.inputs[0], (node.inputs[0], 1))
        if node.operator == "Mul" and self.values[node.output].kind == "int32":
            if node.inputs[1] not in self.contents.constants:
                raise _no_step(node)
            times *= int(self.contents.constants[node.inputs[1]])
        self.stored[node.output] = name, times

    def _scale_and_zero(self, node: OnnxNode) -> tuple[float, int]:
        scale, zero = (self.contents.constants[name] for name in node.inputs[1:])
        return float(scale), int(zero)

    def _require_on(self, grid: Grid, node: OnnxNode, what: str, rounded: str) -> None:
        found = self._scale_and_zero(node)
        if found != (grid.scale, grid.zero_point):
            raise ModelError(
                f"{what} in steps and around a zero of {found}; expected {(grid.scale, grid.zero_point)}, to which "
                f"{rounded} rounded"
            )

    def _real(self, node: OnnxNode) -> None:
        """Codes mean what they were rounded to; the rules look at one node at a time and do not know."""
        self._require_on(self.steps[node.inputs[0]].grid, node, f"{node.inputs[0]!r} is read", "it was")
        self.reals[node.output] = node.inputs[0]

    def _rounded(self, node: OnnxNode) -> None:
        grid = grid_from(*self._scale_and_zero(node), 0, 255)
        if node.inputs[0] == INPUT:
            step: Step = Quantize(name=node.output, path=INPUT, sources=(), grid=grid)
        else:
            step = self._summed(self.sums.pop(node.inputs[0]), node.output, grid)
        self.steps[node.output] = step

    def _clamped(self, node: OnnxNode) -> None:
        """The step that was just read has fewer codes than a byte, and its name is the clamped value's."""
        step = self.steps.pop(node.inputs[0])
        if not step.grid.fills_container or step.moves:
            raise ModelError(
                f"Clip that makes {node.output!r}: expected it right behind a rounding, and once"
            )
        low, high = (int(self.contents.constants[name]) for name in node.inputs[1:])
        grid = grid_from(step.grid.scale, step.grid.zero_point, low, high)
        self.steps[node.output] = replace(step, name=node.output, grid=grid)

    def _summed(self, node: OnnxNode, name: str, grid: Grid) -> Step:
        sources = tuple(self.reals[value] for value in node.inputs if value in self.reals)
        if node.operator == "Gather":
            return self._looked_up(node, name, grid)
        if not RULES[node.operator].weighted:
            return self._step(node, name, sources, grid)
        (stored, times), (bias, bias_times) = (self.stored[value] for value in node.inputs[1:])
        path, bias_kind = node.layer or stored.removesuffix(".weight"), self.contents.kinds[bias]
        named = (node.layer or stored.endswith(".weight")) and path not in self.paths
        if not named or bias_times != 1 or bias_kind != "int32":
            raise ModelError(
                f"{node.operator} of {path!r} with a bias in {bias_kind} times {bias_times}; expected a layer's "
                "name, once, and a bias as it is stored, in int32"
            )
        self.paths.add(path)
        weight, (codes, _) = self.values[node.inputs[1]], self.values[node.inputs[2]].coded
        weights = self._weights(stored, times, weight, codes, self.steps[sources[0]].grid)
        return self._step(node, name, sources, grid, path=path, weights=weights)

    def _looked_up(self, node: OnnxNode, name: str, grid: Grid) -> Step:
        """A table, whose real values lie on the grid that its result is rounded to."""
        maker = self.contents.makers[node.inputs[0]]
        stored, source = maker.inputs[0], self.places[node.inputs[1]]
        self._require_on(grid, maker, f"the table {stored!r} is", "its result is")
        table, reads = self.contents.constants[stored], self.steps[source].grid
        return LookupTable(name=name, path=name, sources=(source,), grid=grid, table=table, reads=reads)

    def _step(self, node: OnnxNode, name: str, sources: tuple[str, ...], grid: Grid, **fields: Any) -> Step:
        common = {"path": name, "name": name, "sources": sources, "grid": grid}
        return IN_FILES[node.operator].from_onnx(node, self.contents, **common | fields)

    def _weights(self, stored: str, times: int, weight: Value, bias: ndarray, source: Grid) -> Weights:
        """A constant of this type may stand for some widths only, and a narrow one shows what it is multiplied by."""
        kinds = self.contents.kinds
        packed = bool({"int4", "int2"} & set(kinds.values()))
        widths = {"int2": range(2, 3), "int4": range(3, 5)}.get(
            kinds[stored], range(5, 9) if packed else EVERY
        )
        known = times if widths[-1] < 8 or times > 1 else None
        try:
            return weights_from(*weight.coded, bias, source, widths=widths, times=known)
        except ModelError as error:
            raise ModelError(f"{stored}: {error}") from error


def _no_step(node: OnnxNode) -> ModelError:
    return ModelError(
        f"{node.operator} that makes {node.output!r} is not read as a step of an integer graph; "
        "expected a file of the integer or compact form"
    )


def weight_constants(contents: Contents) -> tuple[str, ...]:
    """The constants that hold the codes of layers, in the order of their layers; none for a file of floats."""
    weights = (node.inputs[1] for node in _weighted(contents))
    ways = [(name, *(node.inputs[0] for node in contents.way_to_constant(name))) for name in weights]
    return tuple(way[-1] for way in ways if contents.kinds[way[-1]] != "float32")


def _weighted(contents: Contents) -> list[OnnxNode]:
    return [node for node in contents.nodes if issubclass(IN_FILES.get(node.operator, Step), Layer)]


def widths(contents: Contents) -> dict[str, int]:
    """The bits that the codes of each layer are stored in, by the layer's path."""
    pairs = zip(_weighted(contents), weight_constants(contents), strict=True)
    return {
        node.layer or name.removesuffix(".weight"): STORED_BITS[contents.kinds[name]] for node, name in pairs
    }


def stored_weights(contents: Contents) -> str:
    """The narrowest type that weights are stored in: `int8`, `int4`, `int2`, or `float32`."""
    if contents.codes:
        return "int8"
    kinds = {contents.kinds[name] for name in weight_constants(contents)}
    return next((kind for kind in ("int2", "int4", "int8") if kind in kinds), "float32")


def onnx_form(contents: Contents) -> str:
    """The only form of `to_onnx` that such a file can have, if it is ours.

    Bytes alone are `integer`: a network of which no layer has fewer bits has the same file in the `compact` form.
    """
    return {"int8": "integer", "float32": "float"}.get(stored_weights(contents), "compact")


def share_of_changed_codes(before: Contents, after: Contents) -> float | None:
    """The share of weight codes, 0 to 1, that differ between two files; None for files of floats.

    Raises:
        ModelError: when the files are not of one form.
    """
    codes = [
        one.codes or {name: one.constants[name] for name in weight_constants(one)} for one in (before, after)
    ]
    shapes = [[(name, values.shape) for name, values in one.items()] for one in codes]
    if shapes[0] != shapes[1]:
        raise ModelError("the files have other layers; expected two of one form")
    if not codes[0]:
        return None
    changed = sum(int((codes[0][name] != codes[1][name]).sum()) for name in codes[0])
    return changed / sum(values.size for values in codes[0].values())


def outline(contents: Contents) -> object:
    """Everything but the values of constants."""
    constants = {name: (contents.kinds[name], values.shape) for name, values in contents.constants.items()}
    return contents.opset, contents.input_shape, contents.nodes, constants
