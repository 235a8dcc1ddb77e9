"""A file as something that can be trained and written again, whoever exported it."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from torch import nn

from obliq.errors import ModelError
from obliq.export import foreign, rebuilding
from obliq.export.contents import Contents
from obliq.export.executorch_program import to_executorch
from obliq.export.executorch_runtime import is_program
from obliq.export.file_content import graph_as_written
from obliq.export.graph import Graph
from obliq.export.onnx_model import to_onnx
from obliq.export.stored import form_of, weight_constants


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
        """See `obliq.export.rebuilding`."""
        return rebuilding.rebuilt(self.graph)

    def written(self, network: nn.Module) -> bytes:
        """See `obliq.export.rebuilding`."""
        graph = rebuilding.with_weights_of(self.graph, network)
        return to_executorch(graph) if self.form is None else to_onnx(graph, self.form)


@dataclass(frozen=True)
class ForeignFile:
    """A file of another quantizer, of which only the bytes of weights and biases are replaced."""

    data: bytes = field(repr=False)
    contents: Contents = field(repr=False)

    def network(self) -> nn.Module:
        """See `obliq.export.foreign`."""
        return foreign.rebuilt(self.contents)

    def written(self, network: nn.Module) -> bytes:
        """See `obliq.export.foreign`."""
        return foreign.with_weights_of(self.data, self.contents, network)


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
    return OwnFile(graph_as_written(contents), None if is_program(data) else form_of(contents))


def changed_codes(before: Contents, after: Contents) -> float | None:
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
