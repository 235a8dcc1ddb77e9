"""The nodes of another quantizer's file: their settings in one form, and the constants that some of them make."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from obliq.errors import ModelError
from obliq.exporting.onnx.check_graph import Operator
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
    Tensor: 1 dims int*8, 2 kind int, 4 floats bytes, 5 numbers bytes, 7 longs bytes, 8 name text, 9 raw bytes
    Tensor: 12 documentation bytes, 13 external bytes*8, 14 location int
    Attribute: 1 name text, 2 f float, 3 i int, 4 s bytes, 5 t Tensor, 8 ints int*16, 13 documentation bytes, 20 type int
""")
_SCHEMA = schema(
    """
    Note: 1 key text, 2 value bytes
    Dimension: 3 meaning text
    End: 3 documentation bytes, 4 notes Note*16
    Node: 1 inputs text*64, 2 outputs text*64, 5 attributes bytes*16, 6 documentation bytes, 7 domain text, 9 notes Note*16
    Graph: 1 nodes Node*20000, 2 name text, 5 constants Tensor*20000, 10 documentation bytes, 11 inputs End*2
    Graph: 12 outputs End*2, 13 declared End*20000, 16 notes Note*16
    Model: 3 producer_version text, 4 domain text, 5 model_version int, 6 documentation bytes, 7 graph Graph
    Model: 8 operator_sets OperatorSet*16, 14 notes Note*16
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
    typed = sum(len(tensor[field] or b"") for tensor in tensors for field in ("numbers", "longs"))
    if typed > MOST_TYPED:
        raise ModelError(f"{typed} bytes of numbers in typed fields; expected at most {MOST_TYPED}")
    for tensor in tensors:
        _into_bytes(tensor)


def _into_bytes(tensor: dict[str, Any]) -> None:
    given = [field for field in ("raw", "floats", "numbers", "longs") if tensor[field] is not None]
    kind, name = KINDS.get(tensor["kind"]), tensor["name"]
    if tensor["external"] or tensor["location"]:
        raise ModelError(
            f"constant {name!r} lies in another file; expected one file (onnx.save with save_as_external_data=False)"
        )
    fits = {"floats": kind == "float32", "numbers": kind in ("uint8", "int8", "int32"), "longs": kind == "int64"}
    if len(given) != 1 or not fits.get(given[0], True):
        raise ModelError(
            f"constant {name!r} has values in {given or 'no field'}; expected one that fits its type"
        )
    if given == ["floats"]:
        tensor["raw"] = tensor["floats"]
    elif given != ["raw"]:
        numbers = np.array(packed_numbers(tensor[given[0]], MOST_TYPED, f"constant {name!r}"), np.int64)
        limits = np.iinfo(str(kind))
        if numbers.size and not (limits.min <= numbers.min() and numbers.max() <= limits.max):
            raise ModelError(f"constant {name!r} has values beyond {kind}; expected some that fit")
        tensor["raw"] = memoryview(numbers.astype(np.dtype(str(kind)).newbyteorder("<")).tobytes())


_USUAL: dict[str, object] = {
    **{"auto_pad": b"NOTSET", "alpha": 1.0, "beta": 1.0},
    **dict.fromkeys(("ceil_mode", "storage_order", "transA", "noop_with_empty_axes"), 0),
    **{"antialias": 0, "exclude_outside": 0, "cubic_coeff_a": -0.75, "extrapolation_value": 0.0},
    **{"keep_aspect_ratio_policy": b"stretch"},
}
"""Settings that may stand there with the value that they have by default. They are left out of what is read, unless an
operator has them."""


def node_constant(entry: dict[str, Any]) -> dict[str, Any]:
    """The constant that a node holds, under the node's own name for it.

    Raises:
        ModelError: when it is anything but one tensor or number.
    """
    given = _attributes(entry)
    fits = len(given) == 1 and not entry["inputs"] and len(entry["outputs"]) == 1
    if not fits or entry["domain"] not in (None, "", "ai.onnx"):
        raise ModelError(f"Constant that makes {entry['outputs'][:1]}: expected one value")
    name, kind, found = given[0]["name"], given[0]["type"], given[0]
    tensor = found["t"]
    if (name, kind) == ("value_int", 2) and found["i"] is not None:
        tensor = _held(7, (), np.array(found["i"], "<i8"))
    elif (name, kind) == ("value_ints", 7) and found["ints"]:
        tensor = _held(7, (len(found["ints"]),), np.array(found["ints"], "<i8"))
    elif (name, kind) == ("value_float", 1) and found["f"] is not None:
        tensor = _held(1, (), np.array(found["f"], "<f4"))
    elif (name, kind) != ("value", 4) or tensor is None:
        raise ModelError(f"Constant that makes {entry['outputs'][:1]} has {name!r}; expected one value")
    return {**tensor, "name": entry["outputs"][0]}


def _held(kind: int, shape: tuple[int, ...], values: np.ndarray) -> dict[str, Any]:
    """A tensor as the parser would give it."""
    empty = dict.fromkeys(("floats", "numbers", "longs", "location"))
    return {**empty, "external": [], "kind": kind, "dims": list(shape), "raw": memoryview(values.tobytes())}


def _attributes(entry: dict[str, Any]) -> list[dict[str, Any]]:
    what = f"a setting of {(entry['operator'] or '')[:40]} that makes {entry['outputs'][:1]}"
    return [read_message(attribute, _ATTRIBUTES["Attribute"], what) for attribute in entry["attributes"]]


def computing_nodes(entry: dict[str, Any], operators: Mapping[str, Operator]) -> list[OnnxNode]:
    """A node of one of `operators`; those of `_USUAL` among its settings are left out.

    A node of several results, as splits are, becomes one for each: `part` of `parts`.

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
    settings = operators[operator].settings
    usual = {name: value for name, value in _USUAL.items() if name not in settings}
    while entry["inputs"] and not entry["inputs"][-1]:
        entry["inputs"].pop()
    while operator == "Dropout" and len(outputs) > 1 and not outputs[-1]:
        outputs.pop()
    attributes = _attributes(entry)
    if any(one["name"] in ("part", "parts") for one in attributes):
        raise ModelError(f"{operator} that makes {outputs[:1]} has a setting 'part'; expected none of this name")
    made = [node_of({**entry, "outputs": [one]}, attributes, usual, settings) for one in outputs or [""]]
    if operator != "Split":
        return made if len(made) == 1 else [node_of(entry, attributes, usual, settings)]
    numbered = enumerate(made)
    return [replace(one, settings=one.settings | {"part": n, "parts": len(made)}) for n, one in numbered]


OURS = "obliq"
"""The producer that files of our exporter name; every other file is read by this list."""

OPSETS, FORMATS = range(13, 29), range(7, 15)
"""Operator sets and versions of the file format, up to the newest that ONNX Runtime 1.32 takes."""

_KEYS = ("namespace", "onnx.infer", "onnx.quant.pre_process")
_PREFIXES = ("pkg.torch.", "pkg.onnxscript.", "nncf", "onnx_utils.")
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
    """Whether a file names another producer than our exporter, or none; that decides by which list it is read."""
    try:
        return first_text(memoryview(data), 2, "the model") != OURS
    except ModelError:
        return False


def foreign_parsed(data: bytes, operators: Mapping[str, Operator]) -> Parsed:
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
    tensors = tensors_in(graph)
    held = tensors[len(graph["constants"]) :]
    into_bytes(tensors)
    kinds, constants = constants_in(tensors, KINDS)
    names = [end["name"] for end in ends]
    if len(graph["inputs"]) != 1 or len(graph["outputs"]) != 1 or not all(names) or names[0] == names[1]:
        raise ModelError(f"ends called {names}; expected one input and one output")
    computing = [entry for entry in graph["nodes"] if entry["operator"] != "Constant"]
    nodes = [node for entry in computing for node in computing_nodes(entry, operators)]
    read = {name for node in nodes for name in node.inputs} | {names[1]}
    batch = _batch(ends[0])
    contents = Contents(
        opset=opset,
        input_shape=sample_shape(ends[0], ends[1], batch),
        batch=batch,
        constants=constants,
        kinds=kinds,
        ends=(names[0], names[1]),
        nodes=tuple(node for node in nodes if node.operator != "Split" or node.output in read),
        own=False,
        inputs=contract_in(stated[0]["value"]) if stated else None,  # of our file that was quantized
    )
    return Parsed(
        contents=contents,
        declared=[_declared(entry) for entry in (*ends, *graph["declared"])],
        node_constants=frozenset(tensor["name"] for tensor in held),
    )


def tensors_in(graph: dict[str, Any]) -> list[dict[str, Any]]:
    """The constants of a graph, those that nodes hold included; see `tree`."""
    held = [node_constant(entry) for entry in graph["nodes"] if entry["operator"] == "Constant"]
    return [*graph["constants"], *held]


def _batch(end: dict[str, Any]) -> int | None:
    """1 for a file that takes one sample at a time, and None otherwise."""
    tensor = (end["type"] or {}).get("tensor") or {}
    dimensions = (tensor.get("shape") or {}).get("dimensions") or [{}]
    return 1 if dimensions[0].get("size") == 1 else None


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
