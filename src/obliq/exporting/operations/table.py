"""A function of single values, as a table with one entry for each of the 256 bytes that can come in."""

import copy
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor, fx, nn

from obliq.errors import ModelError
from obliq.exporting.grids import Grid
from obliq.exporting.onnx.check_graph import Operator, Value, activation, require
from obliq.exporting.onnx.contents import OnnxNode
from obliq.exporting.operations.c_call import CCall, Shape
from obliq.exporting.operations.step import Codes, Reals, Step, TracedCall
from obliq.quantization.operations import ADDITIONS, is_number, module_of

ENTRIES = 256
"""One a byte."""

_SMOOTHED = 8
"""Codes on each side over which the slope of a table is taken: coarse results make steps of it."""

_BYTES = Grid(scale=1.0, bits=8, signed=False, low=0, high=ENTRIES - 1)

_FUNCTIONS: set[Any] = {
    *(nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.GELU),
    *(nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.Softplus, nn.Softsign, nn.Mish, nn.LogSigmoid),
    *(F.relu, F.relu6, F.hardtanh, F.hardswish, F.hardsigmoid, F.silu, F.sigmoid, F.tanh, F.gelu, torch.relu),
    *(F.leaky_relu, F.elu, F.celu, F.selu, F.softplus, F.softsign, F.mish, F.logsigmoid),
    *(torch.sigmoid, torch.tanh, torch.exp, torch.abs, torch.square, torch.sqrt, torch.neg, operator.neg),
    *(torch.clamp, torch.clip, torch.clamp_min, torch.clamp_max, torch.celu, torch.selu),
    *("relu", "sigmoid", "tanh", "exp", "abs", "square", "sqrt", "neg", "clamp", "clip"),
    *("clamp_min", "clamp_max", "hardshrink"),
}
"""Functions of one value; other arguments are numbers."""

_ARITHMETIC: set[Any] = ADDITIONS | {
    *(operator.sub, operator.mul, operator.truediv, operator.pow),
    *(torch.sub, torch.mul, torch.div, torch.true_divide, torch.pow),
    *("sub", "mul", "div", "true_divide", "pow", "rsub"),
}
"""Functions of one value as soon as the other one is a number."""


def _check(node: OnnxNode, read: list[Value]) -> Value:
    table, places = read
    held = table.codes is not None and table.kind == "float32" and table.shape == (ENTRIES,)
    fits = held and not node.settings and places.flows and places.kind == "int32"
    require(fits, node, "a table of 256 codes, and bytes as int32")
    codes, scale = table.coded
    require(scale.shape == (), node, "one scale for all codes of a table")
    # on a grid already
    return activation("float32", places.shape, scale, (int(codes.min()), int(codes.max())))


@dataclass(frozen=True, kw_only=True, eq=False)
class LookupTable(Step):
    """Codes c become table[c]: round(f(c s) / u) for a grid of scale u, computed once in float64.

    The table belongs to the network's integers, as weights do; the function itself is not kept.

    Attributes:
        table: the byte of the result for each byte, uint8.
        reads: the grid of those bytes.
    """

    table: ndarray = field(repr=False, default_factory=lambda: np.zeros(ENTRIES, np.uint8))
    reads: Grid = _BYTES

    calls: ClassVar = frozenset(_FUNCTIONS | _ARITHMETIC)
    offers: ClassVar = (
        "activation functions such as Hardswish, SiLU, Sigmoid, Tanh, GELU, LeakyReLU and PReLU with one weight, and "
        "arithmetic with a number"
    )
    onnx: ClassVar = {"Gather": Operator(rule=_check, inputs=(2, 2), settings=frozenset({"axis"}), own=True)}
    not_in_xnnpack: ClassVar = "XNNPACK computes functions and looks no tables up"

    @classmethod
    def matches(cls, node: fx.Node) -> bool:
        return super().matches(node) and len(cls.arguments(node)) == 1

    @classmethod
    def arguments(cls, node: fx.Node) -> Sequence[object]:
        return [value for value in node.all_input_nodes if not is_number(value)]

    @classmethod
    def from_call(cls, call: TracedCall) -> tuple[Step, ...]:
        assert call.source is not None
        grid, reads, path = call.fields["grid"], call.source, call.fields["path"]
        reals = (torch.arange(ENTRIES, dtype=torch.float64) - reads.zero_point) * reads.scale
        with torch.no_grad():
            found = _applied(call.node, reals, path) if cls.matches(call.node) else reals
        if found.shape != reals.shape or bool(found.isnan().any()):
            raise ModelError(
                f"{path} is not a number for every input; expected a function that is defined everywhere (clamp "
                "its input first)"
            )
        codes = np.clip(np.rint((found / grid.scale).numpy()), grid.low, grid.high)
        return (cls(**call.fields, table=(codes + grid.zero_point).astype(np.uint8), reads=reads),)

    def in_numpy(self, read: list[Codes], grids: list[Grid]) -> Codes:
        codes = self.table[read[0] + self.reads.zero_point].astype(np.int32) - self.grid.zero_point
        kept: ndarray = np.clip(codes, self.grid.low, self.grid.high)
        return kept

    def constants(self, grids: list[Grid]) -> dict[str, Tensor]:
        return {"table": torch.from_numpy(self._codes())}

    def in_torch(self, read: list[Reals], held: Mapping[str, Tensor]) -> Reals:
        return held["table"][(read[0] + self.reads.zero_point).long()]

    def in_reals(self, read: list[Reals], layer: nn.Module | None) -> Reals:
        # between two codes the values are on a line; the slope is that of the table over several codes
        values = torch.from_numpy(self._codes()).to(read[0]) * self.grid.scale
        place = (read[0] / self.reads.scale + self.reads.zero_point).clamp(0, ENTRIES - 1)
        left = place.detach().floor().clamp(max=ENTRIES - 2)
        share, index = place.detach() - left, left.long()
        exact = values[index] + share * (values[index + 1] - values[index])
        ends = torch.arange(ENTRIES, device=values.device)
        before, after = (ends - _SMOOTHED).clamp(min=0), (ends + _SMOOTHED).clamp(max=ENTRIES - 1)
        slopes = (values[after] - values[before]) / (after - before)
        return exact + slopes[index] * (place - place.detach())

    def in_c(self, reads: Sequence[Shape], result: Shape) -> tuple[CCall, ...]:
        sizes = {"elements": math.prod(result)}
        return (CCall(kernel="look_up", struct="lookup", sizes=sizes, stored=("table",)),)

    def _codes(self) -> ndarray:
        """The code of the result for each byte, float32."""
        return self.in_numpy([np.arange(ENTRIES, dtype=np.int32) - self.reads.zero_point], []).astype(
            np.float32
        )


def _applied(node: fx.Node, values: Tensor, path: str) -> Tensor:
    """What a call makes of these float64 values in evaluation mode."""
    if node.op == "call_module":
        module = copy.deepcopy(module_of(node)).cpu().double().eval()
        if any(parameter.numel() > 1 for parameter in module.parameters()):
            raise ModelError(
                f"{path} (PReLU) has a weight for each channel; expected one weight for all (nn.PReLU())"
            )
        found: Tensor = module(values)
        return found
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda _: values)
    if any(isinstance(value, float) and math.isnan(value) for value in args):
        raise ModelError(f"{path} computes with NaN; expected numbers")
    function = node.target if callable(node.target) else getattr(torch.Tensor, str(node.target))
    result: Tensor = function(*args, **kwargs)
    return result
