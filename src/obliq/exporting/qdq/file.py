"""Files of other quantizers: read, audited and unlearned in place, but never written from a graph."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy import ndarray
from torch import nn

from obliq.errors import ModelError
from obliq.exporting.exported_file import Answer, ExportedFile
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.file import stored_content
from obliq.exporting.onnx.runtime import onnx_runtime, run_session, session
from obliq.exporting.qdq.check import bits_in, foreign_contents
from obliq.exporting.qdq.parse import is_foreign
from obliq.exporting.qdq.rebuild import file_with_weights, rebuild_foreign
from obliq.exporting.rebuild import RebuiltNetwork
from obliq.io.visible_text import reason_of
from obliq.patch import Content

_SMALLEST = np.finfo(np.float32).tiny
"""The smallest probability that has a logarithm."""


class QdqFile(ExportedFile):
    """A file in ONNX's QDQ form; only the bytes of weights and biases are ever replaced.

    Where a softmax comes last, the logarithms of its probabilities are the logits. A file that takes one sample at a
    time is given one at a time.
    """

    format: ClassVar[str] = "qdq"
    title: ClassVar[str] = "ONNX"
    suffix: ClassVar[str] = ".onnx"
    own_runtime: ClassVar[str] = "onnxruntime"
    recognises = staticmethod(is_foreign)
    read = staticmethod(foreign_contents)

    @property
    def form(self) -> str:
        return "qdq"

    @property
    def precision(self) -> str:
        return bits_in(self.contents)

    @cached_property
    def graph(self) -> Graph:
        raise ModelError("a file of another quantizer is run by onnxruntime alone; expected that runtime")

    @cached_property
    def content(self) -> Content:
        return stored_content(self.contents)

    def rebuild(self) -> RebuiltNetwork:
        return rebuild_foreign(self.contents)

    def with_weights(self, network: nn.Module) -> bytes:
        return file_with_weights(self.data, self.contents, network)

    def start(self) -> tuple[str, Answer]:
        (first, last), runtime = self.contents.ends, onnx_runtime()
        trial = {first: np.zeros((1, *self.contents.input_shape), np.float32)}
        # Release 1.32 stops at graphs whose layers share one constant of zero points, as torch.onnx writes them, when
        # it is to turn int8 weights into bytes for processors without VNNI; and at activations with a scale for each
        # channel, as NNCF writes them, when it fuses them with a layer. They run unfused.
        for optimised in (True, False):
            try:
                opened = session(self.data, optimised=optimised, threads=self.threads, silent=True)
                opened.run([last], trial)
                break
            except Exception as error:  # ONNX Runtime has no error of its own that all of these are
                if not optimised:
                    raise ModelError(
                        f"ONNX Runtime does not run the file: {reason_of(error)}; expected one that runs"
                    ) from error
        probabilities = self.contents.nodes[-1].operator == "Softmax"

        def answer(samples: ndarray) -> ndarray:
            size = self.contents.batch or len(samples)
            parts = [samples[start : start + size] for start in range(0, len(samples), size)] or [samples]
            logits: ndarray = np.concatenate(
                [run_session(opened, [last], {first: part})[0] for part in parts]
            )
            return np.log(np.maximum(logits, _SMALLEST)) if probabilities else logits

        return runtime, answer
