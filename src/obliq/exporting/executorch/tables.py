"""XNNPACK's operations and their constants in an ExecuTorch program.

Fields go by their names in `program.fbs` and in XNNPACK's `schema.fbs`, both read from the installed package.
Only what `obliq.exporting.executorch.reader` needs is found here; that nothing else is in a file, it checks itself.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.description import LONGEST
from obliq.exporting.executorch.flatbuffer import Table, number_at, one_of, root, stretch
from obliq.exporting.executorch.schema import PROGRAM, XNNPACK, installed_schema
from obliq.exporting.operations import OPERATIONS
from obliq.exporting.operations.layer import CONVOLUTIONS
from obliq.io.budget import Budget

_MOST = 100_000
"""Entries of any list; more than a network of a thousand layers has."""

# Bytes into the header of a program (`_ExtendedHeader` in exir/_serialize/_program.py) and into that of what it hands
# to XNNPACK (`XNNHeader` in xnnpack_graph_serialize.py): headers are in no schema.
_SEGMENTS_START, _GRAPH_START, _GRAPH_SIZE = 24, 10, 14

DESCRIPTION = "network"
"""The method that answers with the description of the network (`obliq.exporting.description`)."""

INPUTS = "inputs"
"""The method that answers with how stored values become inputs; a program has it where this is recorded."""

_OF_WEIGHT = 32
"""Work for each code of a convolution, which is taken over, checked and exported anew."""

COMPUTING = {"XNNClamp"}.union(*(step.xnnpack or () for step in OPERATIONS))
"""What computes, by its name in the schema; other operations move codes."""


@dataclass(frozen=True, kw_only=True)
class Computing:
    """An operation whose result is quantized.

    Attributes:
        operation: its name in XNNPACK's schema.
        scale: one step of its result, as it stands in the file.
        bounds: between which real numbers the result is clamped after it was rounded; None where it is not.
        table: its fields.
    """

    operation: str
    scale: float
    bounds: tuple[float, float] | None = None
    table: Table = field(repr=False)


class Operations:
    """The operations of one program, in their order.

    Attributes:
        description: the text that the program's method for it answers with.
        inputs: likewise for the inputs; None in a program without that method.
        computing: what computes.

    Raises:
        ModelError: when the file is cut off, or points outside itself.
    """

    def __init__(self, data: memoryview) -> None:
        self._budget = budget = Budget(len(data), ModelError)
        program = root(data, "Program", installed_schema(PROGRAM), budget)
        start = int(number_at(data, _SEGMENTS_START, "Q"))
        segments = [
            stretch(data, start + one.whole("offset"), one.whole("size"))
            for one in program.tables("segments", _MOST)
        ]
        self._named = {
            one.text("key"): one_of(segments, one.whole("segment_index"))
            for one in program.tables("named_data", _MOST)
        }
        methods = {one.text("name"): one for one in program.tables("execution_plan", 3)}
        if set(methods) - {INPUTS.encode()} != {b"forward", DESCRIPTION.encode()}:
            raise ModelError(
                f"methods {sorted(name[:40] for name in methods)}; expected forward and {DESCRIPTION}, and at most "
                f"{INPUTS}"
            )
        self.description = _answer(methods[DESCRIPTION.encode()])
        self.inputs = _answer(methods[INPUTS.encode()]) if INPUTS.encode() in methods else None
        delegate = one_of(methods[b"forward"].tables("delegates", 1), 0)
        blob = one_of(segments, delegate.table("processed").whole("index"))
        graph_start, graph_size = (int(number_at(blob, place, "I")) for place in (_GRAPH_START, _GRAPH_SIZE))
        graph = root(stretch(blob, graph_start, graph_size), "XNNGraph", installed_schema(XNNPACK), budget)
        self._constants = graph.tables("constant_data", _MOST)
        values = (value.member("xvalue_union") for value in graph.tables("xvalues", _MOST))
        self._values = {
            value.table("tensor_value").whole("id_out"): value
            for kind, value in values
            if kind == "XNNQuantizedTensorValue"
        }
        self.computing = self._computing(graph.tables("xnodes", _MOST))

    def _computing(self, nodes: list[Table]) -> list[Computing]:
        """A clamp belongs to the operation before it."""
        found: list[Computing] = []
        for node in nodes:
            operation, table = node.member("xnode_union")
            if operation not in COMPUTING:
                continue
            result = self._values.get(table.whole("output_id"))
            if result is None:  # the last codes as real numbers
                continue
            scale = self._scale(result)
            if operation == "XNNClamp" and found:
                bounds = node.table("output_min_max")
                pair = float(bounds.number("output_min")), float(bounds.number("output_max"))
                found[-1] = replace(found[-1], scale=scale, bounds=pair)
            else:
                found.append(Computing(operation=operation, scale=scale, table=table))
        return found

    def _scale(self, value: Table) -> float:
        kind, steps = value.member("quant_params")
        if kind != "PerTensorQuant":
            raise ModelError(f"a result with {kind}; expected PerTensorQuant")
        return float(steps.number("scale"))

    def stored(self, computing: Computing) -> tuple[ndarray, ndarray, ndarray]:
        """Return what a convolution multiplies with and adds.

        Returns:
            int8 codes, outputs first, then inputs, then space; float32 scales and int32 biases, one an output each.

        Raises:
            ModelError: when it is another operation, or its constants do not fit together.
        """
        if computing.operation not in CONVOLUTIONS:
            raise ModelError(f"{computing.operation} for a layer with weights; expected a convolution")
        weight, bias = (self._value(computing.table.whole(name)) for name in ("filter_id", "bias_id"))
        tensor = weight.table("tensor_value")
        shape = tensor.wholes("dims", 4)
        self._budget.spend("its weights", memory=4 * math.prod(shape), work=_OF_WEIGHT * math.prod(shape))
        codes = np.frombuffer(self._constant(tensor.whole("constant_buffer_idx")), np.int8)
        if len(shape) != 4 or math.prod(shape) != codes.size:
            raise ModelError(f"{codes.size} codes for a filter of shape {shape}; expected as many as it has")
        kind, steps = weight.member("quant_params")
        if kind != "PerChannelQuant":
            raise ModelError(f"a filter with {kind}; expected PerChannelQuant")
        axes = (3, 0, 1, 2) if computing.operation == "XNNDepthwiseConv2d" else (0, 3, 1, 2)
        scale = self._numbers(steps.whole("scale_buffer_idx"), "<f4")
        biases = self._numbers(bias.table("tensor_value").whole("constant_buffer_idx"), "<i4")
        return codes.reshape(shape).transpose(axes), scale, biases

    def _value(self, number: int) -> Table:
        if number not in self._values:
            raise ModelError(f"value {number} is not quantized; expected it to be")
        return self._values[number]

    def _numbers(self, constant: int, kind: str) -> ndarray:
        data = self._constant(constant)
        if len(data) % 4:
            raise ModelError(f"{len(data)} bytes of numbers; expected four for each")
        return np.frombuffer(data, kind)

    def _constant(self, index: int) -> memoryview:
        constant = one_of(self._constants, index)
        name = constant.text("named_key")
        if name not in self._named:
            raise ModelError(f"no constant {name[:80]!r}; expected it among the named data")
        return stretch(self._named[name], 0, constant.whole("size"))


def _answer(method: Table) -> bytes:
    """The text that a method answers with, whatever it is given."""
    kind, answer = one_of(method.tables("values", 1), 0).member("val")
    if kind != "String":
        raise ModelError(f"a {kind} as the answer of a method; expected a String")
    return answer.text("string_val", LONGEST)
