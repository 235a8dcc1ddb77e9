"""The content of an exported file as labelled records, and a file with another content.

Only what the strict readers (`obliq.export.admission`) let pass becomes content, whatever it is for: an audit, a
patch, or a comparison. A file that holds integers has the content of its network (`obliq.export.graph_content`),
whatever it is stored in. A file of floats, or of another quantizer, has that of its own graph and constants: the
graph is one record without values, whose label holds a digest of its operators, names and settings. Producer,
order of constants and the bytes that codes are packed in are the container's and part of neither.
"""

import hashlib
import json

import numpy as np

from obliq.errors import ModelError, PatchError
from obliq.export.accepting import contents_of
from obliq.export.admission import admitted
from obliq.export.contents import Contents
from obliq.export.executorch_program import to_executorch
from obliq.export.executorch_runtime import is_program
from obliq.export.graph import Graph
from obliq.export.graph_content import content_of_graph, graph_with, label_line
from obliq.export.onnx_model import to_onnx
from obliq.export.reading import graph_in
from obliq.export.runtime import import_onnx
from obliq.export.stored import form_of, widths
from obliq.patch import Content, Record, digest_of
from obliq.patch.content import require_form_of

STORED_LABELS = 2
"""Version of the labels of files without a network's integers."""

_CODES = {"int8": 8, "int4": 4, "int2": 2}


def content_in(contents: Contents) -> Content:
    """What was read from a file, as records; their digest tells networks apart.

    Raises:
        ModelError: for integers that are put together in another way than the exporter does it.
    """
    if contents.own and form_of(contents) != "float":
        return content_of_graph(graph_as_written(contents), widths(contents))
    return stored_content(contents)


def graph_as_written(contents: Contents) -> Graph:
    """The integer graph in a file of ours, which is all that is in it.

    Raises:
        ModelError: when a new export of the graph would hold anything else.
    """
    graph = graph_in(contents)
    again = contents_of(to_onnx(graph, form_of(contents)))
    if digest_of(stored_content(again)) != digest_of(stored_content(contents)):
        raise ModelError("it would not be written again as it is; expected a file of `obliq export`")
    return graph


def stored_content(contents: Contents) -> Content:
    """The graph of a file and its constants as they are stored, in the order of names."""
    label: list[str | int] = ["onnx", STORED_LABELS, hashlib.sha256(_described(contents)).hexdigest()]
    records = [Record(label_line(label), None, np.zeros(0, np.uint8))]
    for name, values in sorted(contents.constants.items()):
        kind = contents.kinds[name]
        flat, bits = np.ascontiguousarray(values).reshape(-1), _CODES.get(kind)
        words = flat if bits is not None else flat.view(f"<u{flat.itemsize}")
        records.append(Record(label_line(["constant", name, kind, *values.shape]), bits, words))
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
        if form_of(contents) == "float":
            written = _with_constants(data, contents, content)
        else:
            graph = graph_with(graph_as_written(contents), content)
            written = to_onnx(graph, form_of(contents))
            if is_program(data):
                contents_of(written)  # ExecuTorch has no error of its own for numbers that no network has
                written = to_executorch(graph)
        found = digest_of(file_content(written))
    except ModelError as error:
        raise PatchError(f"it leads to a file that would be refused: {error}") from error
    if found != digest_of(content):
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
