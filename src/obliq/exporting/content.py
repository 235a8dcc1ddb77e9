"""The integer content of a deployed network, whatever file it lies in: labelled records, and back.

What a network computes with stands here once: its description, its codes with the scales and biases that go with
them, and the range of each activation. The `integer` and the `compact` ONNX file of a network and its ExecuTorch
program differ in how they store these numbers, and in nothing else. So they have one content and one digest, and a
patch from one network to another fits each of them. docs/patch-format.md describes the records.
"""

import hashlib
import json

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError, PatchError
from obliq.exporting.description import describe_graph
from obliq.exporting.graph import Graph
from obliq.exporting.grids import Grid, Weights
from obliq.exporting.operations import Layer, Step
from obliq.exporting.weights import grid_from, weights_from
from obliq.patch import Content, TensorRecord
from obliq.patch.content import require_form_of

LABELS = 3
"""Version of the labels, which the first of them holds: networks labelled otherwise are of another form."""

_REFINEMENTS = (1, 2, 4, 8, 16, 32, 64)


def content_of_graph(graph: Graph, widths: dict[str, int] | None = None) -> Content:
    """The records of a network.

    Args:
        graph: read from a file or built from a network: the content is the same.
        widths: the bits that a device may pack the codes of a layer in, by its path; 8 by default. They
            belong to a container and change no digest.
    """
    layers = [_canonical(graph, step) for step in graph.layers]
    grids = [step.grid for step in graph.steps if not step.moves]
    clamps = [[grid.low + grid.zero_point, grid.high + grid.zero_point] for grid in grids]
    head: list[str | int] = ["network", LABELS, hashlib.sha256(describe_graph(graph).encode()).hexdigest()]
    records = [
        TensorRecord(label_line(head), None, np.zeros(0, np.uint8)),
        _words(["activation scales", len(grids)], np.array([grid.scale for grid in grids], np.float32)),
        _words(["activation ranges", 2 * len(grids)], np.array(clamps, np.uint8)),
        _words(["refinements", len(layers)], np.array([one.refinement for one in layers], np.uint8)),
    ]
    for step, weights in zip(graph.layers, layers, strict=True):
        shape, bits = weights.codes.shape, (widths or {}).get(step.path, 8)
        flat = np.ascontiguousarray(weights.codes).reshape(-1)
        records += [
            TensorRecord(label_line(["codes", step.path, *shape]), bits, flat),
            _words(["scales", step.path, shape[0]], weights.scale),
            _words(["biases", step.path, shape[0]], weights.bias),
        ]
    records += [_words(["table", step.name, len(step.table)], step.table) for step in graph.tables]
    return tuple(records)


def graph_with(graph: Graph, content: Content) -> Graph:
    """The same network with the numbers of a content; whether they make sense is for who reads the written file.

    Raises:
        PatchError: when the content is of another form, or has codes that are no bytes.
    """
    require_form_of(content_of_graph(graph), content, "the network")
    _, scales, ranges, refinements, *rest = (record.values for record in content)
    rounding = iter(zip(scales.view(np.float32), ranges.reshape(-1, 2), strict=True))
    values, tables = rest[: 3 * len(graph.layers)], iter(rest[3 * len(graph.layers) :])
    stored = iter(zip(refinements, values[::3], values[1::3], values[2::3], strict=True))

    def grid_of(step: Step) -> Grid:
        scale, (low, high) = next(rounding)
        return grid_from(float(scale), step.grid.zero_point, int(low), int(high))

    return graph.with_values(
        grid_of, lambda layer, source: _numbers(layer, source, *next(stored)), lambda _: next(tables)
    )


def first_difference(found: Graph, expected: Graph) -> str | None:
    """Of two graphs of one form, the first layer whose numbers differ, or what else differs; None if nothing does."""
    for one, other in zip(content_of_graph(found), content_of_graph(expected), strict=True):
        if one.label != other.label or not np.array_equal(one.values, other.values):
            kind, name, *_ = json.loads(other.label)
            return name if isinstance(name, str) else str(kind)
    return None


def _numbers(
    layer: Layer,
    source: Grid,
    refinement: np.uint8,
    codes: ndarray,
    scales: ndarray,
    biases: ndarray,
) -> Weights:
    """The weights of a layer, in the bits that they had if those will do, so that files store them as before."""
    wide = np.multiply(codes, refinement, dtype=np.int16)
    if refinement not in _REFINEMENTS or max(wide.max(), -wide.min()) > 127:
        raise PatchError(
            f"codes of {layer.path} times {refinement}; expected a power of two that leaves bytes"
        )
    old, wide = layer.weights, wide.reshape(layer.weights.codes.shape)
    with np.errstate(all="ignore"):
        scale, bias = scales.view(np.float32) / np.float32(refinement), biases.view(np.int32)
        try:
            return weights_from(wide, scale, bias, source, widths=(old.bits,))
        except ModelError:
            return weights_from(wide, scale, bias, source)


def _canonical(graph: Graph, step: Layer) -> Weights:
    """The weights of a layer in widths that depend on the integers alone."""
    weights = step.weights
    return weights_from(weights.wide_codes(), weights.wide_scale(), weights.bias, graph[step.sources[0]].grid)


def _words(label: list[str | int], values: ndarray) -> TensorRecord:
    flat = np.ascontiguousarray(values).reshape(-1)
    return TensorRecord(label_line(label), None, flat.view(f"u{flat.itemsize}"))


def label_line(label: list[str | int]) -> bytes:
    """A label as it stands in a record."""
    return json.dumps(label).encode() + b"\n"
