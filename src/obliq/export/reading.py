"""An exported file back as the integer graph that it was written from.

What the exporter writes says everything but two widths: how many bits of a stored byte are in use,
for weights and for activations. They are inferred: few enough to agree with the powers of two that codes
were multiplied by (see `obliq.export.folding`). That changes nothing that the graph computes, and writing
the graph gives the same bytes again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError
from obliq.export.contents import Contents, Node
from obliq.export.folding import refinement_of
from obliq.export.graph import (
    Add,
    AveragePool,
    Convolution,
    Flatten,
    Graph,
    Grid,
    Linear,
    MaxPool,
    Quantize,
    Step,
    Weights,
)
from obliq.export.onnx_model import INPUT
from obliq.quantization.precision import activation_range, weight_range


def graph_in(contents: Contents) -> Graph:
    """The integer steps in a file of the `integer` or `compact` form.

    Args:
        contents: as `contents_of` checked them.

    Raises:
        ModelError: for the `float` form, which holds no integers, and for graphs that are put together
            in another way than the exporter does it.
    """
    reader = _Reader(contents)
    for node in contents.nodes:
        reader.visit(node)
    return Graph(input_shape=contents.input_shape, steps=tuple(reader.steps.values()))


@dataclass(frozen=True)
class _Stored:
    """Codes that are widened step by step: the constant's name, its values, and what they were multiplied with."""

    name: str
    codes: ndarray
    times: int = 1


@dataclass
class _Reader:
    """Follows names from node to node; `steps` has what was found, by the name of its codes."""

    contents: Contents
    steps: dict[str, Step] = field(default_factory=dict)
    reals: dict[str, str] = field(default_factory=dict)
    stored: dict[str, _Stored] = field(default_factory=dict)
    scales: dict[str, ndarray] = field(default_factory=dict)
    parts: dict[str, tuple[_Stored, ndarray]] = field(default_factory=dict)
    sums: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stored = {
            name: _Stored(name, values)
            for name, values in self.contents.constants.items()
            if self.contents.kinds[name] in ("int8", "int4", "int2", "int32")
        }
        constants = self.contents.constants.items()
        self.scales = {name: values for name, values in constants if self.contents.kinds[name] == "float32"}

    def visit(self, node: Node) -> None:
        first = node.inputs[0]
        if node.operator in ("Cast", "Mul") and first in self.stored:
            times = int(self.contents.constants[node.inputs[1]]) if node.operator == "Mul" else 1
            before = self.stored[first]
            self.stored[node.output] = replace(before, times=before.times * times)
        elif node.operator == "Mul" and first in self.scales:
            self.scales[node.output] = self.scales[first] * self.scales[node.inputs[1]]
        elif node.operator == "DequantizeLinear" and first in self.stored:
            self.parts[node.output] = (self.stored[first], self.scales[node.inputs[1]])
        elif node.operator == "DequantizeLinear" and first in self.steps:
            self.reals[node.output] = first
        elif node.operator in _SUMS and all(name in self.reals or name in self.parts for name in node.inputs):
            self.sums[node.output] = node
        elif node.operator == "QuantizeLinear" and (first in self.sums or first == INPUT):
            self._rounded(node)
        elif node.operator == "Clip" and first in self.steps:
            self._clamped(node)
        elif node.operator in _MOVES and first in self.steps:
            self.steps[node.output] = _MOVES[node.operator](node, self.steps[first])
        else:
            raise ModelError(
                f"{node.operator} that makes {node.output!r} is not read as a step of an integer graph; "
                "expected a file of the integer or compact form"
            )

    def _rounded(self, node: Node) -> None:
        zero = int(self.contents.constants[node.inputs[2]])
        scale = float(self.contents.constants[node.inputs[1]])
        grid = _grid(scale, zero, 0, 255)
        if node.inputs[0] == INPUT:
            step: Step = Quantize(name=node.output, path=INPUT, sources=(), grid=grid)
        else:
            step = self._summed(self.sums[node.inputs[0]], node.output, grid)
        self.steps[node.output] = step

    def _clamped(self, node: Node) -> None:
        """The step that was just read has fewer codes than a byte, and its name is the clamped value's."""
        step = self.steps.pop(node.inputs[0])
        low, high = (int(self.contents.constants[name]) for name in node.inputs[1:])
        grid = _grid(step.grid.scale, step.grid.zero_point, low, high)
        self.steps[node.output] = replace(step, name=node.output, grid=grid)

    def _summed(self, node: Node, name: str, grid: Grid) -> Step:
        sources = tuple(self.reals[value] for value in node.inputs if value in self.reals)
        common: dict[str, Any] = {"name": name, "path": name, "sources": sources, "grid": grid}
        if node.operator in ("Conv", "Gemm"):
            (codes, scale), (bias, _) = (self.parts[value] for value in node.inputs[1:])
            if not (node.layer or codes.name.endswith(".weight")) or bias.times != 1:
                raise ModelError(
                    f"{node.operator} reads a weight {codes.name!r} and a bias times {bias.times}; expected a "
                    "name of its own or one that ends in .weight, and a bias as it is stored"
                )
            common |= {
                "path": node.layer or codes.name.removesuffix(".weight"),
                "weights": _weights(
                    codes, self._widths(codes), scale, bias.codes, self.steps[sources[0]].grid
                ),
            }
        return _SUMS[node.operator](node, common)

    def _widths(self, codes: _Stored) -> range:
        """The bit widths that a constant of this type may stand for."""
        packed = {"int4", "int2"} & set(self.contents.kinds.values())
        return {"int2": range(2, 3), "int4": range(3, 5)}.get(
            self.contents.kinds[codes.name], range(5 if packed else 2, 9)
        )


def _weights(stored: _Stored, widths: range, wide_scale: ndarray, bias: ndarray, source: Grid) -> Weights:
    wide = stored.codes.astype(np.int64) * stored.times
    packed = widths[-1] < 8
    explaining = [
        bits
        for bits in widths
        if _explains(bits, wide, source) and (not packed or refinement_of(bits, source) == stored.times)
    ]
    if not explaining:
        raise ModelError(
            f"codes of {stored.name} are multiplied by {stored.times}; expected what the exporter multiplies by"
        )
    refinement = refinement_of(explaining[0], source)
    bits = max(bits for bits in explaining if refinement_of(bits, source) == refinement)
    made = Weights(
        codes=(wide // refinement).astype(np.int8), scale=wide_scale * np.float32(refinement), bits=bits,
        refinement=refinement, bias=bias, real_bias=np.zeros(len(bias)),
    )  # fmt: skip
    return replace(made, real_bias=bias * made.bias_scale(source).astype(np.float64))


def _explains(bits: int, wide: ndarray, source: Grid) -> bool:
    factor = refinement_of(bits, source)
    fits = not (wide % factor).any() and int(np.abs(wide).max()) <= weight_range(bits)[1] * factor
    return bool(fits)


def _grid(scale: float, zero: int, low: int, high: int) -> Grid:
    """Bytes from `low` to `high` around a zero point, as codes."""
    signed = zero > 0
    ranges = {bits: activation_range(bits, signed) for bits in range(2, 9)}
    bits = next(
        bits
        for bits, (least, most) in ranges.items()
        if bits == 8 or (least <= low - zero and high - zero <= most)
    )
    return Grid(scale=scale, bits=bits, signed=signed, low=low - zero, high=high - zero)


def _convolution(node: Node, common: dict[str, Any]) -> Step:
    axes = common["weights"].codes.ndim - 2
    pads = _several(node, "pads", (0,) * 2 * axes)
    return Convolution(
        **common, stride=_several(node, "strides", (1,) * axes),
        padding=tuple(zip(pads[:axes], pads[axes:], strict=True)),
        dilation=_several(node, "dilations", (1,) * axes), groups=int(node.settings.get("group", 1)),  # type: ignore[arg-type]
    )  # fmt: skip


def _pool(node: Node, common: dict[str, Any]) -> Step:
    kernel = _several(node, "kernel_shape", ())
    return AveragePool(**common, kernel=kernel, stride=_several(node, "strides", (1,) * len(kernel)))


def _max_pool(node: Node, source: Step) -> Step:
    kernel = _several(node, "kernel_shape", ())
    axes = len(kernel)
    pads = _several(node, "pads", (0,) * 2 * axes)
    if pads[:axes] != pads[axes:]:
        raise ModelError(f"MaxPool that makes {node.output!r}: expected the same padding on both sides")
    return MaxPool(
        name=node.output, path=node.output, sources=(source.name,), grid=source.grid, kernel=kernel,
        stride=_several(node, "strides", (1,) * axes), padding=pads[:axes],
        dilation=_several(node, "dilations", (1,) * axes),
    )  # fmt: skip


def _flatten(node: Node, source: Step) -> Step:
    return Flatten(name=node.output, path=node.output, sources=(source.name,), grid=source.grid)


def _several(node: Node, name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    found = node.settings.get(name, otherwise)
    assert isinstance(found, tuple)
    return found


_SUMS: dict[str, Callable[[Node, dict[str, Any]], Step]] = {
    "Conv": _convolution,
    "Gemm": lambda node, common: Linear(**common),
    "Add": lambda node, common: Add(**common),
    "AveragePool": _pool,
    "GlobalAveragePool": lambda node, common: AveragePool(**common, kernel=None, stride=()),
}
_MOVES: dict[str, Callable[[Node, Step], Step]] = {"MaxPool": _max_pool, "Flatten": _flatten}
