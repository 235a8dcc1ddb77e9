"""The integer content of an ONNX file: its initializers as labelled records, and back.

The graph around them is one more record without values, whose label holds a digest of every operator,
name and attribute: two files of different graphs are networks of different form.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from obliq.errors import ModelError, PatchError
from obliq.export.runtime import import_onnx
from obliq.patch import Content, Record

LARGEST_FILE = 2**31 - 1
"""A single protobuf cannot be larger."""

_CODES = {"INT8": 8, "INT4": 4, "INT2": 2}
_WORDS = {
    "UINT8": 1, "BOOL": 1, "INT16": 2, "UINT16": 2, "FLOAT16": 2, "BFLOAT16": 2, "INT32": 4, "UINT32": 4,
    "FLOAT": 4, "INT64": 8, "UINT64": 8, "DOUBLE": 8,
}  # fmt: skip


def onnx_content(data: bytes) -> Content:
    """The content of a single-file ONNX model whose initializers hold raw data, as exported ones do.

    Raises:
        ModelError: when the bytes are no such file, or the extra `onnx` is not installed.
    """
    model = _parsed(data)
    form = json.dumps(["onnx", hashlib.sha256(_described(model)).hexdigest()])
    records = [Record(form.encode() + b"\n", None, np.zeros(0, np.uint8))]
    return (*records, *(_record(tensor) for tensor in _initializers(model.graph)))


def with_content(data: bytes, content: Content) -> bytes:
    """The file with other values of its initializers; for exported files, the bytes of a new export.

    Raises:
        ModelError: as `onnx_content`.
        PatchError: when the content is of another form.
    """
    if [record.form for record in onnx_content(data)] != [record.form for record in content]:
        raise PatchError("the content is of another form; expected that of the file")
    model = _parsed(data)
    for tensor, record in zip(_initializers(model.graph), content[1:], strict=True):
        tensor.raw_data = record.stored()
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _parsed(data: bytes) -> Any:
    onnx = import_onnx()
    if len(data) > LARGEST_FILE:
        raise ModelError(f"{len(data)} bytes; expected at most {LARGEST_FILE}")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # the protobuf library's own, which is no dependency of ours
        raise ModelError("not readable as ONNX; expected a file made by the exporter") from error
    if not model.graph.node or model.functions or model.graph.sparse_initializer or model.training_info:
        raise ModelError(
            "no graph, or functions, sparse tensors or training steps; expected a file made by the exporter"
        )
    if any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
        raise ModelError("operators of another domain than ONNX itself; expected a file made by the exporter")
    return model


def _initializers(graph: Any) -> list[Any]:
    ordered = sorted(graph.initializer, key=lambda tensor: str(tensor.name))
    if len({tensor.name for tensor in ordered}) < len(ordered):
        raise ModelError("two initializers have one name; expected different ones")
    return ordered


def _record(tensor: Any) -> Record:
    onnx = import_onnx()
    kinds = {number: name for name, number in onnx.TensorProto.DataType.items()}
    name, kind = str(tensor.name)[:200], kinds.get(tensor.data_type, f"number {tensor.data_type}")
    if kind not in _CODES and kind not in _WORDS:
        raise ModelError(f"initializer {name!r} has type {kind}; expected {', '.join([*_CODES, *_WORDS])}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise ModelError(f"initializer {name!r} lies in another file; expected a single-file model")
    elements = math.prod(tensor.dims)
    width = _CODES.get(kind)
    size = elements * _WORDS[kind] if width is None else -(-elements * width // 8)
    if any(length < 0 for length in tensor.dims) or len(tensor.raw_data) != size:
        raise ModelError(
            f"initializer {name!r} has {len(tensor.raw_data)} bytes of raw data; expected {size} for shape "
            f"{tuple(tensor.dims)}"
        )
    label = json.dumps(["initializer", str(tensor.name), kind, *tensor.dims]).encode() + b"\n"
    return Record.from_stored(label, width is not None, width or _WORDS[kind], elements, tensor.raw_data)


def _described(model: Any) -> bytes:
    """Everything that the graph computes, but the values of its initializers, in a form of our own."""
    nodes = [
        [node.op_type, [*node.input], [*node.output], sorted(_settings(node))] for node in model.graph.node
    ]
    ends = [
        [[value.name, value.type.SerializeToString(deterministic=True).hex()] for value in values]
        for values in (model.graph.input, model.graph.output)
    ]
    operators = [[opset.domain, opset.version] for opset in model.opset_import]
    return json.dumps([operators, nodes, ends]).encode()


def _settings(node: Any) -> Iterator[list[str]]:
    onnx = import_onnx()
    for attribute in node.attribute:
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            raise ModelError(f"operator {node.op_type} holds a graph; expected a file made by the exporter")
        yield [attribute.name, attribute.SerializeToString(deterministic=True).hex()]
