"""What an integer graph computes, without the numbers that it computes with, as text.

Two graphs of one description differ in values only: codes, scales, biases, and the range of activations. A digest
of it is part of a network's content (`obliq.exporting.content`), and an ExecuTorch program carries the text
itself, to state what network it is.
"""

import inspect
import json
import math
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import numpy as np

from obliq.errors import ModelError, ObliqError
from obliq.exporting.graph import Graph
from obliq.exporting.grids import Weights
from obliq.exporting.onnx.check_graph import LARGEST_SAMPLE
from obliq.exporting.operations import OPERATIONS, Layer, Step
from obliq.exporting.weights import grid_from
from obliq.io.strict_json import decode, encode, parse_json

LONGEST = 2**20
"""Bytes of a description; a step takes about 200."""

MOST_STEPS = 1000
"""More than any network of a few hundred layers has."""

_LARGEST_SIZE = 2**24
_NAME, _PATH = re.compile(r"\w{1,500}", re.ASCII), re.compile(r"[\w.]{1,500}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One step; `weights` is their shape, empty where there are none."""

    kind: str
    name: str
    path: str
    sources: tuple[str, ...]
    signed: bool
    weights: tuple[int, ...]
    sizes: dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class _Description:
    input_shape: tuple[int, ...]
    steps: tuple[_Entry, ...]


def describe_graph(graph: Graph) -> str:
    """The description; the same for every file of a network and for the network itself."""
    entries = tuple(map(_entry, graph.steps))
    description = _Description(input_shape=graph.input_shape, steps=entries)
    return json.dumps(encode(description), sort_keys=True, separators=(",", ":"))


def graph_of_description(text: bytes) -> Graph:
    """The graph of a description, with zeros for its numbers and bytes for its activations.

    It takes no more memory than the text: zeros of any shape are one zero.

    Raises:
        ModelError: for text that describes no graph.
    """
    try:
        if len(text) > LONGEST:
            raise ModelError(f"{len(text)} bytes; expected at most {LONGEST}")
        description = decode(_Description, parse_json(text))
        shape = description.input_shape
        if not shape or min(shape) < 1 or math.prod(shape) > LARGEST_SAMPLE:
            raise ModelError(
                f"samples of shape {str(shape)[:80]}; expected sizes from 1, {LARGEST_SAMPLE} elements at most"
            )
        if len(description.steps) > MOST_STEPS:
            raise ModelError(f"{len(description.steps)} steps; expected at most {MOST_STEPS}")
        graph = Graph(input_shape=shape, steps=tuple(map(_step, description.steps)))
        layers = [step.path for step in graph.layers]
        inputs = [index for index, step in enumerate(graph.steps) if not step.arity]
        if inputs != [0] or len(set(layers)) < len(layers):
            raise ModelError(
                "a layer or the input stands there twice; expected each once, and the input first"
            )
    except ObliqError as error:
        raise ModelError(f"expected the description of a network; {error}") from error
    return graph


_KINDS = {kind.__name__: kind for kind in OPERATIONS if not inspect.isabstract(kind)}


def _entry(step: Step) -> _Entry:
    layer = step if isinstance(step, Layer) else None
    sizes = {name: _numbers(getattr(step, name), each) for name, each in step.sizes.items()}
    return _Entry(
        kind=type(step).__name__,
        name=step.name,
        path=step.name if layer is None else layer.path,  # others have one for messages alone
        sources=step.sources,
        signed=step.grid.signed,
        weights=() if layer is None else layer.weights.codes.shape,
        sizes={name: numbers for name, numbers in sizes.items() if numbers},
    )


def _numbers(value: Any, each: int) -> tuple[int, ...]:
    """A field of a step as numbers in a row; see `Step.sizes`."""
    row: list[int] = np.ravel(value).astype(int).tolist()
    return tuple(row[::2] if each < 0 else row)


def _field(numbers: tuple[int, ...], each: int) -> Any:
    """The inverse of `_numbers`."""
    if each in (0, 1, 3):
        return numbers if each else numbers[0]
    pairs = zip(numbers[::2], numbers[1::2], strict=True) if each == 2 else zip(numbers, numbers, strict=True)
    return tuple(pairs)


def _step(entry: _Entry) -> Step:
    """A step with zeros for its numbers."""
    _require(entry.kind in _KINDS, entry, f"one of {', '.join(_KINDS)}")
    kind, axes = _KINDS[entry.kind], len(entry.sizes.get("kernel", ()))
    _require(bool(_NAME.fullmatch(entry.name) and _PATH.fullmatch(entry.path)), entry, "names of a module")
    most = len(entry.sources) if kind.arity < 0 else kind.arity
    _require(len(entry.sources) == most and (most > 0 or not kind.arity), entry, f"{abs(kind.arity)} sources")
    fields: dict[str, Any] = {"name": entry.name, "path": entry.path, "sources": entry.sources}
    fields["grid"] = grid_from(1.0, 128 if entry.signed else 0, 0, 255)
    if issubclass(kind, Layer):
        axes = len(entry.weights) - 2
        allowed = " or ".join(map(str, kind.weight_axes))
        _require(axes + 2 in kind.weight_axes, entry, f"weights of {allowed} axes")
        fields["weights"] = _zeros(entry)
    if entry.sizes or not kind.sizes_may_miss:
        any_count = {name: len(entry.sizes.get(name, ())) for name, each in kind.sizes.items() if each == 3}
        counts = {name: abs(each) * axes or 1 for name, each in kind.sizes.items()}
        _require_counts(entry, counts | any_count, any_count)
        fields |= {name: _field(entry.sizes[name], each) for name, each in kind.sizes.items()}
    return kind(**fields)


def _require_counts(entry: _Entry, counts: dict[str, int], any_count: Container[str]) -> None:
    """Raise unless there are so many sizes of each name, no others, and none out of range."""
    found = {name: len(sizes) for name, sizes in entry.sizes.items()}
    # for one or two axes of space
    usual = all(count in (1, 2, 4) or (name in any_count and count) for name, count in counts.items())
    _require(found == counts and usual, entry, f"sizes {counts}")
    for name, sizes in entry.sizes.items():
        least = 0 if name in ("padding", "places") else 1
        _require(all(least <= size <= _LARGEST_SIZE for size in sizes), entry, f"{name} from {least}")


def _zeros(entry: _Entry) -> Weights:
    shape = entry.weights
    _require(all(1 <= size <= _LARGEST_SIZE for size in shape), entry, "weights of sizes from 1")
    codes, scale = np.broadcast_to(np.int8(0), shape), np.broadcast_to(np.float32(1), shape[:1])
    return Weights(codes=codes, scale=scale, bits=8, refinement=1)


def _require(condition: bool, entry: _Entry, expected: str) -> None:
    if not condition:
        raise ModelError(f"step {entry.name[:80]!r} of kind {entry.kind[:80]!r}; expected {expected}")
