"""The nodes of another quantizer's file: their settings in one form, and the constants that some of them make."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from obliq.errors import ModelError
from obliq.exporting.onnx.contents import (
    METADATA,
    SCHEMA,
    Contents,
    OnnxNode,
    constants_in,
    contract_in,
    node_of,
    sample_shape,
)
from obliq.exporting.onnx.protobuf import first_text, packed_numbers, read_message, schema

KINDS = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64"}
_ATTRIBUTES = schema("""
    Tensor: 1 dims int*8, 2 kind int, 4 floats bytes, 5 numbers bytes, 8 name text, 9 raw bytes
    Attribute: 1 name text, 2 f float, 3 i int, 4 s bytes, 5 t Tensor, 8 ints int*16, 20 type int
""")
_SCHEMA = schema(
    """
    Note: 1 key text, 2 value bytes
    End: 4 notes Note*16
    Node: 1 inputs text*16, 2 outputs text*16, 5 attributes bytes*16, 7 domain text, 9 notes Note*16
    Graph: 1 nodes Node*20000, 2 name text, 5 constants Tensor*20000, 10 documentation bytes, 11 inputs End*2
    Graph: 12 outputs End*2, 13 declared End*20000, 16 notes Note*16
    Model: 3 producer_version text, 7 graph Graph, 8 operator_sets OperatorSet*16, 14 notes Note*16
    """,
    **{**SCHEMA, **_ATTRIBUTES},
)
"""What these files may have beyond ours: notes, documentation, declared values, other spellings of constants. The
settings of a node are left as bytes, since nothing is looked at in a node of an operator that is not read."""

MOST_TYPED = 2**20
"""Bytes of whole numbers in typed fields of one file; each takes a step of Python, and weights lie in raw bytes."""


def into_bytes(tensors: list[dict[str, Any]]) -> None:
    """Put values that lie in typed fields into raw bytes, in place, so that there is one form from here on.

    Raises:
        ModelError: for values in two fields or none, too many of them, and some that do not fit their type.
    """
    typed = sum(len(tensor["numbers"] or b"") for tensor in tensors)
    if typed > MOST_TYPED:
        raise ModelError(f"{typed} bytes of numbers in typed fields; expected at most {MOST_TYPED}")
    for tensor in tensors:
        _into_bytes(tensor)


def _into_bytes(tensor: dict[str, Any]) -> None:
    given = [field for field in ("raw", "floats", "numbers") if tensor[field] is not None]
    kind, name = KINDS.get(tensor["kind"]), tensor["name"]
    fits = {"floats": kind == "float32", "numbers": kind in ("uint8", "int8", "int32")}
    if len(given) != 1 or not fits.get(given[0], True):
        raise ModelError(
            f"constant {name!r} has values in {given or 'no field'}; expected one that fits its type"
        )
    if given == ["floats"]:
        tensor["raw"] = tensor["floats"]
    elif given == ["numbers"]:
        numbers = np.array(packed_numbers(tensor["numbers"], MOST_TYPED, f"constant {name!r}"), np.int64)
        limits = np.iinfo(str(kind))
        if numbers.size and not (limits.min <= numbers.min() and numbers.max() <= limits.max):
            raise ModelError(f"constant {name!r} has values beyond {kind}; expected some that fit")
        tensor["raw"] = memoryview(numbers.astype(np.dtype(str(kind)).newbyteorder("<")).tobytes())


MOST_IN_NODE = 16
"""Values of a constant that a node holds: bounds of a clamp, sizes of a shape."""

_USUAL: dict[str, object] = {
    **{"auto_pad": b"NOTSET", "alpha": 1.0, "beta": 1.0},
    **dict.fromkeys(("ceil_mode", "storage_order", "transA", "noop_with_empty_axes"), 0),
}
"""Settings that may stand there with the value that they have by default. They are left out of what is read."""


def node_constant(entry: dict[str, Any]) -> dict[str, Any]:
    """The constant that a node holds, under the node's own name for it.

    Raises:
        ModelError: when it is anything but a few values.
    """
    given = _attributes(entry)
    fits = len(given) == 1 and (given[0]["name"], given[0]["type"]) == ("value", 4)
    fits = fits and not entry["inputs"] and len(entry["outputs"]) == 1 and not entry["domain"]
    if (
        not fits
        or given[0]["t"] is None
        or math.prod(given[0]["t"]["dims"]) not in range(1, MOST_IN_NODE + 1)
    ):
        raise ModelError(
            f"Constant that makes {entry['outputs'][:1]}: expected one value of 1 to {MOST_IN_NODE} elements"
        )
    return {**given[0]["t"], "name": entry["outputs"][0]}


def _attributes(entry: dict[str, Any]) -> list[dict[str, Any]]:
    what = f"a setting of {(entry['operator'] or '')[:40]} that makes {entry['outputs'][:1]}"
    return [read_message(attribute, _ATTRIBUTES["Attribute"], what) for attribute in entry["attributes"]]


def computing_node(entry: dict[str, Any], operators: Collection[str]) -> OnnxNode:
    """A node of one of `operators`, whose settings are whole numbers once those of `_USUAL` are left out.

    Raises:
        ModelError: naming the node, what was found and what was expected.
    """
    operator, outputs = entry["operator"] or "", entry["outputs"]
    if operator not in operators:
        raise ModelError(
            f"operator {operator[:80]!r} that makes {outputs[:1]} is not read; expected {', '.join(operators)}"
        )
    if entry["domain"] not in (None, "", "ai.onnx"):
        raise ModelError(
            f"{operator} of domain {entry['domain']!r} makes {outputs[:3]}; expected the standard domain"
        )
    return node_of(entry, _attributes(entry), _USUAL)


PRODUCERS = {
    "onnx.quantize": "ONNX Runtime's quantizer",
    "pytorch": "torch.onnx, of a network quantized by torchao's PT2E",
}
"""Whose files are read, by the producer that a file names."""

OPSETS, FORMATS = range(13, 22), range(7, 11)
"""Operator sets, and versions of the file format."""

_KEYS = ("namespace", "onnx.infer", "onnx.quant.pre_process")
_PREFIXES = ("pkg.torch.", "pkg.onnxscript.")
_UNUSED_DOMAINS = (
    *("ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft"),
    *("com.microsoft.experimental", "com.microsoft.nchwc", "org.pytorch.aten"),
)
"""Listed by ONNX Runtime's preprocessing, whatever the graph uses; no node may be of them."""


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What was found in a file.

    Attributes:
        contents: its graph; nodes that hold constants are constants here.
        declared: names, types and sizes that it states of its values; None for a free size.
        node_constants: those that nodes hold; the quantizer leaves some behind that nothing reads any more.
    """

    contents: Contents
    declared: list[tuple[str, str, tuple[int | None, ...]]]
    node_constants: frozenset[str]


def is_foreign(data: bytes) -> bool:
    """Whether a file names another quantizer as its producer; that decides by which list it is read."""
    try:
        return first_text(memoryview(data), 2, "the model") in PRODUCERS
    except ModelError:
        return False


def foreign_parsed(data: bytes, operators: Collection[str]) -> Parsed:
    """The graph in a file's bytes; `obliq.exporting.qdq.check` checks whether it makes sense.

    Args:
        data: the file.
        operators: those that are read; of other nodes nothing but their names is looked at.

    Raises:
        ModelError: for anything that these quantizers do not write.
    """
    model = tree(memoryview(data))
    graph = model["graph"]
    opset = _opset(model["operator_sets"])
    if graph is None or model["ir_version"] not in FORMATS:
        raise ModelError(
            f"format version {model['ir_version']}; expected a graph, and {FORMATS[0]} to {FORMATS[-1]}"
        )
    ends = [*graph["inputs"], *graph["outputs"]]
    stated = [note for note in model["notes"] if note["key"] == METADATA]
    others = {"notes": [note for note in model["notes"] if note["key"] != METADATA]}
    if len(stated) > 1:
        raise ModelError(f"{len(stated)} notes called {METADATA!r}; expected one")
    _require_known_notes([others, graph, *graph["nodes"], *ends, *graph["declared"]])
    held = [node_constant(entry) for entry in graph["nodes"] if entry["operator"] == "Constant"]
    tensors = [*graph["constants"], *held]
    into_bytes(tensors)
    kinds, constants = constants_in(tensors, KINDS)
    names = [end["name"] for end in ends]
    if len(graph["inputs"]) != 1 or len(graph["outputs"]) != 1 or not all(names) or names[0] == names[1]:
        raise ModelError(f"ends called {names}; expected one input and one output")
    computing = [entry for entry in graph["nodes"] if entry["operator"] != "Constant"]
    contents = Contents(
        opset=opset,
        input_shape=sample_shape(*ends),
        constants=constants,
        kinds=kinds,
        ends=(names[0], names[1]),
        nodes=tuple(computing_node(entry, operators) for entry in computing),
        own=False,
        inputs=contract_in(stated[0]["value"]) if stated else None,  # of our file that was quantized
    )
    return Parsed(
        contents=contents,
        declared=[_declared(entry) for entry in (*ends, *graph["declared"])],
        node_constants=frozenset(tensor["name"] for tensor in held),
    )


def tree(data: memoryview) -> dict[str, Any]:
    """The messages of a file; raw values are views of `data`.

    Raises:
        ModelError: for anything that these quantizers do not write.
    """
    return read_message(data, _SCHEMA["Model"], "the model")


def _opset(sets: list[dict[str, Any]]) -> int:
    standard = [one["version"] for one in sets if one["domain"] in (None, "", "ai.onnx")]
    others = [one["domain"] for one in sets if one["domain"] not in (None, "", "ai.onnx", *_UNUSED_DOMAINS)]
    if len(standard) != 1 or standard[0] not in OPSETS or others:
        raise ModelError(
            f"operators of {[(one['domain'] or '', one['version']) for one in sets]}; expected the standard "
            f"domain, of a version from {OPSETS[0]} to {OPSETS[-1]}"
        )
    version: int = standard[0]
    return version


def _require_known_notes(places: list[dict[str, Any]]) -> None:
    """Notes are carried along unread; runtimes take options from some, so only their makers' may stand there."""
    for note in (note for place in places for note in place["notes"]):
        key = note["key"] or ""
        if key not in _KEYS and not key.startswith(_PREFIXES):
            raise ModelError(
                f"a note called {key!r}; expected those of ONNX Runtime's quantizer and torch.onnx"
            )


def _declared(end: dict[str, Any]) -> tuple[str, str, tuple[int | None, ...]]:
    tensor = (end["type"] or {}).get("tensor") or {}
    dimensions = (tensor.get("shape") or {}).get("dimensions") or []
    kind = KINDS.get(tensor.get("kind") or 0, "")
    return end["name"] or "", kind, tuple(dimension["size"] for dimension in dimensions)
