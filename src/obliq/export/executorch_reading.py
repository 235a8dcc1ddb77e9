"""An ExecuTorch program back as the integer graph that it was written from.

A list of what is allowed, as for ONNX files, would have to follow a schema of some hundred tables that
belongs to others and changes with their releases. So a program is read with the graph of a network of
the same form at hand, for the values alone: codes, scales, biases and clamps, found through XNNPACK's list
of operations. Whatever else the file holds is checked by writing: the graph that was read is exported anew,
and the file must be that, byte by byte. A misread file, one with anything added, and one that another
release wrote are refused alike, and no byte that our exporter did not choose reaches a runtime.
"""

from dataclasses import replace

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError
from obliq.export.accepting import contents_of
from obliq.export.contents import LARGEST_FILE, Contents
from obliq.export.executorch_program import held, to_executorch
from obliq.export.executorch_runtime import is_program, version
from obliq.export.executorch_tables import Operation, Operations
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
from obliq.export.onnx_model import to_onnx

_LARGEST_STEP = 2.0**60
"""Of an activation or a weight; the product of two, times a power of two, is still a float32 number."""

_CONVOLUTIONS = {Operation.CONVOLUTION, Operation.DEPTHWISE}
_OPERATIONS: dict[type[Step], set[Operation]] = {
    Quantize: {Operation.CONVERT},
    Convolution: _CONVOLUTIONS,
    Linear: _CONVOLUTIONS,
    AveragePool: _CONVOLUTIONS,
    Add: {Operation.ADD},
    MaxPool: {Operation.MAX_POOL},
}


def contents_of_program(data: bytes, like: Graph) -> Contents:
    """What a program computes with, as the contents of an ONNX file of the `integer` form, checked in full.

    Args:
        data: the file's bytes.
        like: the integer graph of a network of the same form, such as the original; its values do not matter.

    Raises:
        ModelError: when the file is anything but what this release of ExecuTorch makes of a network of that
            form, or one of the extras `executorch` and `onnx` is missing.
    """
    graph = graph_in_program(data, like)
    contents = contents_of(to_onnx(graph))  # its rules on scales, codes and sums are those for every file
    if to_executorch(graph) != data:
        raise ModelError(
            f"not what ExecuTorch {version()} makes of the integers in it; expected a file of `obliq export --to "
            "executorch` under the same releases of ExecuTorch and PyTorch, unaltered"
        )
    return contents


def graph_in_program(data: bytes, like: Graph) -> Graph:
    """A graph of the same form with the values that a program holds; the rest of the program is not looked at.

    Raises:
        ModelError: when values are missing, lie outside the file or do not fit the form.
    """
    if len(data) > LARGEST_FILE:
        raise ModelError(f"{len(data)} bytes; expected at most {LARGEST_FILE}")
    if not is_program(data):
        raise ModelError("no ExecuTorch program; expected what `obliq export --to executorch` writes")
    operations = Operations(memoryview(data))
    computing = [step for step in like.steps if not isinstance(step, Flatten)]
    if len(operations.computing) != len(computing):
        raise ModelError(
            f"{len(operations.computing)} operations that compute; expected {len(computing)}, as in the original"
        )
    found = dict(zip((step.name for step in computing), operations.computing, strict=True))
    steps: dict[str, Step] = {}
    for step in like.steps:
        if isinstance(step, Flatten | MaxPool):
            grid = steps[step.sources[0]].grid
        else:
            grid = _grid(found[step.name].scale, found[step.name].bounds, step.grid)
        read: Step = replace(step, grid=grid)
        if step.name in found and found[step.name].operation not in _OPERATIONS[type(step)]:
            raise ModelError(
                f"{found[step.name].operation.name} for {step.path}; expected a {type(step).__name__}"
            )
        if isinstance(read, Convolution | Linear):
            stored = operations.stored(found[step.name])
            source = steps[read.sources[0]].grid
            read = replace(
                read, weights=_weights(stored.codes, stored.scale, stored.bias, read.weights, source)
            )
        steps[step.name] = read
    return held(Graph(input_shape=like.input_shape, steps=tuple(steps.values())))


def first_difference(found: Graph, expected: Graph) -> str | None:
    """Where the first step stands whose integers or scales are not those of another graph of the same form."""
    for one, other in zip(found.steps, expected.steps, strict=True):
        same = one.grid == other.grid
        if isinstance(one, Convolution | Linear):
            assert isinstance(other, Convolution | Linear)
            same = same and all(
                np.array_equal(getattr(one.weights, part), getattr(other.weights, part))
                for part in ("codes", "scale", "bias")
            )
        if not same:
            return other.path
    return None


def _grid(scale: float, bounds: tuple[float, float] | None, like: Grid) -> Grid:
    """Where a result lies, in the bits and with the sign of another grid; a byte is clamped when it says so."""
    if not 0 < scale < _LARGEST_STEP:
        raise ModelError(f"a step of {scale}; expected a positive number below {_LARGEST_STEP}")
    if bounds is None:
        return replace(like, scale=scale, low=-like.zero_point, high=255 - like.zero_point)
    low, high = (bound / scale for bound in bounds)
    if not -256 < low <= high < 256:
        raise ModelError(f"a clamp from {low:.3g} to {high:.3g} steps; expected one within a byte")
    return replace(like, scale=scale, low=round(low), high=round(high))


def _weights(codes: ndarray, scale: ndarray, bias: ndarray, like: Weights, source: Grid) -> Weights:
    """Weights in the shape of others, for a layer that reads codes on `source`."""
    if codes.size != like.codes.size or not len(codes) == len(scale) == len(bias) == len(like.bias):
        raise ModelError(f"weights of shape {codes.shape}; expected those of {like.codes.shape}")
    if not ((scale > 0) & (scale < _LARGEST_STEP)).all():
        raise ModelError(
            f"steps of weights up to {scale.max()}; expected positive numbers below {_LARGEST_STEP}"
        )
    refinement = refinement_of(like.bits, source)
    if (codes % refinement).any():
        raise ModelError(f"codes that are no multiples of {refinement}; expected them as they are exported")
    made = replace(
        like, codes=(codes // refinement).reshape(like.codes.shape), scale=scale * np.float32(refinement),
        refinement=refinement, bias=bias,
    )  # fmt: skip
    return replace(made, real_bias=bias * made.bias_scale(source).astype(np.float64))
