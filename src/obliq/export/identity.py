"""Which network a file holds, told by what it computes with and not by what it claims.

Exporting is deterministic, so a file belongs to a network exactly when exporting that network gives the
same content. A name or a digest in the file would be a claim that anyone could write, and that a patch of
the integers would leave behind unchanged.
"""

from collections.abc import Sequence

from torch import nn

from obliq.export.accepting import contents_of
from obliq.export.contents import Contents
from obliq.export.executorch_program import held
from obliq.export.file_content import content_in
from obliq.export.graph_content import content_of_graph
from obliq.export.onnx_model import to_onnx
from obliq.export.walk import graph_of
from obliq.patch import Content, digest_of


def content_digest(contents: Contents) -> str:
    """SHA-256 of everything that a file computes with, whatever it is stored in.

    That is: operations, names, settings, shapes, codes, scales and biases, not the container: the `integer` and the
    `compact` ONNX file of a network and its ExecuTorch program have one digest. (Where `held` must round a bias,
    the program computes otherwise and has another.) It is the digest that a patch to the file promises
    (`obliq.patch.digest_of`), so that an audit of a file, a patch to it and the device that holds it speak of one
    network by one number. A file of floats has a digest of its own, and so has the folder that files were exported
    from: it holds batch norm and unrounded biases.

    Raises:
        ModelError: for integers that are put together in another way than the exporter does it.
    """
    return digest_of(content_in(contents))


def content_exported(
    model: nn.Module, input_shape: Sequence[int], form: str, *, program: bool = False
) -> Content:
    """The content of the file that a network is exported to.

    Args:
        model: the network.
        input_shape: of one sample, channels first.
        form: see `to_onnx`.
        program: whether it is exported for ExecuTorch.

    Raises:
        ModelError: when the network cannot be exported, or the extra `onnx` is missing for a file of floats.
    """
    graph = graph_of(model, input_shape)
    if form == "float":
        return content_in(contents_of(to_onnx(graph, form)))
    return content_of_graph(held(graph) if program else graph)
