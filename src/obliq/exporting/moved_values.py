"""Calls that only move values (reshapes, slices, shuffles, nearest upsampling), as steps of an integer graph.

PyTorch has dozens of such calls, and networks combine them: a channel shuffle is a view, a transposition and another
view. Therefore the calls are run on the numbers of the elements of one sample. The result has, for each element, the
place that it came from. A few forms of such maps have steps; every other one is refused.
"""

import itertools
import math
from typing import Any

import torch
from torch import Tensor, fx

from obliq.errors import ModelError
from obliq.exporting.known_sizes import BATCH
from obliq.exporting.operations import Flatten, Reshape, Step, Take, Transpose
from obliq.exporting.operations.step import Chain, in_a_row
from obliq.quantization.operations import path_of

Places = Tensor
"""For each element of a sample, the number of the element that it was; float64 of the result's shape."""


def in_place(shape: tuple[int, ...]) -> Places:
    """Every element where it was."""
    return torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)


def moved(node: fx.Node, read: dict[fx.Node, Any]) -> Any:
    """The places, or several of them for a split, after one more call that moves values.

    Args:
        node: the call.
        read: the places of what it reads.

    Raises:
        ModelError: when the call mixes samples.
    """

    def batch_of(places: Any) -> Any:
        if not isinstance(places, Tensor):
            return type(places)(map(batch_of, places))
        return torch.stack([places + number * _APART for number in range(BATCH)])

    assert node.graph.owning_module is not None
    interpreter = fx.Interpreter(node.graph.owning_module)
    interpreter.env = {source: batch_of(places) for source, places in read.items()}

    def sample_of(values: Any) -> Any:
        if not isinstance(values, Tensor):
            return type(values)(map(sample_of, values))
        expected = [values[:1] + number * _APART for number in range(BATCH)] if values.dim() else []
        if not expected or values.shape[0] != BATCH or not torch.equal(torch.cat(expected), values):
            raise ModelError(
                f"{path_of(node)} mixes samples, or drops the batch; expected it to keep them apart"
            )
        return values[0]

    return sample_of(interpreter.run_node(node))


_APART = 2.0**40
"""Between the numbers of elements of two samples; float64 holds every sum."""


def steps_for(places: Places, shape: tuple[int, ...], fields: dict[str, Any]) -> tuple[Step, ...]:
    """The steps that move codes so, one after the other; none where all stay.

    Args:
        places: of a result.
        shape: of the sample that it was computed from.
        fields: name, path, sources and grid of the last of the steps.

    Raises:
        ModelError: for an order that has no steps.
    """
    start = in_place(shape)
    chain = _order(places, start)
    if chain is None:
        raise ModelError(
            f"{fields['path']} rearranges values in a way without an integer form here; expected splits, slices, "
            "channel shuffles, nearest upsampling, transpositions or reshapes"
        )
    return in_a_row(chain, fields)


def _order(places: Places, start: Places) -> Chain | None:
    """Kinds of steps, with their settings, that make these places of those at the start."""
    for axes in itertools.permutations(range(start.dim())):
        turned = start.permute(axes)
        chain: Chain = []
        if axes != tuple(range(start.dim())):
            chain = [(Transpose, {"axes": tuple(axis + 1 for axis in axes)})]
        taken = _taken(places, turned)
        if taken is not None:
            return chain + taken
        if turned.numel() == places.numel() and torch.equal(turned.flatten(), places.flatten()):
            return chain + _shaped(places)
        blocks = _blocks(places, turned)
        if blocks is not None:
            return [*chain, (Take, {"axis": 1, "places": blocks}), *_shaped(places)]
    return None


def _taken(places: Places, start: Places) -> Chain | None:
    """Selections along axes, when that is all."""
    if places.dim() != start.dim() or not places.numel():
        return None
    chain: Chain = []
    found = start
    for axis in range(start.dim()):
        line = places[tuple(slice(None) if other == axis else 0 for other in range(start.dim()))]
        inner = math.prod(start.shape[axis + 1 :])
        selected = _in_reading_order(line, start) // inner % start.shape[axis]
        if selected.tolist() != list(range(start.shape[axis])):
            chain.append((Take, {"axis": axis + 1, "places": tuple(selected.tolist())}))
            found = found.index_select(axis, selected)
    return chain if torch.equal(found, places) else None


def _blocks(places: Places, start: Places) -> tuple[int, ...] | None:
    """The slices along the first axis that follow one another, when that is all."""
    inner = math.prod(start.shape[1:])
    if not places.numel() or places.numel() % inner:
        return None
    rows = places.reshape(-1, inner)
    selected = _in_reading_order(rows[:, 0], start) // inner
    same = torch.equal(start.index_select(0, selected).reshape(-1, inner), rows)
    return tuple(selected.tolist()) if same else None


def _in_reading_order(places: Places, start: Places) -> Tensor:
    """Where values of `start` stand in it."""
    order = torch.empty(start.numel(), dtype=torch.int64)
    order[start.flatten().long()] = torch.arange(start.numel())
    return order[places.long()]


def _shaped(places: Places) -> Chain:
    if places.dim() == 1:
        return [(Flatten, {})]
    return [(Reshape, {"shape": tuple(places.shape)})]
