"""What an exported network computes, in NumPy: slow, obvious, and what every runtime is held against.

Sums of products are exact integers. Turning one into the code of the next activation is

    code = clamp(round_half_even(float32(sum + bias) * float32(input scale * weight scale / output scale)))

in float32, as the ONNX operators QLinearConv and QuantizeLinear define it and as ONNX Runtime's
kernels do it. Products are summed in float64, which is exact for every sum that fits in int32.
"""

import functools
import math

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.graph import (
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


def run(graph: Graph, inputs: ndarray) -> dict[str, ndarray]:
    """Every activation's codes by the name of its step, in the order of computation.

    Args:
        graph: as `graph_of` makes it.
        inputs: float32, (samples, *input_shape).

    Returns:
        int32 codes; `logits` makes real numbers of the last ones.

    Raises:
        ModelError: when the inputs do not have the shape that the graph was made for.
    """
    if tuple(inputs.shape[1:]) != graph.input_shape:
        raise ModelError(f"inputs of shape {inputs.shape[1:]}; expected {graph.input_shape}")
    made: dict[str, ndarray] = {}
    for step in graph.steps:
        read = [made[name] for name in step.sources]
        grids = [graph[name].grid for name in step.sources]
        made[step.name] = _quantize(step, inputs) if isinstance(step, Quantize) else apply(step, read, grids)
    return made


def logits(graph: Graph, made: dict[str, ndarray]) -> ndarray:
    """The float32 logits that the last codes stand for."""
    last = graph.result
    return made[last.name].astype(np.float32) * np.float32(last.grid.scale)


def _quantize(step: Step, inputs: ndarray) -> ndarray:
    return _clamped(inputs.astype(np.float32) / np.float32(step.grid.scale), step.grid)


@functools.singledispatch
def apply(step: Step, read: list[ndarray], grids: list[Grid]) -> ndarray:
    """The codes of one step's result, from the codes and grids of what it reads."""
    raise ModelError(f"{step.path} is a {type(step).__name__}; expected a step that computes")


@apply.register
def _(step: Convolution, read: list[ndarray], grids: list[Grid]) -> ndarray:
    padded = np.pad(read[0], ((0, 0), (0, 0), *step.padding)).astype(np.float64)
    codes = step.weights.wide_codes().astype(np.float64)
    patches = _windows(padded, codes.shape[2:], step.stride, step.dilation)
    spatial = codes.ndim - 2
    summed = []
    for group_input, group_codes in zip(
        np.split(patches, step.groups, axis=1), np.split(codes, step.groups), strict=True
    ):
        axes = (1, *range(2 + spatial, 2 + 2 * spatial)), tuple(range(1, 2 + spatial))
        summed.append(np.moveaxis(np.tensordot(group_input, group_codes, axes), -1, 1))
    return _requantized(np.concatenate(summed, axis=1), step.weights, grids[0], step.grid)


@apply.register
def _(step: Linear, read: list[ndarray], grids: list[Grid]) -> ndarray:
    summed = read[0].astype(np.float64) @ step.weights.wide_codes().astype(np.float64).T
    return _requantized(summed, step.weights, grids[0], step.grid)


@apply.register
def _(step: Add, read: list[ndarray], grids: list[Grid]) -> ndarray:
    out = np.float32(step.grid.scale)
    first, second = (
        codes.astype(np.float32) * (np.float32(grid.scale) / out)
        for codes, grid in zip(read, grids, strict=True)
    )
    return _clamped(first + second, step.grid)


@apply.register
def _(step: AveragePool, read: list[ndarray], grids: list[Grid]) -> ndarray:
    codes = read[0]
    if step.kernel is None:
        axes = tuple(range(2, codes.ndim))
        count, summed = math.prod(codes.shape[2:]), codes.sum(axis=axes, keepdims=True)
    else:
        patches = _windows(codes, step.kernel, step.stride, (1,) * len(step.kernel))
        axes = tuple(range(codes.ndim, patches.ndim))
        count, summed = math.prod(step.kernel), patches.sum(axis=axes)
    factor = np.float32(grids[0].scale) / (np.float32(step.grid.scale) * np.float32(count))
    return _clamped(summed.astype(np.float32) * factor, step.grid)


@apply.register
def _(step: MaxPool, read: list[ndarray], grids: list[Grid]) -> ndarray:
    lowest = np.iinfo(np.int32).min
    around = ((0, 0), (0, 0), *((size, size) for size in step.padding))
    padded = np.pad(read[0], around, constant_values=lowest)
    patches = _windows(padded, step.kernel, step.stride, step.dilation)
    largest: ndarray = patches.max(axis=tuple(range(padded.ndim, patches.ndim)))
    return largest


@apply.register
def _(step: Flatten, read: list[ndarray], grids: list[Grid]) -> ndarray:
    return read[0].reshape(len(read[0]), -1)


def _windows(
    padded: ndarray, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> ndarray:
    """(batch, channels, *positions, *kernel): what each position of a sliding window sees."""
    extent = tuple((size - 1) * gap + 1 for size, gap in zip(kernel, dilation, strict=True))
    views = np.lib.stride_tricks.sliding_window_view(padded, extent, tuple(range(2, padded.ndim)))
    every = [slice(None, None, step) for step in (*stride, *dilation)]
    taken: ndarray = views[(slice(None), slice(None), *every)]
    return taken


def _requantized(summed: ndarray, weights: Weights, source: Grid, out: Grid) -> ndarray:
    shape = (-1,) + (1,) * (summed.ndim - 2)
    total = summed + weights.bias.reshape(shape)
    factor = weights.bias_scale(source) / np.float32(out.scale)
    return _clamped(total.astype(np.float32) * factor.reshape(shape), out)


def _clamped(values: ndarray, grid: Grid) -> ndarray:
    """Float32 multiples of the step to codes; `rint` rounds halves to the even number."""
    codes: ndarray = np.clip(np.rint(values), grid.low, grid.high).astype(np.int32)
    return codes
