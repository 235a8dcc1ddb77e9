"""Exported files that answer images: in ONNX Runtime, in ExecuTorch, and in our own interpreter."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from obliq.errors import ModelError
from obliq.exporting import interpreter
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.contents import INPUT, LOGITS, Contents
from obliq.exporting.onnx.reader import graph_in
from obliq.exporting.optional import (
    Run,
    foreign_session,
    import_onnxruntime,
    is_program,
    loaded,
    session,
    version,
)
from obliq.training.prediction import Predictor

RUNTIMES = ("own", "onnxruntime", "executorch", "interpreter")
"""`own` is the one that a file is for."""


class _OnProcessor:
    """What runs files computes on the processor alone."""

    @property
    def device(self) -> torch.device:
        """The processor."""
        return torch.device("cpu")


@dataclass(frozen=True, eq=False)
class InOnnxRuntime(_OnProcessor):
    """A file in an ONNX Runtime session on the processor.

    Attributes:
        session: the session.
        ends: names of the file's input and output.
    """

    session: Any = field(repr=False)
    ends: tuple[str, str] = (INPUT, LOGITS)

    @property
    def runtime(self) -> str:
        """ONNX Runtime and its version."""
        return f"ONNX Runtime {import_onnxruntime().__version__}"

    def predict(self, images: Float[Tensor, "batch ..."]) -> Float32[Tensor, "batch classes"]:
        """The logits for a batch of standardised inputs."""
        given = np.ascontiguousarray(images.numpy(), dtype=np.float32)
        first, last = self.ends
        return torch.from_numpy(self.session.run([last], {first: given})[0])


@dataclass(frozen=True, eq=False)
class InExecuTorch(_OnProcessor):
    """A program in ExecuTorch's own runtime on the processor, one sample after the other."""

    run: Run = field(repr=False)

    @property
    def runtime(self) -> str:
        """ExecuTorch and its version; our programs leave nothing to other backends than XNNPACK."""
        return f"ExecuTorch {version()} (XNNPACK)"

    def predict(self, images: Float[Tensor, "batch ..."]) -> Float32[Tensor, "batch classes"]:
        """The logits for a batch of standardised inputs."""
        (logits,) = self.run(np.ascontiguousarray(images.numpy(), dtype=np.float32))
        return torch.from_numpy(logits)


@dataclass(frozen=True, eq=False)
class InInterpreter(_OnProcessor):
    """The integers of a file in our own interpreter: slow, but nothing in it is fused or vendor's."""

    graph: Graph = field(repr=False)

    @property
    def runtime(self) -> str:
        """The interpreter, with the version of NumPy."""
        return f"integer interpreter (NumPy {np.__version__})"

    def predict(self, images: Float[Tensor, "batch ..."]) -> Float32[Tensor, "batch classes"]:
        """The logits for a batch of standardised inputs."""
        made = interpreter.run(self.graph, np.ascontiguousarray(images.numpy(), dtype=np.float32))
        return torch.from_numpy(interpreter.logits(self.graph, made))


def running(data: bytes, contents: Contents, runtime: str = "own", *, threads: int = 1) -> Predictor:
    """A file's bytes in a runtime.

    Args:
        data: the bytes, which `admitted` has let pass.
        contents: what it found in them.
        runtime: one of `RUNTIMES`; the interpreter takes the `integer` and `compact` forms only.
        threads: how many ONNX Runtime or ExecuTorch may use.

    Raises:
        ModelError: when the runtime is not installed or the file is for another one, or the interpreter is
            given a file of floats.
    """
    if runtime == "interpreter":
        if not contents.own:
            raise ModelError("a file of another quantizer is run by onnxruntime alone; expected that runtime")
        return InInterpreter(graph_in(contents))
    own = "executorch" if is_program(data) else "onnxruntime"
    if runtime not in ("own", own):
        raise ModelError(f"a file for {own} in {runtime}; expected {own} or interpreter")
    if own == "executorch":
        return InExecuTorch(loaded(data, threads=threads))
    opened = session if contents.own else foreign_session
    return InOnnxRuntime(opened(data, threads=threads), contents.ends)
