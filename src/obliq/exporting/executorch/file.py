"""ExecuTorch programs of our exporter, which XNNPACK computes."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy import ndarray

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError
from obliq.exporting import interpreter
from obliq.exporting.content import content_of_graph, first_difference
from obliq.exporting.description import describe_graph
from obliq.exporting.executorch.reader import (
    begins_as_program,
    contents_of_program,
    graph_in_program,
)
from obliq.exporting.executorch.runtime import executorch_version, load_program
from obliq.exporting.executorch.writer import held, to_executorch
from obliq.exporting.exported_file import Answer, OwnFile, Probe
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.reader import graph_in, read_onnx
from obliq.exporting.onnx.writer import to_onnx
from obliq.exporting.optional import import_executorch
from obliq.patch import Content


class ExecuTorchFile(OwnFile):
    """What is read of a program is the `integer` ONNX file that computes the same."""

    format: ClassVar[str] = "executorch"
    title: ClassVar[str] = "ExecuTorch"
    suffix: ClassVar[str] = ".pte"
    own_runtime: ClassVar[str] = "executorch"
    recognises = staticmethod(begins_as_program)
    read = staticmethod(contents_of_program)

    @staticmethod
    def write(graph: Graph, form: str = "integer", inputs: InputContract | None = None) -> bytes:
        read_onnx(to_onnx(graph))  # ExecuTorch has no error of its own for numbers that no network has
        return to_executorch(graph, inputs=inputs)

    @staticmethod
    def require_packages(*, runs: bool) -> None:
        import_executorch("exir")  # the file is run once in any case, to compare its answers

    @classmethod
    def verify(cls, data: bytes, graph: Graph) -> None:
        if (path := first_difference(graph_in_program(data), held(graph))) is not None:
            raise ModelError(
                f"ExecuTorch has stored other numbers for {path}; expected those of the integer graph"
            )
        samples = np.random.default_rng(0).standard_normal((2, *graph.input_shape)).astype(np.float32)
        name, (_, probe) = graph.result.name, cls.probe(data, graph)
        found, expected = probe(samples)[1][name], interpreter.run(graph, samples)[name]
        apart = np.abs(found.reshape(2, -1) - expected.reshape(2, -1)).mean()
        if apart > 1:  # step on average
            raise ModelError(
                f"XNNPACK's answers are {apart:.3g} steps off; expected those of the integer graph"
            )

    @cached_property
    def graph(self) -> Graph:
        return graph_in(self.contents)  # reading has compared the program with a new export

    def content_exported(self, graph: Graph) -> Content:
        return content_of_graph(held(graph))

    def start(self) -> tuple[str, Answer]:
        program = load_program(self.data, threads=self.threads)
        # our programs leave nothing to other backends than XNNPACK
        return f"ExecuTorch {executorch_version()} (XNNPACK)", lambda batch: program(batch)[0]

    @staticmethod
    def probe(data: bytes, graph: Graph) -> tuple[str, Probe]:
        if describe_graph(graph_in_program(data)) != describe_graph(graph):
            raise ModelError(
                "the program describes another network; expected the one that it is compared with"
            )
        program, last = load_program(data), graph.result

        def probe(batch: ndarray) -> tuple[ndarray, dict[str, ndarray]]:
            # nothing between operations leaves XNNPACK; the last codes are what the logits are multiples of
            (logits,) = program(batch)
            return logits, {last.name: np.rint(logits / np.float32(last.grid.scale)).astype(np.int32)}

        return f"executorch {executorch_version()}", probe
