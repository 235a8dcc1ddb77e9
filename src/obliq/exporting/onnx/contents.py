"""What an ONNX file holds, once `obliq.exporting.onnx.parse` has parsed it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from numpy import ndarray

from obliq.data.input_contract import InputContract

LARGEST_FILE = 2**29
"""Bytes; twelve times a ResNet-18 in FP32."""

INPUT, LOGITS = "input", "logits"
"""What goes into a file of ours, and what comes out."""

OPSETS = {13: 7, 17: 8, 21: 10, 25: 13}
"""The operator sets that are written, each with the version of the file format that goes with it."""

STORED_BITS = {"float32": 32, "uint8": 8, "int8": 8, "int32": 32, "int64": 64, "int4": 4, "int2": 2}
"""Of each type that constants have."""

Setting = int | float | str | tuple[int, ...]
"""The value of an attribute of a node."""


@dataclass(frozen=True, kw_only=True)
class OnnxNode:
    """One operation.

    Attributes:
        operator: its ONNX name, in the standard domain.
        inputs: names of what it reads.
        output: name of what it makes.
        settings: attributes, each a whole number or several; in files of other quantizers also a real number or a word.
        layer: where in the network it stands; only in packed files, whose weights do not have that name.
    """

    operator: str
    inputs: tuple[str, ...]
    output: str
    settings: dict[str, Setting]
    layer: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """A file's graph.

    Attributes:
        opset: version of the standard operators.
        input_shape: of one sample, channels first.
        nodes: in the order of computation.
        constants: by name; codes of 4 and 2 bits as int8.
        kinds: the stored type of each constant, for instance `int4`.
        ends: names of what goes in and what comes out.
        own: whether our exporter wrote it; otherwise see `obliq.exporting.qdq`.
        inputs: how stored values become inputs, where the file states it; no part of what the file computes.
        codes: of the weights of each layer, in a file of another quantizer, by the name of what it computes.
        batch: how many samples it takes at once; None for any number.
    """

    opset: int
    input_shape: tuple[int, ...]
    nodes: tuple[OnnxNode, ...] = field(repr=False)
    constants: dict[str, ndarray] = field(repr=False)
    kinds: dict[str, str] = field(repr=False)
    ends: tuple[str, str] = (INPUT, LOGITS)
    own: bool = True
    inputs: InputContract | None = None
    codes: dict[str, ndarray] = field(default_factory=dict, repr=False)
    batch: int | None = None

    @cached_property
    def makers(self) -> dict[str, OnnxNode]:
        """The node that makes each value, by its name."""
        return {node.output: node for node in self.nodes}

    def way_to_constant(self, name: str) -> Iterator[OnnxNode]:
        """The nodes between a value and the constant to which its first inputs lead, from the last one on."""
        while name not in self.constants:
            yield self.makers[name]
            name = self.makers[name].inputs[0]
