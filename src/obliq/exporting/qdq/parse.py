"""The nodes of another quantizer's file: their settings in one form, and the constants that some of them make."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from obliq.errors import ModelError
from obliq.exporting.onnx.contents import END, Contents, OnnxNode, constants_in, sample_shape
from obliq.exporting.onnx.protobuf import Field, Table, first_text, packed_numbers, read_message

KINDS = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64"}
TENSOR: Table = {
    1: Field("dims", "int", 8), 2: Field("kind", "int"), 4: Field("floats", "bytes"), 5: Field("numbers", "bytes"),
    8: Field("name", "text"), 9: Field("raw", "bytes"),
}  # fmt: skip
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


MOST_MADE = 16
"""Values of a constant that a node makes: bounds of a clamp, sizes of a shape."""

_ATTRIBUTE: Table = {
    1: Field("name", "text"), 2: Field("f", "float"), 3: Field("i", "int"), 4: Field("s", "bytes"),
    5: Field("t", TENSOR), 8: Field("ints", "int", 16), 20: Field("type", "int"),
}  # fmt: skip
_FLOAT, _INT, _TEXT, _TENSOR, _INTS = 1, 2, 3, 4, 7
_USUAL: dict[str, object] = {
    "auto_pad": b"NOTSET", "alpha": 1.0, "beta": 1.0, "ceil_mode": 0, "storage_order": 0, "transA": 0,
    "noop_with_empty_axes": 0,
}  # fmt: skip
"""Settings that may say what holds without them, and nothing else; they are left out of what is read."""


def made_constant(entry: dict[str, Any]) -> dict[str, Any]:
    """The constant that a node makes, under the node's own name for it.

    Raises:
        ModelError: when it is made of anything but a few values.
    """
    given = _attributes(entry)
    fits = len(given) == 1 and (given[0]["name"], given[0]["type"]) == ("value", _TENSOR)
    fits = fits and not entry["inputs"] and len(entry["outputs"]) == 1 and not entry["domain"]
    if not fits or given[0]["t"] is None or math.prod(given[0]["t"]["dims"]) not in range(1, MOST_MADE + 1):
        raise ModelError(
            f"Constant that makes {entry['outputs'][:1]}: expected one value of 1 to {MOST_MADE} elements"
        )
    return {**given[0]["t"], "name": entry["outputs"][0]}


def _attributes(entry: dict[str, Any]) -> list[dict[str, Any]]:
    what = f"a setting of {(entry['operator'] or '')[:40]} that makes {entry['outputs'][:1]}"
    return [read_message(attribute, _ATTRIBUTE, what) for attribute in entry["attributes"]]


def computing_node(entry: dict[str, Any], operators: Collection[str]) -> OnnxNode:
    """A node of one of `operators`, whose settings are whole numbers once those that say the usual are left out.

    Raises:
        ModelError: naming the node, what was found and what was expected.
    """
    operator, outputs = entry["operator"] or "", entry["outputs"]
    if operator not in operators:
        raise ModelError(
            f"operator {operator[:80]!r} that makes {outputs[:1]} is not read; expected {', '.join(operators)}"
        )
    if len(outputs) != 1 or "" in outputs + entry["inputs"] or entry["domain"] not in (None, "", "ai.onnx"):
        raise ModelError(
            f"{operator} of domain {entry['domain'] or ''!r} makes {outputs[:3]} of {entry['inputs'][:3]}; "
            "expected one value, no name left empty, and the standard domain"
        )
    settings: dict[str, int | tuple[int, ...]] = {}
    names: set[str] = set()
    for attribute in _attributes(entry):
        name, kind = attribute["name"], attribute["type"]
        given = {key: attribute[key] for key in ("f", "i", "s", "t") if attribute[key] is not None}
        given |= {"ints": tuple(attribute["ints"])} if attribute["ints"] else {}
        wanted = {_FLOAT: "f", _INT: "i", _TEXT: "s", _INTS: "ints"}.get(kind)
        if not name or name in names or list(given) != [wanted]:
            raise ModelError(f"{operator} that makes {outputs[0]!r} has a setting {name!r} in another form")
        names.add(name)
        value = given[str(wanted)]
        if name not in _USUAL and kind in (_INT, _INTS):
            settings[name] = value
        elif name not in _USUAL or value != _USUAL[name]:
            shown = bytes(value[:40]) if isinstance(value, memoryview) else value
            raise ModelError(
                f"{operator} that makes {outputs[0]!r} has {name} {str(shown)[:80]!r}; expected "
                f"{_USUAL.get(name, 'none of this form')}"
            )
    return OnnxNode(operator=operator, inputs=tuple(entry["inputs"]), output=outputs[0], settings=settings)


PRODUCERS = {
    "onnx.quantize": "ONNX Runtime's quantizer",
    "pytorch": "torch.onnx, of a network quantized by torchao's PT2E",
}
"""Whose files are read, by the producer that a file names."""

OPSETS, FORMATS = range(13, 22), range(7, 11)
"""Operator sets, and versions of the file format."""

_MOST_NODES = _MOST_CONSTANTS = 20_000
_NOTES = 16
_KEYS = ("namespace", "onnx.infer", "onnx.quant.pre_process")
_PREFIXES = ("pkg.torch.", "pkg.onnxscript.")
_UNUSED_DOMAINS = (
    *("ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft"),
    *("com.microsoft.experimental", "com.microsoft.nchwc", "org.pytorch.aten"),
)
"""Listed by ONNX Runtime's preprocessing, whatever the graph uses; no node may be of them."""

_NOTE: Table = {1: Field("key", "text"), 2: Field("value", "bytes")}
_NOTED_END: Table = {**END, 4: Field("notes", _NOTE, _NOTES)}
_NODE: Table = {
    1: Field("inputs", "text", 16), 2: Field("outputs", "text", 16), 3: Field("name", "text"),
    4: Field("operator", "text"), 5: Field("attributes", "bytes", 16), 7: Field("domain", "text"),
    9: Field("notes", _NOTE, _NOTES),
}  # fmt: skip
_GRAPH: Table = {
    1: Field("nodes", _NODE, _MOST_NODES), 2: Field("name", "text"), 5: Field("constants", TENSOR, _MOST_CONSTANTS),
    10: Field("documentation", "bytes"), 11: Field("inputs", _NOTED_END, 2), 12: Field("outputs", _NOTED_END, 2),
    13: Field("declared", _NOTED_END, _MOST_NODES), 16: Field("notes", _NOTE, _NOTES),
}  # fmt: skip
_MODEL: Table = {
    1: Field("ir_version", "int"), 2: Field("producer", "text"), 3: Field("producer_version", "text"),
    7: Field("graph", _GRAPH), 8: Field("operator_sets", {1: Field("domain", "text"), 2: Field("version", "int")}, 16),
    14: Field("notes", _NOTE, _NOTES),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What was found in a file.

    Attributes:
        contents: its graph; nodes that make constants are constants here.
        declared: names, types and sizes that it states of its values; None for a free size.
        made: constants that nodes make; the quantizer leaves some behind that nothing reads any more.
    """

    contents: Contents
    declared: list[tuple[str, str, tuple[int | None, ...]]]
    made: frozenset[str]


def is_foreign(data: bytes) -> bool:
    """Whether a file says that another quantizer made it; the file's own word decides by which list it is read."""
    try:
        return first_text(memoryview(data), 2, "the model") in PRODUCERS
    except ModelError:
        return False


def foreign_parsed(data: bytes, operators: Collection[str]) -> Parsed:
    """The graph in a file's bytes; whether it makes sense is for `obliq.exporting.qdq.check` to say.

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
    _require_known_notes([model, graph, *graph["nodes"], *ends, *graph["declared"]])
    made = [made_constant(entry) for entry in graph["nodes"] if entry["operator"] == "Constant"]
    tensors = [*graph["constants"], *made]
    into_bytes(tensors)
    kinds, constants = constants_in(tensors, KINDS)
    names = [end["name"] for end in ends]
    if len(graph["inputs"]) != 1 or len(graph["outputs"]) != 1 or not all(names) or names[0] == names[1]:
        raise ModelError(f"ends called {names}; expected one input and one output")
    computing = [entry for entry in graph["nodes"] if entry["operator"] != "Constant"]
    contents = Contents(
        opset=opset, input_shape=sample_shape(*ends), constants=constants, kinds=kinds, ends=(names[0], names[1]),
        nodes=tuple(computing_node(entry, operators) for entry in computing), own=False,
    )  # fmt: skip
    return Parsed(
        contents=contents, declared=[_declared(entry) for entry in (*ends, *graph["declared"])],
        made=frozenset(tensor["name"] for tensor in made),
    )  # fmt: skip


def tree(data: memoryview) -> dict[str, Any]:
    """The messages of a file; raw values are views of `data`.

    Raises:
        ModelError: for anything that these quantizers do not write.
    """
    return read_message(data, _MODEL, "the model")


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
