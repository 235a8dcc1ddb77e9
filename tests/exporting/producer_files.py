"""Small files in the forms of many producers, node by node: one convolution, what is to be tried, one matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

CHANNELS, SIDE, CLASSES = 4, 6, 3
IMAGE = (2, SIDE, SIDE)


@dataclass
class Draft:
    """A graph that is being written; `at` is the value that the next node reads."""

    opset: int = 17
    producer: str = "somebody"
    batch: int | str = "batch"
    at: str = "image"
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def constant(self, values: object, kind: type = np.float32, name: str = "") -> str:
        """A stored constant's name."""
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, kind), name))
        return name

    def node(self, operator: str, *inputs: str, outputs: Sequence[str] = (), **settings: object) -> str:
        """One node, which reads `at` where no inputs are given; the name of what it makes, which becomes `at`."""
        made = list(outputs) or [f"v{len(self.nodes)}"]
        self.nodes.append(helper.make_node(operator, list(inputs) or [self.at], made, **settings))
        self.at = made[0]
        return self.at

    def rounded(
        self, scale: float = 0.05, zero: int = 3, kind: type = np.uint8, clamp: Sequence[int] = ()
    ) -> str:
        """QuantizeLinear, a clamp of the codes if there is one, and DequantizeLinear."""
        grid = self.constant(scale), self.constant(zero, kind)
        self.node("QuantizeLinear", self.at, *grid)
        if clamp:
            self.node("Clip", self.at, *(self.constant(one, kind) for one in clamp))
        return self.node("DequantizeLinear", self.at, *grid)

    def codes(self, *shape: int, most: int = 127) -> np.ndarray:
        return self.random.integers(-most, most + 1, shape).astype(np.int8)

    def weight(self, codes: np.ndarray, axis: int = 0) -> str:
        """int8 codes with a scale for each output, dequantized; `at` stays."""
        before, outputs = self.at, codes.shape[axis]
        scale = self.constant(self.random.uniform(0.004, 0.006, outputs))
        zeros = self.constant(np.zeros(outputs), np.int8)
        made = self.node("DequantizeLinear", self.constant(codes, np.int8), scale, zeros, axis=axis)
        self.at = before
        return made

    def convolution(
        self, outputs: int = CHANNELS, inputs: int = IMAGE[0], bias: bool = True, **settings: object
    ) -> str:
        groups = int(settings.get("group", 1))  # type: ignore[call-overload]
        weight = self.weight(self.codes(outputs, inputs // groups, 3, 3))
        biases = [self.constant(self.random.uniform(-0.2, 0.2, outputs))] if bias else []
        return self.node("Conv", self.at, weight, *biases, pads=[1, 1, 1, 1], kernel_shape=[3, 3], **settings)

    def matrix(self, inputs: int, outputs: int = CLASSES) -> str:
        weight, bias = (
            self.weight(self.codes(outputs, inputs)),
            self.constant(np.linspace(-0.1, 0.1, outputs)),
        )
        return self.node("Gemm", self.at, weight, bias, transB=1)

    def file(self, shape: Sequence[int] = IMAGE, last: str = "logits") -> bytes:
        """The bytes, with `at` as the result."""
        self.nodes[-1].output[0] = last
        ends = [("image", [self.batch, *shape]), (last, [self.batch, CLASSES])]
        graph = helper.make_graph(
            self.nodes,
            "graph",
            *([helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)] for name, sizes in ends),
            self.constants,
        )
        version = next(
            ir
            for ir, opset in ((8, 18), (9, 20), (10, 22), (11, 23), (12, 25), (13, 26), (14, 99))
            if self.opset <= opset
        )
        sets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, producer_name=self.producer, opset_imports=sets, ir_version=version)
        written: bytes = model.SerializeToString()
        return written


def begun(**fields: Any) -> Draft:
    """A draft up to the real values of the first convolution."""
    draft = Draft(**fields)
    draft.rounded(zero=128)
    draft.convolution()
    return draft


def ended(draft: Draft, features: int = CHANNELS * SIDE * SIDE) -> bytes:
    """Rounding, one row a sample, a matrix."""
    draft.rounded(zero=128)
    draft.node("Flatten", axis=1)
    draft.matrix(features)
    return draft.file()
