"""Codes in another order or shape: selection along an axis, other axes, another order of axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from obliq.exporting.onnx.check_graph import Operator, Value, activation, constant_of, require, setting, whole
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape, axes_sizes, strides_of
from obliq.exporting.operations.step import Reals, Step

_MOST_AXES = 7
_NOT_IN_XNNPACK = "programs have two axes of space and one order of values"


def _constant(node: OnnxNode, value: Value) -> tuple[int, ...]:
    """The whole numbers of a constant row."""
    fits = value.kind == "int64" and len(value.shape) == 1
    return tuple(constant_of(value, node, fits, "a row of constant int64 numbers").tolist())


def _moved(node: OnnxNode, source: Value, shape: tuple[int, ...]) -> Value:
    require(source.flows and source.kind in ("uint8", "float32"), node, "an activation")
    return activation(source.kind, shape, source.scale, source.span)


def check_take(node: OnnxNode, read: list[Value]) -> Value:
    """What must hold of a selection along an axis."""
    source, shape = read[0], list(read[0].shape)
    axis, places = whole(node, "axis", 0, 1, len(shape)), _constant(node, read[1])
    require(all(0 <= place < shape[axis - 1] for place in places), node, f"places up to {shape[axis - 1]}")
    shape[axis - 1] = len(places)
    return _moved(node, source, tuple(shape))


def _check_reshape(node: OnnxNode, read: list[Value]) -> Value:
    source, (batch, *shape) = read[0], _constant(node, read[1])
    elements = math.prod(source.shape)
    fits = batch == -1 and 1 <= len(shape) <= _MOST_AXES and min(shape) >= 1 and math.prod(shape) == elements
    require(fits, node, f"the shape (-1, ...) with {elements} elements a sample")
    return _moved(node, source, tuple(shape))


def _check_transpose(node: OnnxNode, read: list[Value]) -> Value:
    source = read[0]
    usual = tuple(range(len(source.shape) + 1))
    axes = setting(node, "perm", usual, 0, _MOST_AXES)
    stated = "perm" in node.settings  # ONNX turns all axes around without it
    require(stated and axes[0] == 0 and sorted(axes) == list(usual), node, "the batch first, each axis once")
    return _moved(node, source, tuple(source.shape[axis - 1] for axis in axes[1:]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Take(Step):
    """Codes at some places of an axis, in any order: splits, slices, channel shuffles, nearest upsampling.

    Attributes:
        axis: along which; the first one after the batch is 1.
        places: where each code of the result stood.
    """

    axis: int
    places: tuple[int, ...]

    moves: ClassVar = True
    not_in_xnnpack: ClassVar = _NOT_IN_XNNPACK
    sizes: ClassVar = {"axis": 0, "places": 3}
    offers: ClassVar = "splits, slices, channel shuffles and nearest upsampling"

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return read[0].index_select(self.axis, torch.tensor(self.places, device=read[0].device))

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        return "Gather", {"axis": self.axis}

    def onnx_numbers(self) -> tuple[int, ...]:
        return self.places

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        shape, axis = reads[0], self.axis - 1
        sizes = {"outer": math.prod(shape[:axis]), "size": shape[axis], "inner": math.prod(shape[axis + 1 :])}
        sizes |= {"count": len(self.places)}
        return (CCall(kernel="take", struct="rows", sizes=sizes | {"places": self.places}),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, contents: Contents, **fields: Any) -> Step:
        places = tuple(contents.constants[node.inputs[1]].tolist())
        return cls(**fields, axis=whole(node, "axis", 0, 1, _MOST_AXES), places=places)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reshape(Step):
    """Codes in the same order, in other axes.

    Attributes:
        shape: of a sample.
    """

    shape: tuple[int, ...]

    moves: ClassVar = True
    not_in_xnnpack: ClassVar = _NOT_IN_XNNPACK
    sizes: ClassVar = {"shape": 3}
    offers: ClassVar = "reshapes that keep samples apart"
    onnx: ClassVar = {"Reshape": Operator(rule=_check_reshape, inputs=(2, 2), own=True)}

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return read[0].reshape(-1, *self.shape)

    def onnx_numbers(self) -> tuple[int, ...]:
        return (-1, *self.shape)

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        return ()

    @classmethod
    def from_onnx(cls, node: OnnxNode, contents: Contents, **fields: Any) -> Step:
        return cls(**fields, shape=tuple(contents.constants[node.inputs[1]].tolist()[1:]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Transpose(Step):
    """Codes with their axes in another order.

    Attributes:
        axes: which axis each of the result was; the first one after the batch is 1.
    """

    axes: tuple[int, ...]

    moves: ClassVar = True
    not_in_xnnpack: ClassVar = _NOT_IN_XNNPACK
    sizes: ClassVar = {"axes": 3}
    offers: ClassVar = "transposition"
    onnx: ClassVar = {
        "Transpose": Operator(rule=_check_transpose, inputs=(1, 1), settings=frozenset({"perm"}), own=True)
    }

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        return read[0].permute(0, *self.axes)

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        strides = strides_of(reads[0])
        sizes = axes_sizes(result, [tuple(strides[axis - 1] for axis in self.axes)], self.path)
        return (CCall(kernel="transpose", struct="axes", sizes=sizes),)

    def onnx_node(self) -> tuple[str, dict[str, Any]]:
        return "Transpose", {"perm": (0, *self.axes)}

    @classmethod
    def from_onnx(cls, node: OnnxNode, contents: Contents, **fields: Any) -> Step:
        axes: Any = node.settings["perm"]
        return cls(**fields, axes=tuple(axes[1:]))
