"""An ExecuTorch program back as the integer graph that it was written from.

A list of what is allowed, as for ONNX files, would have to follow a schema of some hundred tables that
belongs to others and changes with their releases. So a program describes its network in words of our own, and
is read for the values alone: codes, scales, biases and clamps, found through XNNPACK's list of operations.
Whatever else the file holds, the truth of its description included, is checked by writing: the graph that was
read is exported anew, and the file must be that, byte by byte. A misread file, one with anything added, and one
that another release wrote are refused alike, and no byte that our exporter did not choose reaches a runtime.
"""

import math

from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.description import graph_of_description
from obliq.exporting.executorch.runtime import executorch_version
from obliq.exporting.executorch.tables import Operations
from obliq.exporting.executorch.writer import held, to_executorch
from obliq.exporting.graph import Graph
from obliq.exporting.grids import Grid, Weights
from obliq.exporting.onnx.contents import LARGEST_FILE, Contents
from obliq.exporting.onnx.parse import contract_in
from obliq.exporting.onnx.reader import read_onnx
from obliq.exporting.onnx.writer import to_onnx
from obliq.exporting.operations import Layer, Step
from obliq.exporting.weights import grid_from, weights_from

_LARGEST_STEP = 2.0**60
"""Of an activation or a weight; the product of two, times a power of two, is still a float32 number."""


def begins_as_program(data: bytes) -> bool:
    """Whether a file's bytes say that they are an ExecuTorch program."""
    return data[4:6] == b"ET"


def contents_of_program(data: bytes) -> Contents:
    """What a program computes with, as the contents of an ONNX file of the `integer` form, checked in full.

    Raises:
        ModelError: when the file is anything but what this release of ExecuTorch makes of the integers in it, or one
            of the extras `executorch` and `onnx` is missing.
    """
    operations = _operations_in(data)
    graph = _graph_of(operations)
    inputs = None if operations.inputs is None else contract_in(memoryview(operations.inputs))
    # the rules for scales, codes and sums are those for every file
    contents = read_onnx(to_onnx(graph, inputs=inputs))
    if to_executorch(graph, inputs=inputs) != data:
        raise ModelError(
            f"not what ExecuTorch {executorch_version()} makes of the integers in it; expected a file of `obliq "
            "export --to executorch` under the same releases of ExecuTorch and PyTorch, unaltered"
        )
    return contents


def graph_in_program(data: bytes) -> Graph:
    """The graph that a program describes, with the values that it holds; the rest of it is not looked at.

    Raises:
        ModelError: when values are missing, lie outside the file or do not fit the description.
    """
    return _graph_of(_operations_in(data))


def _operations_in(data: bytes) -> Operations:
    if len(data) > LARGEST_FILE:
        raise ModelError(f"{len(data)} bytes; expected at most {LARGEST_FILE}")
    if not begins_as_program(data):
        raise ModelError("no ExecuTorch program; expected what `obliq export --to executorch` writes")
    return Operations(memoryview(data))


def _graph_of(operations: Operations) -> Graph:
    like = graph_of_description(operations.description)
    computing = [step for step in like.steps if step.xnnpack != frozenset()]
    if len(operations.computing) != len(computing):
        raise ModelError(
            f"{len(operations.computing)} operations that compute; expected {len(computing)}, as described"
        )
    found = dict(zip((step.name for step in computing), operations.computing, strict=True))
    for step in computing:
        if found[step.name].operation not in (step.xnnpack or ()):
            raise ModelError(
                f"{found[step.name].operation} for {step.path}; expected a {type(step).__name__}"
            )

    def grid_of(step: Step) -> Grid:
        return _grid(found[step.name].scale, found[step.name].bounds, step.grid.zero_point)

    def weights_of(layer: Layer, source: Grid) -> Weights:
        return _weights(*operations.stored(found[layer.name]), layer.weights.codes.shape, source)

    return held(like.with_values(grid_of, weights_of))


def _grid(scale: float, bounds: tuple[float, float] | None, zero_point: int) -> Grid:
    """Where a result lies; a byte is clamped when it says so."""
    if not 0 < scale < _LARGEST_STEP:
        raise ModelError(f"a step of {scale}; expected a positive number below {_LARGEST_STEP}")
    if bounds is None:
        return grid_from(scale, zero_point, 0, 255)
    low, high = (bound / scale + zero_point for bound in bounds)
    if not -0.5 <= low <= high < 255.5:
        raise ModelError(f"a clamp between the bytes {low:.3g} and {high:.3g}; expected 0 to 255")
    return grid_from(scale, zero_point, round(low), round(high))


def _weights(codes: ndarray, scale: ndarray, bias: ndarray, shape: tuple[int, ...], source: Grid) -> Weights:
    """Weights of this shape, for a layer that reads codes on `source`."""
    if codes.size != math.prod(shape) or not len(codes) == len(scale) == len(bias) == shape[0]:
        raise ModelError(f"weights of shape {codes.shape}; expected {shape}")
    if not ((scale > 0) & (scale < _LARGEST_STEP)).all():
        raise ModelError(
            f"steps of weights up to {scale.max()}; expected positive numbers below {_LARGEST_STEP}"
        )
    return weights_from(codes.reshape(shape), scale, bias, source)
