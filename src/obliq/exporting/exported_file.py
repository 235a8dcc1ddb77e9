"""The whole way from a trained network to the bytes that are shipped."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from torch import nn

from obliq.errors import ModelError
from obliq.exporting import interpreter, rebuild
from obliq.exporting.executorch.reader import first_difference, graph_in_program
from obliq.exporting.executorch.writer import held, to_executorch
from obliq.exporting.file_content import admitted, content_exported, file_content_digest, graph_as_written
from obliq.exporting.from_network import graph_of
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.contents import Contents, file_bytes
from obliq.exporting.onnx.reader import contents_of, graph_in, onnx_form, stored_weights, weight_constants
from obliq.exporting.onnx.writer import to_onnx
from obliq.exporting.optional import is_program
from obliq.exporting.parity import probe
from obliq.exporting.parity_record import sha256_of
from obliq.exporting.qdq.rebuild import file_with_weights, rebuild_foreign
from obliq.exporting.runtimes import running
from obliq.patch import content_digest as content_digest_of
from obliq.training.prediction import Predictor

SUFFIX, PROGRAM_SUFFIX = ".onnx", ".pte"
SUFFIXES = (SUFFIX, PROGRAM_SUFFIX)
"""Of files in ONNX and of ExecuTorch programs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shipped:
    """One file.

    Attributes:
        name: of the file, without its folder.
        data: its bytes.
        file_digest: SHA-256 of its bytes.
        content_digest: SHA-256 of everything that it computes with; see `obliq.exporting.file_content`.
        contents: what was read from them; a program's are those of the `integer` ONNX file that computes the same.
        predictor: answers images by running them.
        is_program: whether it is for ExecuTorch, and not ONNX.
    """

    name: str
    data: bytes = field(repr=False)
    file_digest: str
    content_digest: str
    contents: Contents = field(repr=False)
    predictor: Predictor = field(repr=False)
    is_program: bool = False

    @property
    def stored_weights(self) -> str:
        """The narrowest type that weights are stored in: `int8`, `int4`, `int2`, or `float32`."""
        return stored_weights(self.contents)

    @property
    def form(self) -> str:
        """`integer`, `compact` or `float`; `qdq` for a file of another quantizer."""
        return onnx_form(self.contents) if self.contents.own else "qdq"

    @property
    def precision(self) -> str:
        """Bits of weights and activations as far as the file tells them."""
        if not self.contents.own:
            return "W8A8"
        return "FP32" if self.form == "float" else f"weights in {self.stored_weights}"

    def outline(self) -> object:
        """Everything but the values of constants, for comparison."""
        return _outline(self.contents)

    def exported_from(self, model: nn.Module, input_shape: Sequence[int]) -> str | None:
        """The form in which a network was exported to this file; None when it was not.

        Raises:
            ModelError: when the network cannot be exported.
        """
        form = onnx_form(self.contents)
        exported = content_exported(model, input_shape, form, program=self.is_program)
        return form if content_digest_of(exported) == self.content_digest else None

    def form_beside(self, model: nn.Module, input_shape: Sequence[int]) -> str | None:
        """The form in which a network with other values would be exported to a file like this one.

        Raises:
            ModelError: when the network cannot be exported.
        """
        form = onnx_form(self.contents)
        other = contents_of(to_onnx(graph_of(model, input_shape), form))
        return form if _outline(other) == _outline(self.contents) else None

    def changed_codes(self, before: Graph) -> float | None:
        """The share of weight codes, 0 to 1, that differ from those of a graph of the same form.

        None for the `float` form, which has none.
        """
        if self.stored_weights == "float32":
            return None
        graph = graph_in(self.contents)
        changed = total = 0
        for old, new in zip(before.layers, graph.layers, strict=True):
            changed += int((old.weights.wide_codes() != new.weights.wide_codes()).sum())
            total += new.weights.codes.size
        return changed / total


def open_shipped(file: Path, runtime: str = "own", *, threads: int = 1) -> Shipped:
    """Read and check a file that our exporter or another quantizer made, and start a runtime on its very bytes.

    Args:
        file: one regular file.
        runtime: see `running`.
        threads: how many the runtime may use.

    Raises:
        ModelError: in one line that names the file, what was found and what was expected.
    """
    data = file_bytes(file)
    try:
        program = file.suffix == PROGRAM_SUFFIX
        contents = admitted(data, program=program)
        digest = file_content_digest(contents)
        predictor = running(data, contents, runtime, threads=threads)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    return Shipped(
        name=file.name, data=data, file_digest=sha256_of(data), content_digest=digest, contents=contents,
        predictor=predictor, is_program=program,
    )  # fmt: skip


def _outline(contents: Contents) -> object:
    """Everything but the values of constants."""
    constants = {name: (contents.kinds[name], values.shape) for name, values in contents.constants.items()}
    return contents.opset, contents.input_shape, contents.nodes, constants


@runtime_checkable
class Editable(Protocol):
    """One file."""

    def network(self) -> nn.Module:
        """A network that can be trained, with the codes, scales and biases of the file.

        Raises:
            ModelError: when it cannot be rebuilt.
        """

    def written(self, network: nn.Module) -> bytes:
        """The same file with the codes and biases of a network that came from it.

        Raises:
            ModelError: when the network has another grid, or no device could run it.
        """


@dataclass(frozen=True)
class OwnFile:
    """A file of `obliq export`, written again from its integer graph; `form` is an ONNX file's, None a program's."""

    graph: Graph = field(repr=False)
    form: str | None

    def network(self) -> nn.Module:
        """See `obliq.exporting.rebuild`."""
        return rebuild.rebuild_network(self.graph)

    def written(self, network: nn.Module) -> bytes:
        """See `obliq.exporting.rebuild`."""
        graph = rebuild.graph_with_weights(self.graph, network)
        return to_executorch(graph) if self.form is None else to_onnx(graph, self.form)


@dataclass(frozen=True)
class ForeignFile:
    """A file of another quantizer, of which only the bytes of weights and biases are replaced."""

    data: bytes = field(repr=False)
    contents: Contents = field(repr=False)

    def network(self) -> nn.Module:
        """See `obliq.exporting.qdq`."""
        return rebuild_foreign(self.contents)

    def written(self, network: nn.Module) -> bytes:
        """See `obliq.exporting.qdq`."""
        return file_with_weights(self.data, self.contents, network)


def editable(data: bytes, contents: Contents) -> Editable:
    """What a file can be edited as.

    Args:
        data: its bytes.
        contents: what `admitted` read from them.

    Raises:
        ModelError: for a file of floats, and for one of ours that would not be written again as it is.
    """
    if not contents.own:
        return ForeignFile(data, contents)
    return OwnFile(graph_as_written(contents), None if is_program(data) else onnx_form(contents))


def changed_share(before: Contents, after: Contents) -> float | None:
    """The share of weight codes, 0 to 1, that differ between two files; None for files of floats.

    Raises:
        ModelError: when the files are not of one form.
    """
    names = weight_constants(before)
    shapes = [[one.constants[name].shape for name in weight_constants(one)] for one in (before, after)]
    if names != weight_constants(after) or shapes[0] != shapes[1]:
        raise ModelError("the files have other layers; expected two of one form")
    if not names:
        return None
    changed = sum(int((before.constants[name] != after.constants[name]).sum()) for name in names)
    return changed / int(np.sum([before.constants[name].size for name in names]))


def export_onnx(model: nn.Module, input_shape: Sequence[int], form: str = "integer") -> bytes:
    """The bytes of an ONNX file; the same network gives the same bytes.

    Args:
        model: quantized with the `deploy` preset and calibrated.
        input_shape: of one sample, channels first.
        form: `integer`, `compact` or `float`; see `to_onnx`.

    Raises:
        ModelError: naming the layer that cannot be exported, or when the extra `onnx` is missing.
    """
    written = to_onnx(graph_of(model, input_shape), form)
    contents_of(written)  # what our own reader would refuse is not shipped
    return written


def export_executorch(model: nn.Module, input_shape: Sequence[int]) -> bytes:
    """The bytes of an ExecuTorch program that runs in XNNPACK; it was read back and has answered like the interpreter.

    Args:
        model: quantized with the `deploy` preset and calibrated.
        input_shape: of one sample, channels first.

    Raises:
        ModelError: naming what cannot be exported, when the extra `executorch` is missing, or when the
            program holds other integers than the network or its answers for two random samples are off by
            more than a step on average.
    """
    graph = graph_of(model, input_shape)
    written = to_executorch(graph)
    if (path := first_difference(graph_in_program(written), held(graph))) is not None:
        raise ModelError(
            f"ExecuTorch has stored other numbers for {path}; expected those of the integer graph"
        )
    samples = np.random.default_rng(0).standard_normal((2, *input_shape)).astype(np.float32)
    _, found = probe(written, graph)(samples)
    last = graph.result.name
    apart = np.abs(found[last].reshape(2, -1) - interpreter.run(graph, samples)[last].reshape(2, -1)).mean()
    if apart > 1:
        raise ModelError(f"XNNPACK's answers are {apart:.3g} steps off; expected those of the integer graph")
    return written
