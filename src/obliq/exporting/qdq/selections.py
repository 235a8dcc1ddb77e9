"""Values at some places of axes, in files of other quantizers: picked, cut, split, repeated, or with zeros around."""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from obliq.exporting.onnx.check_graph import NOTHING, Operator, Value, constant_of, require, text, whole
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.qdq.computed import BATCH, Function, optional
from obliq.exporting.qdq.moves import MOST_AXES, mover, numbers, whole_axis


def _taken(axis: int, places: Sequence[int], x: Tensor) -> Tensor:
    return x.index_select(axis, torch.tensor(places, dtype=torch.int64, device=x.device))


def _gather(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    axis = whole_axis(node, whole(node, "axis", 0, -MOST_AXES, MOST_AXES), rank, first)
    size, given = read[0].shape[axis - first], numbers(node, read[1], "places")
    require(len(given) > 0 and all(-size <= place < size for place in given), node, f"places below {size}")
    places = [place % size for place in given]
    select = functools.partial(_taken, axis, places)
    return select if read[1].shape else lambda x: select(x).squeeze(axis)


def _slice(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    starts, ends = (numbers(node, one, "bounds") for one in read[1:3])
    axes = numbers(node, optional(read, 3), "axes", range(len(starts)))
    gaps = numbers(node, optional(read, 4), "steps", (1,) * len(starts))
    alike = len({len(starts), len(ends), len(axes), len(gaps)}) == 1 and 0 < len(starts) <= rank
    require(alike, node, "as many starts as ends, axes and steps")
    require(BATCH not in (*starts, *ends) and 0 not in gaps, node, "bounds without the batch, steps but 0")
    selections = []
    for start, end, axis, gap in zip(starts, ends, axes, gaps, strict=True):
        place = whole_axis(node, axis, rank, first)
        selections.append((place, list(range(read[0].shape[place - first]))[_slice_of(start, end, gap)]))
    require(all(places for _, places in selections), node, "at least one value")
    require(len({axis for axis, _ in selections}) == len(selections), node, "axes, each once")
    return functools.partial(_taken_along, selections)


def _taken_along(selections: Sequence[tuple[int, list[int]]], x: Tensor) -> Tensor:
    for axis, places in selections:
        x = _taken(axis, places, x)
    return x


def _slice_of(start: int, end: int, gap: int) -> slice:
    """ONNX's bounds in Python's way: an end before the first value, when counting down, is none."""
    return slice(start, None if gap < 0 and end <= -(2**31) else end, gap)


def _split(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    """One of the parts: `parse` makes a node for each, with its number."""
    axis = whole_axis(node, whole(node, "axis", 0, -MOST_AXES, MOST_AXES), rank, first)
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
    sizes = numbers(node, read[1], "pads")
    if (given := optional(read, 2)) is not None:
        value = given.constant
        require(value is not None and value.size == 1 and not value.any(), node, "padding with zero")
    axes = numbers(node, optional(read, 3), "axes", range(rank))
    require(
        len(sizes) == 2 * len(axes) and all(0 <= size <= 2**12 for size in sizes), node, "pads up to 4096"
    )
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
    if (sizes := optional(read, 3)) is not None:
        wanted = numbers(node, sizes, "sizes")
        require(len(wanted) == rank, node, f"{rank} sizes")
        times = [1, *(size / before for size, before in zip(wanted[1:], read[0].shape, strict=True))]
    else:
        scales = optional(read, 2) or NOTHING
        times = constant_of(scales, node, scales.shape == (rank,), f"{rank} constant scales").tolist()
    fits = times[:2] == [1, 1] and all(1 <= one <= 64 and one == int(one) for one in times)
    require(bool(first) and fits, node, "whole numbers from 1 to 64 for each axis of space")
    steps = [(axis, int(count)) for axis, count in enumerate(times) if count != 1]
    return functools.partial(_repeated, steps)


def _repeated(steps: Sequence[tuple[int, int]], x: Tensor) -> Tensor:
    for axis, count in steps:
        x = x.repeat_interleave(count, axis)
    return x


SELECTIONS: dict[str, Operator] = {
    "Gather": mover(_gather, (2, 2), "axis"),
    "Slice": mover(_slice, (3, 5)),
    "Split": mover(_split, (1, 2), "axis", "num_outputs", "parts", "part"),
    "Pad": mover(_pad, (2, 4), "mode"),
    "Resize": mover(
        _resize,
        (2, 4),
        "mode",
        "coordinate_transformation_mode",
        "nearest_mode",
        "cubic_coeff_a",
        "extrapolation_value",
    ),
}
"""Those operators, by name."""
