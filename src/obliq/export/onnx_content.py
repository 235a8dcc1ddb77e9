"""The integer content of an ONNX file: its graph and its constants as labelled records, and back.

Only what the strict reader (`obliq.export.accepting`) lets pass becomes content, whatever it is for: an audit, a
patch, or a comparison. The graph is one record without values, whose label holds a digest of its operators,
names, settings and, in files with packed weights, the layers that nodes name: two files of different graphs are
networks of different form. Producer, order of constants and the bytes that codes are packed in are the container's
and not part of it. The type of a constant is part of its label, so the `integer` and the `compact` file of one
network are two contents where they differ in how weights are stored.
"""

import hashlib
import json

import numpy as np

from obliq.errors import ModelError, PatchError
from obliq.export.accepting import contents_of
from obliq.export.contents import Contents
from obliq.export.runtime import import_onnx
from obliq.patch import Content, Record, digest_of

LABELS = 2
"""Version of the labels, which the first of them holds: files labelled otherwise are of another form.

It rises when a file that could be read before would get other labels. Names of layers at nodes did not raise it:
files with such names were refused before, and all others have the labels that they had.
"""

_CODES = {"int8": 8, "int4": 4, "int2": 2}


def content_in(contents: Contents) -> Content:
    """What was read from a file, as records in the order of names; its digest tells networks apart."""
    label: list[str | int] = ["onnx", LABELS, hashlib.sha256(_described(contents)).hexdigest()]
    records = [Record(_line(label), None, np.zeros(0, np.uint8))]
    for name, values in sorted(contents.constants.items()):
        kind = contents.kinds[name]
        flat, bits = np.ascontiguousarray(values).reshape(-1), _CODES.get(kind)
        words = flat if bits is not None else flat.view(f"<u{flat.itemsize}")
        records.append(Record(_line(["constant", name, kind, *values.shape]), bits, words))
    return tuple(records)


def onnx_content(data: bytes) -> Content:
    """The content of a file's bytes.

    Raises:
        ModelError: when our exporter would not write such a file; see `contents_of`.
    """
    contents = contents_of(data)
    if not contents.own:
        raise ModelError("a file of another quantizer; expected one that our exporter wrote")
    return content_in(contents)


def with_content(data: bytes, content: Content) -> bytes:
    """The file with other values of its constants; for exported files, the bytes of a new export.

    What was written is read again as strictly as the file was, so that no patch makes a file that a runtime
    must not see.

    Raises:
        ModelError: as `onnx_content`, or when the extra `onnx` is missing.
        PatchError: when the content is of another form, or has values that no exported file has.
    """
    if [record.form for record in onnx_content(data)] != [record.form for record in content]:
        raise PatchError("the content is of another form; expected that of the file")
    model = import_onnx().load_model_from_string(data)
    tensors = sorted(model.graph.initializer, key=lambda tensor: str(tensor.name))
    for tensor, record in zip(tensors, content[1:], strict=True):
        tensor.raw_data = record.stored()
    written: bytes = model.SerializeToString(deterministic=True)
    try:
        found = digest_of(onnx_content(written))
    except ModelError as error:
        raise PatchError(f"it leads to a file that would be refused: {error}") from error
    if found != digest_of(content):
        raise PatchError("what was written reads as another network; nothing is kept")
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


def _line(label: list[str | int]) -> bytes:
    return json.dumps(label).encode() + b"\n"
