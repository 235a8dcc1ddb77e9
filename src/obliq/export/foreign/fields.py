"""What the files of other quantizers hold beyond ours, and the part of the format that they may use.

Names of nodes, declared shapes, notes of the tools that made the file, values in typed fields, other names for
input and output. Everything else is refused as in our own files: the parser and its limits are the same.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from obliq.errors import ModelError
from obliq.export.contents import END, Contents, constants_in, sample_shape
from obliq.export.foreign.nodes import computing_node, made_constant
from obliq.export.foreign.tensors import KINDS, TENSOR, into_bytes
from obliq.export.wire import Field, Table, first_text, read

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
    """The graph in a file's bytes; whether it makes sense is for `obliq.export.foreign.rules` to say.

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
    return read(data, _MODEL, "the model")


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
