"""What an integer graph computes, without the numbers that it computes with, as text.

Two graphs of one description differ in values only: codes, scales, biases, and the range of activations. A digest
of it is part of a network's content (`obliq.exporting.content`), and an ExecuTorch program carries the text
itself, so that it says what network it is.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from obliq.errors import ModelError, ObliqError
from obliq.exporting.graph import (
    Add,
    AveragePool,
    Convolution,
    Flatten,
    Graph,
    Linear,
    MaxPool,
    Quantize,
    Step,
    Weights,
)
from obliq.exporting.onnx.check_graph import LARGEST_SAMPLE
from obliq.exporting.weights import grid_from
from obliq.io.strict_json import decode, encode, parse_json

LONGEST = 2**20
"""Bytes of a description; a step takes about 200."""

MOST_STEPS = 1000
"""More than any network of a few hundred layers has."""

_LARGEST_SIZE = 2**24
_NAME, _PATH = re.compile(r"[A-Za-z_]\w{0,499}", re.ASCII), re.compile(r"[\w.]{1,500}", re.ASCII)


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
        layers = [step.path for step in graph.steps if isinstance(step, Convolution | Linear)]
        inputs = [index for index, step in enumerate(graph.steps) if isinstance(step, Quantize)]
        if inputs != [0] or len(set(layers)) < len(layers):
            raise ModelError(
                "a layer or the input stands there twice; expected each once, and the input first"
            )
    except ObliqError as error:
        raise ModelError(f"expected the description of a network; {error}") from error
    return graph


_SOURCES = {
    "Quantize": 0, "Convolution": 1, "Linear": 1, "Add": 2, "AveragePool": 1, "MaxPool": 1, "Flatten": 1,
}  # fmt: skip


def _entry(step: Step) -> _Entry:
    layer = step if isinstance(step, Convolution | Linear) else None
    path = step.name if layer is None else layer.path  # elsewhere it is for messages, and files do not say it
    return _Entry(
        kind=type(step).__name__,
        name=step.name,
        path=path,
        sources=step.sources,
        signed=step.grid.signed,
        weights=() if layer is None else layer.weights.codes.shape,
        sizes=_sizes(step),
    )


def _sizes(step: Step) -> dict[str, tuple[int, ...]]:
    match step:
        case Convolution():
            sizes = {"stride": step.stride, "padding": sum(step.padding, ()), "dilation": step.dilation}
            return {**sizes, "groups": (step.groups,)}
        case AveragePool(kernel=None):
            return {}
        case AveragePool():
            return {"kernel": step.kernel or (), "stride": step.stride}
        case MaxPool():
            sizes = {"kernel": step.kernel, "stride": step.stride, "padding": step.padding}
            return {**sizes, "dilation": step.dilation}
        case _:
            return {}


def _step(entry: _Entry) -> Step:
    _require(entry.kind in _SOURCES, entry, f"one of {', '.join(_SOURCES)}")
    _require(bool(_NAME.fullmatch(entry.name) and _PATH.fullmatch(entry.path)), entry, "names of a module")
    _require(len(entry.sources) == _SOURCES[entry.kind], entry, f"{_SOURCES[entry.kind]} sources")
    common: dict[str, Any] = {"name": entry.name, "path": entry.path, "sources": entry.sources}
    common["grid"] = grid_from(1.0, 128 if entry.signed else 0, 0, 255)
    match entry.kind:
        case "Convolution":
            axes = len(entry.weights) - 2
            _require(axes in (1, 2), entry, "weights of 3 or 4 axes")
            stride, padding, dilation, groups = _several(
                entry, {"stride": axes, "padding": 2 * axes, "dilation": axes, "groups": 1}
            )
            return Convolution(
                **common, weights=_zeros(entry), stride=stride, dilation=dilation, groups=groups[0],
                padding=tuple(zip(padding[::2], padding[1::2], strict=True)),
            )  # fmt: skip
        case "Linear":
            _require(len(entry.weights) == 2, entry, "weights of 2 axes")
            _several(entry, {})
            return Linear(**common, weights=_zeros(entry))
        case "AveragePool" if entry.sizes:
            axes = len(entry.sizes.get("kernel", ()))
            kernel, stride = _several(entry, {"kernel": axes, "stride": axes})
            return AveragePool(**common, kernel=kernel, stride=stride)
        case "MaxPool":
            axes = len(entry.sizes.get("kernel", ()))
            names = ("kernel", "stride", "padding", "dilation")
            kernel, stride, padding, dilation = _several(entry, dict.fromkeys(names, axes))
            return MaxPool(**common, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    _several(entry, {})
    if entry.kind == "AveragePool":
        return AveragePool(**common, kernel=None, stride=())
    return _PLAIN[entry.kind](**common)


_PLAIN: dict[str, type[Step]] = {"Quantize": Quantize, "Add": Add, "Flatten": Flatten}


def _several(entry: _Entry, counts: dict[str, int]) -> list[tuple[int, ...]]:
    """The sizes of these names, of which there must be so many each and no others."""
    found = {name: len(sizes) for name, sizes in entry.sizes.items()}
    _require(
        found == counts and all(count in (1, 2, 4) for count in counts.values()), entry, f"sizes {counts}"
    )
    for name, sizes in entry.sizes.items():
        least = 0 if name == "padding" else 1
        _require(all(least <= size <= _LARGEST_SIZE for size in sizes), entry, f"{name} from {least}")
    return [entry.sizes[name] for name in counts]


def _zeros(entry: _Entry) -> Weights:
    shape = entry.weights
    _require(all(1 <= size <= _LARGEST_SIZE for size in shape), entry, "weights of sizes from 1")
    codes, one, none = np.int8(0), np.float32(1), np.int32(0)
    return Weights(
        codes=np.broadcast_to(codes, shape), scale=np.broadcast_to(one, shape[:1]), bits=8, refinement=1,
        bias=np.broadcast_to(none, shape[:1]), real_bias=np.broadcast_to(np.float64(0), shape[:1]),
    )  # fmt: skip


def _require(condition: bool, entry: _Entry, expected: str) -> None:
    if not condition:
        raise ModelError(f"step {entry.name[:80]!r} of kind {entry.kind[:80]!r}; expected {expected}")
