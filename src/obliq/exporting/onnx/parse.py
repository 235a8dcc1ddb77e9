"""The bytes of an ONNX file of ours as its contents, and the part of the format that it may use.

The table is an allow-list: whatever is not in it, such as external data, functions, training
information, sparse tensors, sub-graphs or custom operator domains, has no number here and is refused.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from obliq.data.input_contract import LONGEST, InputContract
from obliq.errors import ModelError, ObliqError
from obliq.exporting.onnx.contents import INPUT, LOGITS, OPSETS, STORED_BITS, Contents, OnnxNode, Setting
from obliq.exporting.onnx.protobuf import read_message, schema
from obliq.io.budget import Budget
from obliq.quantization import packed_size, unpack

_MOST_AXES = 8
_MOST_ELEMENTS = 2**31

METADATA = "inputs"
"""The key in the model's metadata that an `InputContract` has."""

SCHEMA = schema(f"""
    Dimension: 1 size int, 2 symbol text
    Shape: 1 dimensions Dimension*{_MOST_AXES}
    TensorType: 1 kind int, 2 shape Shape
    Type: 1 tensor TensorType
    End: 1 name text, 2 type Type
    Attribute: 1 name text, 3 i int, 8 ints int*16, 20 type int
    Node: 1 inputs text*256, 2 outputs text*2, 3 name text, 4 operator text, 5 attributes Attribute*8
    Tensor: 1 dims int*{_MOST_AXES}, 2 kind int, 8 name text, 9 raw bytes
    Graph: 1 nodes Node*20000, 2 name text, 5 constants Tensor*20000, 11 inputs End*2, 12 outputs End*2
    OperatorSet: 1 domain text, 2 version int
    Entry: 1 key text, 2 value bytes
    Model: 1 ir_version int, 2 producer text, 7 graph Graph, 8 operator_sets OperatorSet*2, 14 metadata Entry*2
""")
"""The fields that a file of ours may have, by ONNX's own numbers."""

_KINDS = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 22: "int4", 26: "int2"}


def parsed(data: bytes, budget: Budget) -> Contents:
    """The graph in a file's bytes; whether it makes sense is checked by `obliq.exporting.onnx.storage`.

    Raises:
        ModelError: for anything that our exporter does not write, and when it costs too much.
    """
    model = read_message(memoryview(data), SCHEMA["Model"], "the model", budget)
    sets, graph = model["operator_sets"], model["graph"]
    if graph is None or len(sets) != 1 or sets[0]["domain"] or sets[0]["version"] not in OPSETS:
        raise ModelError(
            f"operators of {[(one['domain'] or '', one['version']) for one in sets]}; "
            f"expected a graph and the standard domain alone, of version {', '.join(map(str, OPSETS))}"
        )
    opset: int = sets[0]["version"]
    if model["ir_version"] != OPSETS[opset]:
        raise ModelError(f"format version {model['ir_version']}; expected {OPSETS[opset]}")
    kinds, constants = constants_in(graph["constants"], _KINDS, budget)
    named = [[end["name"] for end in graph[ends]] for ends in ("inputs", "outputs")]
    if named != [[INPUT], [LOGITS]]:
        raise ModelError(f"from {named[0]} to {named[1]}; expected one {INPUT!r} and one {LOGITS!r}")
    return Contents(
        opset=opset,
        input_shape=sample_shape(graph["inputs"][0], graph["outputs"][0]),
        nodes=tuple(_node(entry) for entry in graph["nodes"]),
        constants=constants,
        kinds=kinds,
        inputs=_inputs(model["metadata"]),
    )


def _inputs(entries: list[dict[str, Any]]) -> InputContract | None:
    """The only metadata of our files."""
    if not entries:
        return None
    if len(entries) > 1 or entries[0]["key"] != METADATA:
        raise ModelError(f"metadata {[entry['key'] for entry in entries]}; expected {METADATA!r} alone")
    return contract_in(entries[0]["value"])


def contract_in(value: memoryview | None) -> InputContract:
    """How stored values become inputs, from the value of the metadata under `METADATA`.

    Raises:
        ModelError: for a text that our exporter does not write.
    """
    try:
        return InputContract.from_text(b"" if value is None else bytes(value[: LONGEST + 1]))
    except ObliqError as error:
        raise ModelError(f"metadata {METADATA!r}: {error}") from error


def constants_in(
    tensors: list[dict[str, Any]], known: Mapping[int, str], budget: Budget
) -> tuple[dict[str, str], dict[str, ndarray]]:
    """The type and the values of each constant, by name.

    Args:
        tensors: as `read_message` gives them.
        known: names of the types that are read, by their number.
        budget: of the file.

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
        kinds[name], constants[name] = kind, _values(name, kind, tensor, budget)
    return kinds, constants


def _values(name: str, kind: str, tensor: dict[str, Any], budget: Budget) -> ndarray:
    """The values of a constant: its size is known to fit the bytes before any are looked at."""
    shape, raw = tuple(tensor["dims"]), tensor["raw"]
    if any(not 1 <= size <= _MOST_ELEMENTS for size in shape) or math.prod(shape) > _MOST_ELEMENTS:
        raise ModelError(
            f"constant {name!r} has shape {shape}; expected sizes from 1 to {_MOST_ELEMENTS} in all"
        )
    size = packed_size(math.prod(shape), STORED_BITS[kind])
    if raw is None or len(raw) != size:
        raise ModelError(f"constant {name!r} has {0 if raw is None else len(raw)} bytes; expected {size}")
    if STORED_BITS[kind] < 8:
        budget.spend(f"constant {name!r}", memory=math.prod(shape), work=8 * math.prod(shape))
        packed = torch.from_numpy(np.frombuffer(raw, np.uint8).copy())
        unpacked: ndarray = unpack(packed, STORED_BITS[kind], shape).numpy()
        return unpacked
    return np.frombuffer(raw, np.dtype(kind).newbyteorder("<")).reshape(shape)


def _node(entry: dict[str, Any]) -> OnnxNode:
    layer = entry["name"]
    if layer == "":
        raise ModelError("a node has a name without a letter; expected the name of a layer, or none")
    return replace(node_of(entry, entry["attributes"]), layer=layer or "")


_IN_FIELDS = {1: "f", 2: "i", 3: "s", 7: "ints"}
"""The field that has the value of an attribute, by its type."""


def node_of(
    entry: dict[str, Any],
    attributes: list[dict[str, Any]],
    usual: Mapping[str, object] | None = None,
    other: Collection[str] = (),
) -> OnnxNode:
    """A node whose settings are whole numbers.

    Args:
        entry: as `read_message` gives it.
        attributes: its settings, in the same form.
        usual: settings that may have their default value, which are left out; None for a file of ours, in which no
            node leaves out an input.
        other: settings that may be a real number or a word.

    Raises:
        ModelError: naming the node, what was found and what was expected.
    """
    operator, outputs, own, usual = entry["operator"] or "", entry["outputs"], usual is None, usual or {}
    if len(outputs) != 1 or "" in outputs or (own and "" in entry["inputs"]):
        raise ModelError(
            f"{operator} makes {outputs[:3]} of {entry['inputs'][:3]}; expected one value, and no name left empty"
        )
    settings: dict[str, Setting] = {}
    names: set[str] = set()
    for attribute in attributes:
        name, kind = attribute["name"], _IN_FIELDS.get(attribute["type"], "")
        given = {key: attribute.get(key) for key in ("f", "i", "s", "t") if attribute.get(key) is not None}
        given |= {"ints": tuple(attribute["ints"])} if attribute["ints"] else {}
        if not name or name in names or list(given) != [kind]:
            raise ModelError(
                f"{operator} that makes {outputs[0]!r} has a setting {name!r} in another form; expected one value, once"
            )
        names.add(name)
        value: Any = given[kind]
        if name not in usual and (kind in ("i", "ints") or (kind == "f" and name in other)):
            settings[name] = value
        elif kind == "s" and name in other and name not in usual:
            settings[name] = bytes(value[:40]).decode("ascii", "replace")
        elif name not in usual or value != usual[name]:
            shown = bytes(value[:40]) if isinstance(value, memoryview) else value
            raise ModelError(
                f"{operator} that makes {outputs[0]!r} has {name} {str(shown)[:80]!r}; expected "
                f"{usual.get(name, 'none of this form')}"
            )
    return OnnxNode(operator=operator, inputs=tuple(entry["inputs"]), output=outputs[0], settings=settings)


def declared_type(end: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """The number of the element type that a value declares, and its dimensions."""
    tensor = (end["type"] or {}).get("tensor") or {}
    return tensor.get("kind") or 0, (tensor.get("shape") or {}).get("dimensions") or []


def sample_shape(first: dict[str, Any], last: dict[str, Any], batch: int | None = None) -> tuple[int, ...]:
    """The shape of one sample, from the declared input; the declared output must be a row for each.

    Args:
        first: the declared input.
        last: the declared output.
        batch: how many samples both state; None for a free batch.

    Raises:
        ModelError: when one of them is no float32 tensor with such a batch, or has sizes out of range.
    """
    sizes = []
    for end in (first, last):
        kind, dimensions = declared_type(end)
        fits = bool(dimensions) and (dimensions[0]["symbol"] is not None or dimensions[0]["size"] == batch)
        if kind != 1 or not fits:
            raise ModelError(f"{end['name']} is no float32 tensor with a free batch; expected one")
        sizes.append([dimension["size"] for dimension in dimensions[1:]])
    if None in sizes[0]:
        raise ModelError(
            f"{first['name']} takes samples of any size ({', '.join(str(size or 'free') for size in sizes[0])}); "
            "expected numbers, and only the batch free"
        )
    shape = tuple(size or 0 for size in sizes[0])
    if len(sizes[1]) != 1 or not shape or any(not 1 <= size <= 2**24 for size in shape):
        raise ModelError(f"samples of shape {shape}; expected sizes from 1 to {2**24} and one axis of logits")
    return shape
