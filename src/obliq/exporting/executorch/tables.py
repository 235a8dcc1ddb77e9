"""Where XNNPACK's operations and their constants lie in an ExecuTorch program.

The places are those of `program.fbs` and of XNNPACK's `schema.fbs` in ExecuTorch 1.5. Only what
`obliq.exporting.executorch.reader` asks for is found; that nothing else is in a file, it says itself.
"""

import enum
import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy import ndarray

from obliq.errors import ModelError
from obliq.exporting.executorch.flatbuffer import Table, number_at, one_of, root, stretch

_MOST = 100_000
"""Entries of any list; more than a network of a thousand layers has."""

# Bytes into the header of a program, and of what it hands to XNNPACK.
_SEGMENTS_START, _GRAPH_START, _GRAPH_SIZE = 24, 10, 14
# Fields of a program, a method, a delegate, a reference to its data, a segment and named data.
_METHODS, _SEGMENTS, _NAMED, _DELEGATES, _DATA, _INDEX, _START, _SIZE, _KEY, _SEGMENT = (
    1,
    4,
    7,
    7,
    1,
    1,
    0,
    1,
    0,
    1,
)
# Fields of a method, of a value that it holds, and of a text.
_METHOD_NAME, _METHOD_VALUES, _VALUE, _TEXT = 0, 2, 1, 0
# Fields of XNNPACK's graph, of an operation or a value in it, and of a pair of bounds.
_OPERATIONS, _VALUES, _CONSTANTS, _KIND, _INNER, _BOUNDS, _LOW, _HIGH = 1, 2, 8, 0, 1, 3, 0, 1
# Fields of a quantized value, its tensor, its steps (one, or a constant with one an output) and a constant.
_TENSOR, _STEPS, _SHAPE, _CONSTANT, _ID, _STEP, _STEPS_CONSTANT, _BYTES, _NAME = 0, 2, 2, 3, 6, 0, 2, 1, 2
# Fields of a convolution.
_FILTER, _BIAS = 16, 17
_QUANTIZED = 2
DESCRIPTION = "network"
"""The method that answers with the description of the network (`obliq.exporting.description`)."""


class Operation(enum.IntEnum):
    """What computes, by its number in the schema; other operations move codes."""

    ADD = 1
    CLAMP = 6
    CONVOLUTION = 7
    DEPTHWISE = 13
    MAX_POOL = 14
    CONVERT = 18


_RESULT = {
    Operation.ADD: 2, Operation.CLAMP: 1, Operation.CONVOLUTION: 18, Operation.DEPTHWISE: 18, Operation.MAX_POOL: 11,
    Operation.CONVERT: 1,
}  # fmt: skip
"""The field that names an operation's result."""


@dataclass(frozen=True, kw_only=True)
class Computing:
    """An operation whose result is quantized.

    Attributes:
        operation: which.
        scale: one step of its result, as it stands in the file.
        bounds: between which real numbers the result is clamped after it was rounded; None where it is not.
    """

    operation: Operation
    scale: float
    bounds: tuple[float, float] | None = None
    table: Table = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """What a convolution multiplies with and adds.

    Attributes:
        codes: int8, outputs first, then inputs, then space.
        scale: float32, one an output.
        bias: int32, one an output.
    """

    codes: ndarray
    scale: ndarray
    bias: ndarray


class Operations:
    """The operations of one program, in their order.

    Attributes:
        description: the text that the program's method for it answers with.
        computing: what computes.

    Raises:
        ModelError: when the file is cut off, or says that something lies outside it.
    """

    def __init__(self, data: memoryview) -> None:
        program, start = root(data), int(number_at(data, _SEGMENTS_START, "Q"))
        segments = [
            stretch(data, start + one.whole(_START, "Q"), one.whole(_SIZE, "Q"))
            for one in program.tables(_SEGMENTS, _MOST)
        ]
        self._named = {
            one.text(_KEY): one_of(segments, one.whole(_SEGMENT)) for one in program.tables(_NAMED, _MOST)
        }
        methods = {one.text(_METHOD_NAME): one for one in program.tables(_METHODS, 2)}
        if set(methods) != {b"forward", DESCRIPTION.encode()}:
            raise ModelError(
                f"methods {sorted(name[:40] for name in methods)}; expected forward and {DESCRIPTION}"
            )
        self.description = (
            one_of(methods[DESCRIPTION.encode()].tables(_METHOD_VALUES, 1), 0).table(_VALUE).text(_TEXT)
        )
        delegate = one_of(methods[b"forward"].tables(_DELEGATES, 1), 0)
        blob = one_of(segments, delegate.table(_DATA).whole(_INDEX))
        graph_start, graph_size = (int(number_at(blob, place, "I")) for place in (_GRAPH_START, _GRAPH_SIZE))
        graph = root(stretch(blob, graph_start, graph_size))
        self._constants = graph.tables(_CONSTANTS, _MOST)
        self._values = {
            value.table(_INNER).table(_TENSOR).whole(_ID): value.table(_INNER)
            for value in graph.tables(_VALUES, _MOST)
            if value.whole(_KIND, "B") == _QUANTIZED
        }
        self.computing = self._computing(graph.tables(_OPERATIONS, _MOST))

    def _computing(self, entries: list[Table]) -> list[Computing]:
        """A clamp belongs to the operation before it."""
        found: list[Computing] = []
        for entry in entries:
            kind = entry.whole(_KIND, "B")
            if kind not in _RESULT:
                continue
            table, operation = entry.table(_INNER), Operation(kind)
            result = self._values.get(table.whole(_RESULT[operation]))
            if result is None:  # the last codes as real numbers
                continue
            scale = float(result.table(_STEPS).number(_STEP, "f"))
            if operation is Operation.CLAMP and found:
                bounds = entry.table(_BOUNDS)
                pair = float(bounds.number(_LOW, "f")), float(bounds.number(_HIGH, "f"))
                found[-1] = replace(found[-1], scale=scale, bounds=pair)
            else:
                found.append(Computing(operation=operation, scale=scale, table=table))
        return found

    def stored(self, computing: Computing) -> Stored:
        """What a convolution holds.

        Raises:
            ModelError: when it is another operation, or its constants do not fit together.
        """
        if computing.operation not in (Operation.CONVOLUTION, Operation.DEPTHWISE):
            raise ModelError(f"{computing.operation.name} for a layer with weights; expected a convolution")
        weight, bias = (self._value(computing.table.whole(place)) for place in (_FILTER, _BIAS))
        shape = weight.table(_TENSOR).wholes(_SHAPE, 4)
        codes = np.frombuffer(self._constant(weight.table(_TENSOR).whole(_CONSTANT)), np.int8)
        if len(shape) != 4 or math.prod(shape) != codes.size:
            raise ModelError(f"{codes.size} codes for a filter of shape {shape}; expected as many as it has")
        axes = (0, 3, 1, 2) if computing.operation is Operation.CONVOLUTION else (3, 0, 1, 2)
        return Stored(
            codes=codes.reshape(shape).transpose(axes),
            scale=self._numbers(weight.table(_STEPS).whole(_STEPS_CONSTANT), "<f4"),
            bias=self._numbers(bias.table(_TENSOR).whole(_CONSTANT), "<i4"),
        )

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
        name = constant.text(_NAME)
        if name not in self._named:
            raise ModelError(f"no constant {name[:80]!r}; expected it among the named data")
        return stretch(self._named[name], 0, constant.whole(_BYTES, "Q"))
