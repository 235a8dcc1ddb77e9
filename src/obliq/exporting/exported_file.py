"""The contract of a format: what each folder of this room answers about its kind of file.

A format is a class; a file that was read is one of its objects. Everything else in the package handles these objects
and names no format. A new format is a folder with such a class, and its line in `FORMATS` (`obliq.exporting.files`).

Which network a file holds is found by what it computes with and not by what it claims. Exporting is deterministic, so
a file belongs to a network exactly when exporting that network gives the same content. A name or a digest in the
file would be a claim that anyone could write, and that a patch of the integers would leave behind unchanged.
"""

import abc
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor, nn

from obliq.data.input_contract import InputContract
from obliq.errors import ModelError
from obliq.exporting import interpreter
from obliq.exporting.content import content_of_graph, graph_with
from obliq.exporting.from_network import graph_of
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.contents import Contents
from obliq.exporting.onnx.reader import onnx_form, outline, read_onnx, share_of_changed_codes, stored_weights
from obliq.exporting.onnx.writer import to_onnx
from obliq.exporting.rebuild import RebuiltNetwork, graph_with_weights, rebuild_network
from obliq.patch import Content, content_digest

Answer = Callable[[Float32[ndarray, "samples ..."]], Float32[ndarray, "samples classes"]]
"""From standardised inputs to logits."""

Probe = Callable[
    [Float32[ndarray, "samples ..."]], tuple[Float32[ndarray, "samples classes"], dict[str, ndarray]]
]
"""From standardised inputs to logits, and to int32 codes by the name of their step, as far as the file shows them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FilePredictor:
    """A file that answers images, on the processor.

    Attributes:
        runtime: what runs it, with its version.
        answer: from inputs to logits.
    """

    runtime: str
    answer: Answer = field(repr=False)

    device: ClassVar[torch.device] = torch.device("cpu")

    def predict(self, images: Float[Tensor, "batch ..."]) -> Float32[Tensor, "batch classes"]:
        """The logits for a batch of standardised inputs."""
        return torch.from_numpy(self.answer(np.ascontiguousarray(images.numpy(), dtype=np.float32)))


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportedFile(abc.ABC):
    """One file, read and checked. Whatever is refused raises `ModelError`: what was found and what was expected.

    Attributes:
        data: its bytes.
        contents: what it computes with, as an ONNX graph: its own, or that of the ONNX file that computes the same.
        name: of the file, without its folder.
        runtime: `own`, the runtime that the format is for, or `interpreter`.
        threads: how many the runtime may use.
    """

    data: bytes = field(repr=False)
    contents: Contents = field(repr=False)
    name: str = ""
    runtime: str = "own"
    threads: int = 1

    format: ClassVar[str]
    """Its name on the command line."""
    title: ClassVar[str]
    """The same in text."""
    suffix: ClassVar[str]
    """Of the names of its files."""
    own_runtime: ClassVar[str]
    """The runtime that the files are for."""
    forms: ClassVar[tuple[str, ...]] = ()
    """In which a network can be written; none where files are only read."""

    @staticmethod
    @abc.abstractmethod
    def recognises(data: bytes) -> bool:
        """Whether bytes look like this format; `read` then decides."""

    @staticmethod
    def stated_digest(data: bytes) -> str | None:
        """The content digest that bytes of a format state which is not read; nothing checks it. None otherwise."""
        return None

    @staticmethod
    @abc.abstractmethod
    def read(data: bytes) -> Contents:
        """What bytes compute with, once nothing in them is left that a runtime must not see."""

    @cached_property
    @abc.abstractmethod
    def graph(self) -> Graph:
        """The integer graph that is all of the file; files of floats and of other quantizers have none."""

    @abc.abstractmethod
    def start(self) -> tuple[str, Answer]:
        """The runtime with its version, and the file in it."""

    @property
    def form(self) -> str:
        """In which form of its format the file is."""
        return onnx_form(self.contents)

    @property
    def stored_weights(self) -> str:
        """The narrowest type that weights are stored in: `int8`, `int4`, `int2`, or `float32`."""
        return stored_weights(self.contents)

    @property
    def precision(self) -> str:
        """Bits of weights and activations, as far as the file shows them."""
        return "FP32" if self.stored_weights == "float32" else f"weights in {self.stored_weights}"

    @cached_property
    def content(self) -> Content:
        """Everything that it computes with, as records."""
        return content_of_graph(self.graph)

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 of everything that it computes with, whatever it is stored in.

        That is: operations, names, settings, shapes, codes, scales and biases, not the container: the `integer` and
        the `compact` ONNX file of a network and its ExecuTorch program have one digest. (Where the program must hold a
        rounded bias, it computes otherwise and has another.) It is the digest that a patch to the file promises
        (`obliq.patch.content_digest`), so that an audit of a file, a patch to it and the device that holds it speak
        of one network by one number. A file of floats has a digest of its own, and so has the folder that files were
        exported from: it holds batch norm and unrounded biases.
        """
        return content_digest(self.content)

    @cached_property
    def file_digest(self) -> str:
        """SHA-256 of its bytes."""
        return sha256_of(self.data)

    @cached_property
    def predictor(self) -> FilePredictor:
        """The file in its runtime."""
        if self.runtime == "interpreter":
            graph, runtime = self.graph, f"integer interpreter (NumPy {np.__version__})"
            return FilePredictor(
                runtime=runtime, answer=lambda batch: interpreter.logits(graph, interpreter.run(graph, batch))
            )
        if self.runtime not in ("own", self.own_runtime):
            raise ModelError(
                f"a file for {self.own_runtime} in {self.runtime}; expected {self.own_runtime} or interpreter"
            )
        runtime, answer = self.start()
        return FilePredictor(runtime=runtime, answer=answer)

    def rebuild(self) -> RebuiltNetwork:
        """A network that can be trained, with the codes, scales and biases of the file."""
        return rebuild_network(self.graph)

    @abc.abstractmethod
    def with_weights(self, network: nn.Module) -> bytes:
        """The same file with the codes and biases of a network that was rebuilt from it and then trained."""

    def exported_from(self, model: nn.Module, input_shape: Sequence[int]) -> str | None:
        """The form in which a network was exported to this file; None when it was not."""
        exported = self.content_exported(graph_of(model, input_shape))
        return self.form if content_digest(exported) == self.content_digest else None

    def content_exported(self, graph: Graph) -> Content:
        """The content of a file of this kind and form that a graph is written to."""
        return content_of_graph(graph)

    def form_beside(self, model: nn.Module, input_shape: Sequence[int]) -> str | None:
        """The form in which a network with other values would be exported to a file like this one."""
        other = self._like(graph_of(model, input_shape))
        return self.form if outline(other) == self.outline() else None

    def outline(self) -> object:
        """Everything but the values of constants, for comparison."""
        return outline(self.contents)

    def changed_codes(self, before: Graph) -> float | None:
        """The share of weight codes, 0 to 1, that differ from those of a graph of the same form.

        None for the `float` form, which has none.
        """
        return share_of_changed_codes(self._like(before), self.contents)

    def _like(self, graph: Graph) -> Contents:
        return read_onnx(to_onnx(graph, onnx_form(self.contents)))


class OwnFile(ExportedFile):
    """A file that holds an integer graph of ours and nothing else, so that it is written again from the graph."""

    forms: ClassVar[tuple[str, ...]] = ("integer",)
    is_read: ClassVar[bool] = True
    """Whether files are read back, so that they are compared with their network, audited and patched."""

    @staticmethod
    @abc.abstractmethod
    def write(graph: Graph, form: str = "integer", inputs: InputContract | None = None) -> bytes:
        """The bytes of a file; equal graphs give equal bytes. A format with metadata states the inputs there."""

    @classmethod
    @abc.abstractmethod
    def verify(cls, data: bytes, graph: Graph) -> None:
        """Raise `ModelError` unless bytes that were just written hold a graph, as far as a short check can find."""

    @staticmethod
    @abc.abstractmethod
    def probe(data: bytes, graph: Graph) -> tuple[str, Probe]:
        """The runtime with its version, and a file of a graph in it that shows what it computes on the way.

        Args:
            data: bytes that were just written, or that `read` has let pass.
            graph: what they were written from.
        """

    @classmethod
    def require_read(cls) -> None:
        """Raise where files cannot be compared with their network.

        Raises:
            ModelError: with what to do instead.
        """
        if not cls.is_read:
            raise ModelError(
                f"{cls.title} files are not run here; expected an export without a check, or a check of "
                "the .onnx file, which computes the same"
            )

    @staticmethod
    def require_packages(*, runs: bool) -> None:
        """Raise where a package is missing that writes files of this format, and runs them where that is wanted.

        Raises:
            ModelError: with the extra to install.
        """

    def with_content(self, content: Content) -> bytes:
        """A file of the same kind and form with other numbers; they are checked when it is read.

        Raises:
            PatchError: when the content is of another form, or has codes that are no bytes.
            ModelError: as `write`.
        """
        return self.write(graph_with(self.graph, content), self.form, self.contents.inputs)

    def with_weights(self, network: nn.Module) -> bytes:
        """See `ExportedFile.with_weights`."""
        return self.write(graph_with_weights(self.graph, network), self.form, self.contents.inputs)


def sha256_of(file: bytes) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(file).hexdigest()
