"""Which network a file holds, told by what it computes with and not by what it claims.

Exporting is deterministic, so a file belongs to a network exactly when exporting that network gives the
same content. A name or a digest in the file would be a claim that anyone could write, and that a patch of
the integers would leave behind unchanged.
"""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from torch import nn

from obliq.errors import ModelError, PatchError
from obliq.exporting.content import content_of_graph, graph_with, label_line
from obliq.exporting.executorch.reader import contents_of_program
from obliq.exporting.executorch.writer import held, to_executorch
from obliq.exporting.from_network import graph_of
from obliq.exporting.graph import Graph
from obliq.exporting.onnx.contents import Contents
from obliq.exporting.onnx.reader import contents_of, graph_in, onnx_form, widths
from obliq.exporting.onnx.writer import to_onnx
from obliq.exporting.optional import import_onnx, is_program
from obliq.patch import Content, TensorRecord, content_digest
from obliq.patch.content import require_form_of


def admitted(data: bytes, *, program: bool | None = None) -> Contents:
    """What a file computes with, once nothing in it is left that a runtime must not see.

    Args:
        data: the file's bytes.
        program: whether it is meant for ExecuTorch; by default its bytes say so themselves.

    Raises:
        ModelError: when it is neither what `contents_of` nor, for a program, `contents_of_program` accepts.
    """
    read = contents_of_program if (is_program(data) if program is None else program) else contents_of
    return read(data)


STORED_LABELS = 2
"""Version of the labels of files without a network's integers."""

_CODES = {"int8": 8, "int4": 4, "int2": 2}


def content_in(contents: Contents) -> Content:
    """What was read from a file, as records; their digest tells networks apart.

    Raises:
        ModelError: for integers that are put together in another way than the exporter does it.
    """
    if contents.own and onnx_form(contents) != "float":
        return content_of_graph(graph_as_written(contents), widths(contents))
    return stored_content(contents)


def graph_as_written(contents: Contents) -> Graph:
    """The integer graph in a file of ours, which is all that is in it.

    Raises:
        ModelError: when a new export of the graph would hold anything else.
    """
    graph = graph_in(contents)
    again = contents_of(to_onnx(graph, onnx_form(contents)))
    if content_digest(stored_content(again)) != content_digest(stored_content(contents)):
        raise ModelError("it would not be written again as it is; expected a file of `obliq export`")
    return graph


def stored_content(contents: Contents) -> Content:
    """The graph of a file and its constants as they are stored, in the order of names."""
    label: list[str | int] = ["onnx", STORED_LABELS, hashlib.sha256(_described(contents)).hexdigest()]
    records = [TensorRecord(label_line(label), None, np.zeros(0, np.uint8))]
    for name, values in sorted(contents.constants.items()):
        kind = contents.kinds[name]
        flat, bits = np.ascontiguousarray(values).reshape(-1), _CODES.get(kind)
        words = flat if bits is not None else flat.view(f"<u{flat.itemsize}")
        records.append(TensorRecord(label_line(["constant", name, kind, *values.shape]), bits, words))
    return tuple(records)


def file_content(data: bytes) -> Content:
    """The content of a file's bytes, an ONNX file or an ExecuTorch program.

    Raises:
        ModelError: when our exporter would not write such a file; see `admitted`.
    """
    return content_in(_own(data))


def with_content(data: bytes, content: Content) -> bytes:
    """A file of the same kind and form as another, with this content: the bytes of a new export.

    What was written is read again as strictly as the file was, so that no patch makes a file that a runtime
    must not see.

    Raises:
        ModelError: as `file_content`, or when an extra is missing.
        PatchError: when the content is of another form, or has values that no exported file has.
    """
    contents = _own(data)
    try:
        if onnx_form(contents) == "float":
            written = _with_constants(data, contents, content)
        else:
            graph = graph_with(graph_as_written(contents), content)
            written = to_onnx(graph, onnx_form(contents))
            if is_program(data):
                contents_of(written)  # ExecuTorch has no error of its own for numbers that no network has
                written = to_executorch(graph)
        found = content_digest(file_content(written))
    except ModelError as error:
        raise PatchError(f"it leads to a file that would be refused: {error}") from error
    if found != content_digest(content):
        raise PatchError("what was written reads as another network; nothing is kept")
    return written


def _own(data: bytes) -> Contents:
    contents = admitted(data)
    if not contents.own:
        raise ModelError("a file of another quantizer; expected one that our exporter wrote")
    return contents


def _with_constants(data: bytes, contents: Contents, content: Content) -> bytes:
    require_form_of(stored_content(contents), content, "the file")
    model = import_onnx().load_model_from_string(data)
    tensors = sorted(model.graph.initializer, key=lambda tensor: str(tensor.name))
    for tensor, record in zip(tensors, content[1:], strict=True):
        tensor.raw_data = record.stored()
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _described(contents: Contents) -> bytes:
    """Everything that the graph computes, but the values of its constants, in a form of our own."""
    nodes = [
        [
            node.operator,
            node.inputs,
            node.output,
            sorted(node.settings.items()),
            *([node.layer] * bool(node.layer)),
        ]
        for node in contents.nodes
    ]
    return json.dumps([contents.opset, contents.input_shape, nodes]).encode()


def file_content_digest(contents: Contents) -> str:
    """SHA-256 of everything that a file computes with, whatever it is stored in.

    That is: operations, names, settings, shapes, codes, scales and biases, not the container: the `integer` and the
    `compact` ONNX file of a network and its ExecuTorch program have one digest. (Where `held` must round a bias,
    the program computes otherwise and has another.) It is the digest that a patch to the file promises
    (`obliq.patch.content_digest`), so that an audit of a file, a patch to it and the device that holds it speak of one
    network by one number. A file of floats has a digest of its own, and so has the folder that files were exported
    from: it holds batch norm and unrounded biases.

    Raises:
        ModelError: for integers that are put together in another way than the exporter does it.
    """
    return content_digest(content_in(contents))


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
