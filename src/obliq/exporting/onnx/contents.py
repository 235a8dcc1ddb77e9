"""What an ONNX file of ours holds, and the part of the format that it may use.

The table is an allow-list: whatever is not in it, such as external data, functions, training
information, sparse tensors, sub-graphs or custom operator domains, has no number here and is refused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from obliq.errors import ModelError, ObliqError
from obliq.exporting.onnx.protobuf import Field, Table, read_message
from obliq.io.regular_file import read_regular_file
from obliq.quantization import packed_size, unpack

LARGEST_FILE = 2**29
"""Bytes; twelve times a ResNet-18 in FP32."""

_MOST_NODES, _MOST_CONSTANTS, _MOST_AXES = 20_000, 20_000, 8
_MOST_ELEMENTS = 2**31
INPUT, LOGITS = "input", "logits"
"""What goes into a file of ours, and what comes out."""

OPSETS = {13: 7, 17: 8, 21: 10, 25: 13}
"""The operator sets that are written, each with the version of the file format that goes with it."""

_DIMENSION: Table = {1: Field("size", "int"), 2: Field("symbol", "text")}
_SHAPE: Table = {1: Field("dimensions", _DIMENSION, _MOST_AXES)}
_TYPE: Table = {1: Field("tensor", {1: Field("kind", "int"), 2: Field("shape", _SHAPE)})}
END: Table = {1: Field("name", "text"), 2: Field("type", _TYPE)}
_ATTRIBUTE: Table = {
    1: Field("name", "text"), 3: Field("i", "int"), 8: Field("ints", "int", 16), 20: Field("type", "int"),
}  # fmt: skip
_NODE: Table = {
    1: Field("inputs", "text", 3), 2: Field("outputs", "text", 2), 3: Field("name", "text"),
    4: Field("operator", "text"), 5: Field("attributes", _ATTRIBUTE, 8),
}  # fmt: skip
_TENSOR: Table = {
    1: Field("dims", "int", _MOST_AXES), 2: Field("kind", "int"), 8: Field("name", "text"), 9: Field("raw", "bytes"),
}  # fmt: skip
_GRAPH: Table = {
    1: Field("nodes", _NODE, _MOST_NODES), 2: Field("name", "text"), 5: Field("constants", _TENSOR, _MOST_CONSTANTS),
    11: Field("inputs", END, 2), 12: Field("outputs", END, 2),
}  # fmt: skip
_OPERATOR_SET: Table = {1: Field("domain", "text"), 2: Field("version", "int")}
_MODEL: Table = {
    1: Field("ir_version", "int"), 2: Field("producer", "text"), 7: Field("graph", _GRAPH),
    8: Field("operator_sets", _OPERATOR_SET, 2),
}  # fmt: skip

_FLOAT, _INT, _INTS = 1, 2, 7
_KINDS = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 22: "int4", 26: "int2"}
_WIDTHS = {"float32": 32, "uint8": 8, "int8": 8, "int32": 32, "int64": 64, "int4": 4, "int2": 2}


@dataclass(frozen=True, kw_only=True)
class OnnxNode:
    """One operation.

    Attributes:
        operator: its ONNX name, in the standard domain.
        inputs: names of what it reads.
        output: name of what it makes.
        settings: attributes, each a whole number or several.
        layer: where in the network it stands; only in packed files, whose weights do not say it.
    """

    operator: str
    inputs: tuple[str, ...]
    output: str
    settings: dict[str, int | tuple[int, ...]]
    layer: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """A file's graph.

    Attributes:
        opset: version of the standard operators.
        input_shape: of one sample, channels first.
        nodes: in the order of computation.
        constants: by name; codes of 4 and 2 bits as int8.
        kinds: the stored type of each constant, for instance `int4`.
        ends: names of what goes in and what comes out.
        own: whether our exporter wrote it; otherwise see `obliq.exporting.qdq`.
    """

    opset: int
    input_shape: tuple[int, ...]
    nodes: tuple[OnnxNode, ...] = field(repr=False)
    constants: dict[str, ndarray] = field(repr=False)
    kinds: dict[str, str] = field(repr=False)
    ends: tuple[str, str] = (INPUT, LOGITS)
    own: bool = True


def parsed(data: bytes) -> Contents:
    """The graph in a file's bytes; whether it makes sense is for `obliq.exporting.onnx.check_operators` to say.

    Raises:
        ModelError: for anything that our exporter does not write.
    """
    model = read_message(memoryview(data), _MODEL, "the model")
    sets, graph = model["operator_sets"], model["graph"]
    if graph is None or len(sets) != 1 or sets[0]["domain"] or sets[0]["version"] not in OPSETS:
        raise ModelError(
            f"operators of {[(one['domain'] or '', one['version']) for one in sets]}; "
            f"expected a graph and the standard domain alone, of version {', '.join(map(str, OPSETS))}"
        )
    opset: int = sets[0]["version"]
    if model["ir_version"] != OPSETS[opset]:
        raise ModelError(f"format version {model['ir_version']}; expected {OPSETS[opset]}")
    kinds, constants = constants_in(graph["constants"], _KINDS)
    _require_our_ends(graph["inputs"], graph["outputs"])
    return Contents(
        opset=opset,
        input_shape=sample_shape(graph["inputs"][0], graph["outputs"][0]),
        nodes=tuple(_node(entry) for entry in graph["nodes"]),
        constants=constants,
        kinds=kinds,
    )


def file_bytes(file: Path) -> bytes:
    """A regular file that is no link and not too large.

    Raises:
        ModelError: naming it.
    """
    try:
        return read_regular_file(file, LARGEST_FILE)
    except ObliqError as error:
        raise ModelError(f"{file}: {error}") from error


def constants_in(
    tensors: list[dict[str, Any]], known: Mapping[int, str]
) -> tuple[dict[str, str], dict[str, ndarray]]:
    """The type and the values of each constant, by name.

    Args:
        tensors: as `read_message` gives them.
        known: names of the types that are read, by their number.

    Raises:
        ModelError: for a name that is missing or given twice, another type, and sizes that do not fit.
    """
    constants: dict[str, ndarray] = {}
    kinds: dict[str, str] = {}
    for tensor in tensors:
        name = tensor["name"] or ""
        if not name or name in constants:
            raise ModelError(f"two constants are called {name!r}; expected a name of its own for each")
        kind = known.get(tensor["kind"])
        if kind is None:
            raise ModelError(
                f"constant {name!r} is of type {tensor['kind']}; expected {', '.join(known.values())}"
            )
        kinds[name], constants[name] = kind, _values(name, kind, tensor)
    return kinds, constants


def _values(name: str, kind: str, tensor: dict[str, Any]) -> ndarray:
    """The values of a constant: its size is known to fit the bytes before any are looked at."""
    shape, raw = tuple(tensor["dims"]), tensor["raw"]
    if any(not 1 <= size <= _MOST_ELEMENTS for size in shape) or math.prod(shape) > _MOST_ELEMENTS:
        raise ModelError(
            f"constant {name!r} has shape {shape}; expected sizes from 1 to {_MOST_ELEMENTS} in all"
        )
    size = packed_size(math.prod(shape), _WIDTHS[kind])
    if raw is None or len(raw) != size:
        raise ModelError(f"constant {name!r} has {0 if raw is None else len(raw)} bytes; expected {size}")
    if _WIDTHS[kind] < 8:
        packed = torch.from_numpy(np.frombuffer(raw, np.uint8).copy())
        unpacked: ndarray = unpack(packed, _WIDTHS[kind], shape).numpy()
        return unpacked
    return np.frombuffer(raw, np.dtype(kind).newbyteorder("<")).reshape(shape)


def _node(entry: dict[str, Any]) -> OnnxNode:
    settings: dict[str, int | tuple[int, ...]] = {}
    operator = entry["operator"] or ""
    for attribute in entry["attributes"]:
        name, kind, one, several = (attribute[key] for key in ("name", "type", "i", "ints"))
        fits = {_INT: one is not None and not several, _INTS: one is None and bool(several)}.get(kind, False)
        if not name or name in settings or not fits:
            raise ModelError(
                f"{operator} has a setting {name!r} in another form; expected whole numbers, once"
            )
        settings[name] = one if kind == _INT else tuple(several)
    if len(entry["outputs"]) != 1 or "" in entry["outputs"] + entry["inputs"]:
        raise ModelError(
            f"{operator} makes {len(entry['outputs'])} values; expected one, and no name left empty"
        )
    layer = entry["name"]
    if layer == "":
        raise ModelError(f"{operator} has a name without a letter; expected the name of a layer, or none")
    return OnnxNode(
        operator=operator, inputs=tuple(entry["inputs"]), output=entry["outputs"][0], settings=settings,
        layer=layer or "",
    )  # fmt: skip


def _require_our_ends(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
    named = [[end["name"] for end in ends] for ends in (inputs, outputs)]
    if named != [[INPUT], [LOGITS]]:
        raise ModelError(f"from {named[0]} to {named[1]}; expected one {INPUT!r} and one {LOGITS!r}")


def sample_shape(first: dict[str, Any], last: dict[str, Any]) -> tuple[int, ...]:
    """The shape of one sample, from the declared input; the declared output must be a row for each.

    Raises:
        ModelError: when one of them is no float32 tensor with a free batch, or has sizes out of range.
    """
    sizes = []
    for end in (first, last):
        tensor = (end["type"] or {}).get("tensor") or {}
        dimensions = (tensor.get("shape") or {}).get("dimensions") or []
        if tensor.get("kind") != _FLOAT or not dimensions or dimensions[0]["symbol"] is None:
            raise ModelError(f"{end['name']} is no float32 tensor with a free batch; expected one")
        sizes.append([dimension["size"] for dimension in dimensions[1:]])
    shape = tuple(size or 0 for size in sizes[0])
    if len(sizes[1]) != 1 or not shape or any(not 1 <= size <= 2**24 for size in shape):
        raise ModelError(f"samples of shape {shape}; expected sizes from 1 to {2**24} and one axis of logits")
    return shape
