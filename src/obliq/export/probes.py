"""Exported files in their runtimes, made to tell their integer activations besides the logits."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from obliq.errors import ModelError
from obliq.export import executorch_runtime
from obliq.export.graph import Graph
from obliq.export.onnx_model import INPUT, LOGITS
from obliq.export.runtime import import_onnx, import_onnxruntime, session


@runtime_checkable
class Probe(Protocol):
    """A file that runs."""

    @property
    def runtime(self) -> str:
        """Name and version of what runs it."""

    def __call__(self, batch: Float32[ndarray, "samples ..."]) -> tuple[ndarray, dict[str, ndarray]]:
        """The logits, and int32 codes by the name of the step that makes them, as far as the file tells."""


def probe(file: bytes, graph: Graph) -> Probe:
    """A file that was made from a graph, in the runtime that it is for, which trusts it.

    Args:
        file: bytes that were just written, or that `admitted` has let pass.
        graph: what they were made from.

    Raises:
        ModelError: when that runtime is not installed, or the file is for another network.
    """
    if executorch_runtime.is_program(file):
        return _InExecuTorch(graph, executorch_runtime.loaded(file))
    names = activations_in(file, graph)
    running = session(exposing(file, names))
    if (shape := tuple(running.get_inputs()[0].shape[1:])) != graph.input_shape:
        raise ModelError(f"the file is for inputs of shape {shape}; expected {graph.input_shape}")
    return _InOnnxRuntime(graph, running, names)


@dataclass(frozen=True, eq=False)
class _InOnnxRuntime:
    """The bytes between operations are outputs as well."""

    graph: Graph = field(repr=False)
    running: Any
    names: list[str]

    @property
    def runtime(self) -> str:
        return f"onnxruntime {import_onnxruntime().__version__}"

    def __call__(self, batch: Float32[ndarray, "samples ..."]) -> tuple[ndarray, dict[str, ndarray]]:
        logits, *found = self.running.run([LOGITS, *self.names], {INPUT: batch})
        codes = zip(self.names, found, strict=True)
        return logits, {name: c.astype(np.int32) - self.graph[name].grid.zero_point for name, c in codes}


@dataclass(frozen=True, eq=False)
class _InExecuTorch:
    """Nothing between operations leaves XNNPACK; the last codes are what the logits are multiples of."""

    graph: Graph = field(repr=False)
    run: executorch_runtime.Run

    @property
    def runtime(self) -> str:
        return f"executorch {executorch_runtime.version()}"

    def __call__(self, batch: Float32[ndarray, "samples ..."]) -> tuple[ndarray, dict[str, ndarray]]:
        (logits,) = self.run(batch)
        last = self.graph.result
        return logits, {last.name: np.rint(logits / np.float32(last.grid.scale)).astype(np.int32)}


def activations_in(onnx_model: bytes, graph: Graph) -> list[str]:
    """The steps of a graph whose codes a file computes as bytes."""
    made = {
        name for node in import_onnx().load_model_from_string(onnx_model).graph.node for name in node.output
    }
    return [step.name for step in graph.steps if step.name in made]


def exposing(onnx_model: bytes, names: list[str]) -> bytes:
    """The same file with the bytes of these activations as further outputs."""
    onnx = import_onnx()
    model = onnx.load_model_from_string(onnx_model)
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None))
    written: bytes = model.SerializeToString(deterministic=True)
    return written
