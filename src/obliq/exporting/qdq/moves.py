"""Values in another order or shape, and shapes themselves, in files of other quantizers.

Each function here also moves constants, since shapes are computed by taking sizes apart and joining them. An activation
keeps its samples apart, in the first axis.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from obliq.exporting.onnx.check_graph import Operator, Value, activation, require, setting, text, whole
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.qdq.computed import (
    BATCH,
    MOST_COMPUTED,
    ForeignOperator,
    Function,
    operator,
    reals_of,
    result_shape,
)

_MOST_AXES = 8
_MOVED = ("float32", "uint8", "int8", "int32", "int64")

Move = Callable[[OnnxNode, list[Value], int, int], Function]
"""`(node, read, rank, first)`: the function of its first input, of `rank` axes. Axes before `first` are left alone."""


def _operator(move: Move, inputs: tuple[int, int], *settings: str) -> ForeignOperator:
    """An operator that moves its first input; the others are constants."""

    def plan(node: OnnxNode, read: list[Value]) -> Function:
        flows = read[0].flows
        return move(node, read, len(read[0].shape) + flows, int(flows))

    def rule(node: OnnxNode, read: list[Value]) -> Value:
        source, function = read[0], plan(node, read)
        require(source.kind in _MOVED and not any(one.flows for one in read[1:]), node, "constant sizes")
        if source.flows:
            shape = result_shape(node, function, [source.shape])
            several = source.scale is not None and source.scale.ndim > 0  # along an axis that may have moved
            scale = None if several and source.kind != "float32" else source.scale
            return replace(activation(source.kind, shape, scale, source.span), zero=source.zero)
        return _moved_constant(node, source, function)

    return operator(plan, inputs, *settings, rule=rule)


def _moved_constant(node: OnnxNode, source: Value, function: Function) -> Value:
    held = reals_of(source) if source.kind == "float32" else source.constant
    assert held is not None
    require(held.size <= MOST_COMPUTED, node, f"a constant of at most {MOST_COMPUTED} elements")
    try:
        size = function(torch.empty(held.shape, device="meta")).numel()
        require(1 <= size <= MOST_COMPUTED, node, f"a constant of 1 to {MOST_COMPUTED} elements")
        values = function(torch.from_numpy(held.copy())).numpy()
    except (RuntimeError, IndexError, ValueError, TypeError, OverflowError):
        require(False, node, f"sizes that fit a constant of shape {held.shape}")
    return Value(kind=source.kind, shape=values.shape, constant=values)


def numbers(node: OnnxNode, value: Value, what: str) -> tuple[int, ...]:
    """The whole numbers of a constant row; `BATCH` may be among them."""
    fits = value.constant is not None and value.kind == "int64" and len(value.shape) <= 1
    require(fits and math.prod(value.shape) <= MOST_COMPUTED, node, f"{what} as constant int64 numbers")
    assert value.constant is not None
    return tuple(value.constant.reshape(-1).tolist())


def _axis(node: OnnxNode, axis: int, rank: int, first: int) -> int:
    """An axis, counted from the front."""
    require(-rank <= axis < rank and axis % rank >= first, node, f"an axis from {first} to {rank - 1}")
    return axis % rank


def _axes(node: OnnxNode, read: list[Value], rank: int, first: int) -> tuple[int, ...]:
    given = numbers(node, read[1], "axes") if len(read) > 1 else ()
    axes = tuple(_axis(node, axis, rank, first) for axis in given[:_MOST_AXES])
    require(len(axes) == len(set(axes)) == len(given) > 0, node, "axes, each once")
    return axes


def _reshape(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    source, wanted = read[0].shape, list(numbers(node, read[1], "a shape"))
    copies = whole(node, "allowzero", 0, 0, 1) == 0
    before = ((BATCH,) if first else ()) + source
    require(0 < len(wanted) <= _MOST_AXES, node, f"a shape of at most {_MOST_AXES} axes")
    if copies:
        wanted = [before[place] if size == 0 and place < rank else size for place, size in enumerate(wanted)]
    if not first:
        require(all(size == -1 or size > 0 for size in wanted), node, "sizes from 1")
        return lambda x: x.reshape(wanted)
    batch, *rest = wanted
    if batch == -1 and BATCH in rest:  # the batch twice
        require(False, node, "the batch first, and once")
    elements = math.prod(source)
    if rest.count(-1) == 1 and batch != -1:
        others = math.prod(size for size in rest if size != -1)
        require(others > 0 and elements % others == 0, node, f"{elements} elements a sample")
        rest[rest.index(-1)] = elements // others
    fits = all(0 < size for size in rest) and math.prod(rest) == elements
    require(fits and batch in (-1, 1, BATCH), node, f"the shape (batch, ...) with {elements} elements a sample")
    return lambda x: x.reshape(x.shape[0], *rest)


def _transpose(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    axes = setting(node, "perm", tuple(reversed(range(rank))), 0, _MOST_AXES)
    require(sorted(axes) == list(range(rank)), node, "each axis once")
    require(not first or axes[0] == 0, node, "the batch first")
    return lambda x: x.permute(axes)


def _transposed(node: OnnxNode, read: list[Value]) -> Value:
    """Codes of weights stay codes."""
    source = read[0]
    if source.codes is None:
        return _TRANSPOSE.rule(node, read)
    axes = setting(node, "perm", tuple(reversed(range(source.codes.ndim))), 0, _MOST_AXES)
    require(sorted(axes) == list(range(source.codes.ndim)), node, "each axis once")
    codes = source.codes.transpose(axes)
    return replace(source, codes=codes, shape=codes.shape, axis=axes.index(source.axis))


def _squeeze(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    shape = ((2,) if first else ()) + read[0].shape
    if len(read) == 1:
        axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    else:
        axes = _axes(node, read, rank, first)
    require(all(shape[axis] == 1 for axis in axes), node, "axes of size 1")
    return lambda x: x.squeeze(axes)


def _unsqueeze(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    count = len(numbers(node, read[1], "axes")) if len(read) > 1 else 0
    require(rank + count <= _MOST_AXES, node, f"at most {_MOST_AXES} axes")
    axes = sorted(_axes(node, read, rank + count, first))

    def function(x: Tensor) -> Tensor:
        for axis in axes:
            x = x.unsqueeze(axis)
        return x

    return function


def _flatten(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    axis = whole(node, "axis", 1, -_MOST_AXES, _MOST_AXES)
    require(bool(first) and axis % rank == 1, node, "everything after the batch in one axis")
    return lambda x: x.flatten(1) if x.dim() > 1 else x.unsqueeze(1)


def _taken(axis: int, places: Any) -> Function:
    def function(x: Tensor) -> Tensor:
        return x.index_select(axis, torch.tensor(places, dtype=torch.int64, device=x.device))

    return function


def _gather(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    axis = _axis(node, whole(node, "axis", 0, -_MOST_AXES, _MOST_AXES), rank, first)
    size, given = read[0].shape[axis - first], numbers(node, read[1], "places")
    require(len(given) > 0 and all(-size <= place < size for place in given), node, f"places below {size}")
    places = [place % size for place in given]
    select = _taken(axis, places)
    return select if read[1].shape else lambda x: select(x).squeeze(axis)


def _slice(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    starts, ends = (numbers(node, one, "bounds") for one in read[1:3])
    given = [one for one in read[3:] if one.kind != "nothing"]
    axes = numbers(node, read[3], "axes") if given and read[3].kind != "nothing" else tuple(range(len(starts)))
    gaps = numbers(node, read[4], "steps") if len(read) == 5 and read[4].kind != "nothing" else (1,) * len(starts)
    alike = len({len(starts), len(ends), len(axes), len(gaps)}) == 1 and 0 < len(starts) <= rank
    require(alike, node, "as many starts as ends, axes and steps")
    require(BATCH not in (*starts, *ends) and 0 not in gaps, node, "bounds without the batch, steps but 0")
    selections = []
    for start, end, axis, gap in zip(starts, ends, axes, gaps, strict=True):
        place = _axis(node, axis, rank, first)
        selections.append((place, list(range(read[0].shape[place - first]))[slice_of(start, end, gap)]))
    require(all(places for _, places in selections), node, "at least one value")
    require(len({axis for axis, _ in selections}) == len(selections), node, "axes, each once")

    def function(x: Tensor) -> Tensor:
        for axis, places in selections:
            x = _taken(axis, places)(x)
        return x

    return function


def slice_of(start: int, end: int, gap: int) -> slice:
    """ONNX's bounds in Python's way: an end before the first value, when counting down, is none."""
    return slice(start, None if gap < 0 and end <= -(2**31) else end, gap)


def _split(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    """One of the parts: `parse` makes a node for each, with its number."""
    axis = _axis(node, whole(node, "axis", 0, -_MOST_AXES, _MOST_AXES), rank, first)
    size, parts = read[0].shape[axis - first], whole(node, "parts", 1, 1, 256)
    number = whole(node, "part", 0, 0, parts - 1)
    require(node.settings.get("num_outputs", parts) == parts, node, f"num_outputs of {parts}")
    if len(read) == 2:
        lengths = numbers(node, read[1], "lengths")
    else:
        most = -(-size // parts)
        lengths = tuple(min(most, size - most * place) for place in range(parts))
    fits = len(lengths) == parts and all(length > 0 for length in lengths) and sum(lengths) == size
    require(fits, node, f"{parts} parts of {size} values")
    start = sum(lengths[:number])
    return lambda x: x.narrow(axis, start, lengths[number])


def _pad(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    text(node, "mode", "constant", ("constant",))
    given = [*read, *[None] * 3][1:4]
    sizes = numbers(node, read[1], "pads")
    if given[1] is not None and given[1].kind != "nothing":
        value = given[1].constant
        require(value is not None and value.size == 1 and not value.any(), node, "padding with zero")
    axes = numbers(node, given[2], "axes") if given[2] is not None else tuple(range(rank))
    require(len(sizes) == 2 * len(axes) and all(0 <= size <= 2**12 for size in sizes), node, "pads up to 4096")
    around = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        require(-rank <= axis < rank, node, f"an axis below {rank}")
        around[axis % rank] = sizes[place], sizes[place + len(axes)]
    require(bool(first) and not any(around[0]), node, "no padding of the batch")
    flat = [size for pair in reversed(around[1:]) for size in pair]
    return lambda x: F.pad(x, flat)


def _resize(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    """Nearest upsampling by whole numbers."""
    text(node, "mode", "nearest", ("nearest",))
    text(node, "coordinate_transformation_mode", "half_pixel", ("asymmetric",))
    text(node, "nearest_mode", "round_prefer_floor", ("floor",))
    space, given = read[0].shape, [*read, *[None] * 3][1:4]
    if given[2] is not None and given[2].kind != "nothing":
        wanted = numbers(node, given[2], "sizes")
        require(len(wanted) == rank, node, f"{rank} sizes")
        times = [1, *(size / before for size, before in zip(wanted[1:], space, strict=True))]
    else:
        scales = None if given[1] is None else given[1].constant
        require(scales is not None and scales.shape == (rank,), node, f"{rank} constant scales")
        assert scales is not None
        times = [float(one) for one in scales]
    fits = times[:2] == [1, 1] and all(one == int(one) and 1 <= one <= 64 for one in times)
    require(bool(first) and fits, node, "whole numbers from 1 to 64 for each axis of space")
    steps = [(axis, int(count)) for axis, count in enumerate(times) if count != 1]

    def function(x: Tensor) -> Tensor:
        for axis, count in steps:
            x = x.repeat_interleave(count, axis)
        return x

    return function


def _concatenation(node: OnnxNode, read: list[Value]) -> Function:
    first = int(read[0].flows)
    axis = _axis(node, whole(node, "axis", 0, -_MOST_AXES, _MOST_AXES), len(read[0].shape) + first, first)
    return lambda *values: torch.cat(values, axis)


def _concatenated(node: OnnxNode, read: list[Value]) -> Value:
    """Activations in real numbers, or sizes."""
    function = _concatenation(node, read)
    if all(value.flows and value.kind == "float32" for value in read):
        return activation("float32", result_shape(node, function, [value.shape for value in read]))
    held = [value.constant for value in read if value.kind == "int64" and len(value.shape) == 1]
    few = len(held) == len(read) and sum(one.size for one in held if one is not None) <= MOST_COMPUTED
    require(few, node, "real activations that differ in one axis, or rows of sizes")
    row = np.concatenate([one for one in held if one is not None])
    return Value(kind="int64", shape=row.shape, constant=row)


def _shape(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    sizes = np.array((BATCH, *source.shape) if source.flows else source.shape, np.int64)
    start, end = whole(node, "start", 0, -8, 8), whole(node, "end", len(sizes), -8, 8)
    require(source.kind != "nothing" and len(sizes[start:end]) > 0, node, "a value with axes")
    return Value(kind="int64", shape=sizes[start:end].shape, constant=sizes[start:end])


def _no_function(node: OnnxNode, read: list[Value]) -> Function:
    raise AssertionError("what it makes is a constant")


_TRANSPOSE = _operator(_transpose, (1, 1), "perm")

MOVES: dict[str, Operator] = {
    "Reshape": _operator(_reshape, (2, 2), "allowzero"),
    "Transpose": replace(_TRANSPOSE, rule=_transposed),
    "Squeeze": _operator(_squeeze, (1, 2)),
    "Unsqueeze": _operator(_unsqueeze, (2, 2)),
    "Flatten": _operator(_flatten, (1, 1), "axis"),
    "Gather": _operator(_gather, (2, 2), "axis"),
    "Slice": _operator(_slice, (3, 5)),
    "Split": _operator(_split, (1, 2), "axis", "num_outputs", "parts", "part"),
    "Pad": _operator(_pad, (2, 4), "mode"),
    "Resize": _operator(
        _resize, (2, 4), "mode", "coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a", "extrapolation_value"
    ),
    "Concat": operator(_concatenation, (1, 64), "axis", rule=_concatenated),
    "Shape": operator(_no_function, (1, 1), "start", "end", rule=_shape),
}
"""Those operators, by name."""
