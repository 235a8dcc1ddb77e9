"""What nodes in files of other quantizers compute between rounding and layers: functions of PyTorch, checked and built.

A node has a plan: from what is known of its inputs to a function of the activations among them. The same function gives
the shape of the result, computes in the rebuilt network, and computes constants from constants.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor, nn

from obliq.exporting.onnx.check_graph import Operator, Value, activation, require
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations.step import Reals, Step

BATCH = -(2**40)
"""Stands for the number of samples among the sizes of a shape, which is not known. Such sizes can be moved and not
computed with."""

MOST_COMPUTED = 2**20
"""Elements of a constant that a node computes."""

_SAMPLES = (7907, 7919)
"""Numbers of samples that functions are tried with; no other size of a network equals both."""

Function = Callable[..., Tensor]
"""From the activations that a node reads, in real numbers, to what it makes; gradients pass."""

Plan = Callable[[OnnxNode, list[Value]], Function]
"""The function of a node, once its settings and constants were checked."""


@dataclass(frozen=True, kw_only=True)
class ForeignOperator(Operator):
    """An operator of files of other quantizers that has no `Step` of its own.

    Attributes:
        plan: what its nodes compute.
    """

    plan: Plan


@dataclass(frozen=True, kw_only=True, eq=False)
class Computed(Step):
    """One node of such an operator.

    Attributes:
        function: of the activations that it reads.
    """

    function: Function

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        """The function of the values."""
        return self.function(*read)


def optional(read: Sequence[Value], place: int) -> Value | None:
    """An input that a node may leave out; None where it does."""
    return read[place] if place < len(read) and read[place].kind != "nothing" else None


def unchanged(node: OnnxNode, read: list[Value]) -> Function:
    """The plan of a node that leaves real numbers as they are."""
    return lambda x: x


def reals_of(value: Value) -> ndarray | None:
    """The float32 values of a constant, dequantized or not; None for anything else."""
    if value.kind != "float32" or value.codes is None:
        return value.constant if value.kind == "float32" else None
    codes, scale = value.coded
    reals: ndarray = (codes * along(scale, value.axis, codes.ndim)).astype(np.float32)
    return reals


def along(scale: ndarray, axis: int, rank: int) -> ndarray:
    """One scale, or several along an axis, in the shape that multiplies values of so many axes."""
    return scale.reshape([-1 if place == axis else 1 for place in range(rank)]) if scale.ndim else scale


def bound(node: OnnxNode, read: Sequence[Value], function: Function) -> Function:
    """A function of real numbers with the constants among its arguments in place."""
    held = [reals_of(value) for value in read]
    for value, constant in zip(read, held, strict=True):
        usable = value.flows or (constant is not None and bool(np.isfinite(constant).all()))
        require(value.kind == "float32" and usable, node, "real numbers, finite where they are constant")
    tensors = [None if one is None else torch.from_numpy(one.copy()) for one in held]
    return functools.partial(_applied, function, tensors)


def _applied(function: Function, tensors: Sequence[Tensor | None], *flowing: Tensor) -> Tensor:
    """A function of activations and constants, in the order of its arguments."""
    left = iter(flowing)
    device = flowing[0].device if flowing else torch.device("cpu")
    return function(*(next(left) if one is None else one.to(device) for one in tensors))


def result_shape(node: OnnxNode, function: Function, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of one sample of a result, from the shapes of one sample of each activation that is read.

    Raises:
        ModelError: when shapes do not fit together, or samples do not stay apart.
    """
    found = []
    for samples in _SAMPLES:
        values = [torch.empty(samples, *shape, device="meta") for shape in shapes]
        try:
            found.append(tuple(function(*values).shape))
        except (RuntimeError, IndexError, ValueError, TypeError, OverflowError):
            require(False, node, f"shapes that fit together, not {', '.join(map(str, shapes))}")
    apart = all(shape[:1] == (samples,) for shape, samples in zip(found, _SAMPLES, strict=True))
    require(apart and found[0][1:] == found[1][1:], node, "samples that stay apart")
    return found[0][1:]


def made(node: OnnxNode, read: list[Value], plan: Plan) -> Value:
    """What a function of real numbers makes: an activation, or a small constant."""
    flowing = [value for value in read if value.flows]
    for value in read:
        small = value.flows or int(np.prod(value.shape, dtype=object)) <= MOST_COMPUTED
        require(small, node, f"constants of at most {MOST_COMPUTED} elements")
    function = plan(node, read)
    if flowing:
        return activation("float32", result_shape(node, function, [value.shape for value in flowing]))
    with np.errstate(all="ignore"):
        values = function().numpy()
    return Value(kind="float32", shape=values.shape, constant=values)


def operator(plan: Plan, inputs: tuple[int, int], *settings: str, rule: Any = None) -> ForeignOperator:
    """An operator of real numbers.

    Args:
        plan: what it computes.
        inputs: the fewest and the most.
        *settings: names of the settings that it may have.
        rule: how nodes are checked, unless `made` does it.
    """
    check = rule or (lambda node, read: made(node, read, plan))
    return ForeignOperator(rule=check, inputs=inputs, settings=frozenset(settings), plan=plan)
