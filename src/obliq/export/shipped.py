"""An exported file as something to audit: its bytes, what is in them, and a runtime that answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from obliq.errors import ModelError
from obliq.export.accepting import contents_of
from obliq.export.admission import admitted
from obliq.export.contents import Contents, file_bytes
from obliq.export.graph import Convolution, Graph, Linear
from obliq.export.identity import content_digest, content_exported
from obliq.export.onnx_model import to_onnx
from obliq.export.reading import graph_in
from obliq.export.record import digest_of
from obliq.export.running import running
from obliq.export.stored import form_of, stored_weights
from obliq.export.walk import graph_of
from obliq.patch import digest_of as content_digest_of
from obliq.predictor import Predictor

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
        content_digest: SHA-256 of everything that it computes with; see `obliq.export.identity`.
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
        return form_of(self.contents) if self.contents.own else "qdq"

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
        form = form_of(self.contents)
        exported = content_exported(model, input_shape, form, program=self.is_program)
        return form if content_digest_of(exported) == self.content_digest else None

    def form_beside(self, model: nn.Module, input_shape: Sequence[int]) -> str | None:
        """The form in which a network with other values would be exported to a file like this one.

        Raises:
            ModelError: when the network cannot be exported.
        """
        form = form_of(self.contents)
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
        for step in graph.steps:
            if isinstance(step, Convolution | Linear):
                old = before[step.name]
                assert isinstance(old, Convolution | Linear)
                changed += int((old.weights.wide_codes() != step.weights.wide_codes()).sum())
                total += step.weights.codes.size
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
        digest = content_digest(contents)
        predictor = running(data, contents, runtime, threads=threads)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    return Shipped(
        name=file.name, data=data, file_digest=digest_of(data), content_digest=digest, contents=contents,
        predictor=predictor, is_program=program,
    )  # fmt: skip


def _outline(contents: Contents) -> object:
    """Everything but the values of constants."""
    constants = {name: (contents.kinds[name], values.shape) for name, values in contents.constants.items()}
    return contents.opset, contents.input_shape, contents.nodes, constants
