"""Values in another order or shape, and shapes themselves, in files of other quantizers.

Each function here also moves constants, since shapes are computed by taking sizes apart and joining them. An activation
keeps its samples apart, in the first axis.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from obliq.exporting.onnx.check_graph import Operator, Value, activation, constant_of, require, setting, whole
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

MOST_AXES = 8
_MOVED = ("float32", "uint8", "int8", "int32", "int64")

Move = Callable[[OnnxNode, list[Value], int, int], Function]
"""`(node, read, rank, first)`: the function of its first input, of `rank` axes. Axes before `first` are left alone."""


def mover(move: Move, inputs: tuple[int, int], *settings: str) -> ForeignOperator:
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


def numbers(node: OnnxNode, value: Value | None, what: str, otherwise: Sequence[int] = ()) -> tuple[int, ...]:
    """The whole numbers of a constant row, or others where it is left out; `BATCH` may be among them."""
    if value is None:
        return tuple(otherwise)
    fits = value.kind == "int64" and len(value.shape) <= 1 and math.prod(value.shape) <= MOST_COMPUTED
    return tuple(constant_of(value, node, fits, f"{what} as constant int64 numbers").reshape(-1).tolist())


def whole_axis(node: OnnxNode, axis: int, rank: int, first: int) -> int:
    """An axis, counted from the front."""
    require(-rank <= axis < rank and axis % rank >= first, node, f"an axis from {first} to {rank - 1}")
    return axis % rank


def _axes(node: OnnxNode, read: list[Value], rank: int, first: int) -> tuple[int, ...]:
    given = numbers(node, read[1], "axes") if len(read) > 1 else ()
    axes = tuple(whole_axis(node, axis, rank, first) for axis in given[:MOST_AXES])
    require(len(axes) == len(set(axes)) == len(given) > 0, node, "axes, each once")
    return axes


def _reshape(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    source, wanted = read[0].shape, list(numbers(node, read[1], "a shape"))
    copies = whole(node, "allowzero", 0, 0, 1) == 0
    before = ((BATCH,) if first else ()) + source
    require(0 < len(wanted) <= MOST_AXES, node, f"a shape of at most {MOST_AXES} axes")
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
    fits = all(size > 0 for size in rest) and math.prod(rest) == elements
    require(
        fits and batch in (-1, 1, BATCH), node, f"the shape (batch, ...) with {elements} elements a sample"
    )
    return lambda x: x.reshape(x.shape[0], *rest)


def require_free_batch(nodes: Sequence[OnnxNode], values: Mapping[str, Value], batch: int | None) -> None:
    """Raise when a shape is for one sample in a file that takes several.

    Args:
        nodes: of the file.
        values: what is known of each value.
        batch: how many samples the file takes at once, if it states that.

    Raises:
        ModelError: naming the node.
    """
    for node in nodes:
        if node.operator == "Reshape" and values[node.output].flows and batch is None:
            wanted = values[node.inputs[1]].constant
            require(
                wanted is not None and int(wanted[0]) != 1,
                node,
                "a free batch: the shape (-1, ...) or (0, ...)",
            )


def _transpose(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    axes = setting(node, "perm", tuple(reversed(range(rank))), 0, MOST_AXES)
    require(sorted(axes) == list(range(rank)), node, "each axis once")
    require(not first or axes[0] == 0, node, "the batch first")
    return lambda x: x.permute(axes)


def _transposed(node: OnnxNode, read: list[Value]) -> Value:
    """Codes of weights stay codes."""
    source = read[0]
    if source.codes is None:
        return _TRANSPOSE.rule(node, read)
    axes = setting(node, "perm", tuple(reversed(range(source.codes.ndim))), 0, MOST_AXES)
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
    require(rank + count <= MOST_AXES, node, f"at most {MOST_AXES} axes")
    axes = sorted(_axes(node, read, rank + count, first))
    return functools.partial(_with_axes, axes)


def _with_axes(axes: Sequence[int], x: Tensor) -> Tensor:
    """Axes of size 1, at ascending places of the result."""
    for axis in axes:
        x = x.unsqueeze(axis)
    return x


def _flatten(node: OnnxNode, read: list[Value], rank: int, first: int) -> Function:
    axis = whole(node, "axis", 1, -MOST_AXES, MOST_AXES)
    require(bool(first) and axis % rank == 1, node, "everything after the batch in one axis")
    return lambda x: x.flatten(1) if x.dim() > 1 else x.unsqueeze(1)


def _concatenation(node: OnnxNode, read: list[Value]) -> Function:
    first = int(read[0].flows)
    axis = whole_axis(node, whole(node, "axis", 0, -MOST_AXES, MOST_AXES), len(read[0].shape) + first, first)
    return lambda *values: torch.cat(values, axis)


def _concatenated(node: OnnxNode, read: list[Value]) -> Value:
    """Activations in real numbers, or sizes."""
    function = _concatenation(node, read)
    if all(value.flows and value.kind == "float32" for value in read):
        shape, steps = result_shape(node, function, [value.shape for value in read]), [v.scale for v in read]
        same = all(step is not None and step.ndim == 0 and bool(step == steps[0]) for step in steps)
        spans = [value.span for value in read]
        span = min(low for low, _ in spans), max(high for _, high in spans)
        return activation("float32", shape, steps[0] if same else None, span)
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


_TRANSPOSE = mover(_transpose, (1, 1), "perm")

MOVES: dict[str, Operator] = {
    "Reshape": mover(_reshape, (2, 2), "allowzero"),
    "Transpose": replace(_TRANSPOSE, rule=_transposed),
    "Squeeze": mover(_squeeze, (1, 2)),
    "Unsqueeze": mover(_unsqueeze, (2, 2)),
    "Flatten": mover(_flatten, (1, 1), "axis"),
    "Concat": operator(_concatenation, (1, 64), "axis", rule=_concatenated),
    "Shape": operator(_no_function, (1, 1), "start", "end", rule=_shape),
}
"""Those operators, by name."""
