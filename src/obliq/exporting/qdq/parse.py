"""The nodes of another quantizer's file: their settings in one form, and the constants that some of them make."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from obliq.errors import ModelError
from obliq.exporting.onnx.check_graph import Operator
from obliq.exporting.onnx.contents import Contents, OnnxNode
from obliq.exporting.onnx.parse import (
    METADATA,
    SCHEMA,
    constants_in,
    contract_in,
    declared_type,
    node_of,
    sample_shape,
)
from obliq.exporting.onnx.protobuf import first_text, read_message, schema
from obliq.exporting.onnx.reader import read_onnx
from obliq.exporting.qdq.tensors import ATTRIBUTES, KINDS, attributes_of, into_bytes, tensors_in
from obliq.io.budget import Budget

_SCHEMA = schema(
    """
    Note: 1 key text, 2 value bytes
    Dimension: 3 meaning text
    End: 3 documentation bytes, 4 notes Note*16
    Node: 1 inputs text*64, 2 outputs text*64, 5 attributes bytes*16, 6 documentation bytes, 7 domain text
    Node: 9 notes Note*16
    Graph: 1 nodes Node*20000, 2 name text, 5 constants Tensor*20000, 10 documentation bytes, 11 inputs End*2
    Graph: 12 outputs End*2, 13 declared End*20000, 16 notes Note*16
    Model: 3 producer_version text, 4 domain text, 5 model_version int, 6 documentation bytes, 7 graph Graph
    Model: 8 operator_sets OperatorSet*16, 14 notes Note*64
    """,
    **{**SCHEMA, **ATTRIBUTES},
)
"""What these files may have beyond ours: notes, documentation, declared values, other spellings of constants. The
settings of a node are left as bytes, since nothing is looked at in a node of an operator that is not read."""

_USUAL: dict[str, object] = {
    **{"auto_pad": b"NOTSET", "alpha": 1.0, "beta": 1.0},
    **dict.fromkeys(("ceil_mode", "storage_order", "transA", "noop_with_empty_axes"), 0),
    **{"antialias": 0, "exclude_outside": 0, "cubic_coeff_a": -0.75, "extrapolation_value": 0.0},
    **{"keep_aspect_ratio_policy": b"stretch"},
}
"""Settings that may stand there with the value that they have by default. They are left out of what is read, unless an
operator has them."""


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
    attributes = attributes_of(entry)
    if any(one["name"] in ("part", "parts") for one in attributes):
        raise ModelError(
            f"{operator} that makes {outputs[:1]} has a setting 'part'; expected none of this name"
        )
    made = [node_of({**entry, "outputs": [one]}, attributes, usual, settings) for one in outputs or [""]]
    if operator != "Split":
        return made if len(made) == 1 else [node_of(entry, attributes, usual, settings)]
    numbered = enumerate(made)
    return [replace(one, settings=one.settings | {"part": n, "parts": len(made)}) for n, one in numbered]


OURS = "obliq"
"""The producer that files of our exporter name."""

OPSETS, FORMATS = range(13, 28), range(7, 15)
"""Operator sets and versions of the file format, up to the newest whose rounding ONNX Runtime 1.32 computes."""

_KEYS = ("namespace", "onnx.infer", "onnx.quant.pre_process")
_PREFIXES = ("pkg.torch.", "pkg.onnxscript.")
_OF_RUNTIMES = ("ort", "session", "ep.")
"""Beginnings of the notes that runtimes may take options from."""

_UNUSED_DOMAINS = (
    *("ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft"),
    *("com.microsoft.experimental", "com.microsoft.nchwc", "org.pytorch.aten"),
)
"""Listed by ONNX Runtime's preprocessing, whatever the graph uses; no node may be of them."""


Declared = tuple[str, str, tuple[int | None, ...]]
"""The name, the type and the sizes that a file states of a value; None for a free size."""


def is_foreign(data: bytes) -> bool:
    """Whether a file is read by the list of other quantizers.

    It names another producer than our exporter, or none. A file that states our description of inputs, and that our own
    reader takes, is ours all the same: a tool has saved it again under its own name.
    """
    try:
        if first_text(memoryview(data), 2, "the model") == OURS:
            return False
    except ModelError:
        return False
    try:
        return _CONTRACT not in data or not read_onnx(data)
    except ModelError:
        return True


_CONTRACT = b'"divide_by":'
"""A part of the description of inputs, which all our files with known inputs hold."""


def foreign_parsed(
    data: bytes, operators: Mapping[str, Operator], budget: Budget
) -> tuple[Contents, list[Declared], frozenset[str]]:
    """The graph in a file's bytes; `obliq.exporting.qdq.check` checks whether it makes sense.

    Args:
        data: the file.
        operators: those that are read; of other nodes nothing but their names is looked at.
        budget: of the file.

    Returns:
        The graph, in which nodes that hold constants are constants; what the file declares of its values; and the
        constants of nodes, of which the quantizer leaves some behind that nothing reads any more.

    Raises:
        ModelError: for anything that these quantizers do not write.
    """
    model = tree(memoryview(data), budget)
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
    _require_known_notes(others, [graph, *graph["nodes"], *ends, *graph["declared"]])
    tensors = tensors_in(graph)
    held = tensors[len(graph["constants"]) :]
    into_bytes(tensors)
    kinds, constants = constants_in(tensors, KINDS, budget)
    names = [end["name"] for end in ends]
    if len(graph["inputs"]) != 1 or len(graph["outputs"]) != 1 or not all(names) or names[0] == names[1]:
        raise ModelError(f"ends called {names}; expected one input and one output")
    computing = [entry for entry in graph["nodes"] if entry["operator"] != "Constant"]
    nodes = [node for entry in computing for node in computing_nodes(entry, operators)]
    read = {name for node in nodes for name in node.inputs} | {names[1]}
    _, dimensions = declared_type(ends[0])
    batch = 1 if dimensions and dimensions[0]["size"] == 1 else None  # it takes one sample at a time
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
    declared = [_declared(entry) for entry in (*ends, *graph["declared"])]
    return contents, declared, frozenset(tensor["name"] for tensor in held)


def tree(data: memoryview, budget: Budget) -> dict[str, Any]:
    """The messages of a file; raw values are views of `data`.

    Raises:
        ModelError: for anything that these quantizers do not write.
    """
    return read_message(data, _SCHEMA["Model"], "the model", budget)


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


def _require_known_notes(model: dict[str, Any], places: list[dict[str, Any]]) -> None:
    """Notes are carried along unread. Runtimes take options from some, so those of nodes are their makers' alone."""
    for note in model["notes"]:
        if (note["key"] or "ort").lower().startswith(_OF_RUNTIMES):
            raise ModelError(
                f"a note called {note['key']!r} of the model; expected none that a runtime may read"
            )
    for note in (note for place in places for note in place["notes"]):
        key = note["key"] or ""
        if key not in _KEYS and not key.startswith(_PREFIXES):
            raise ModelError(
                f"a note called {key!r}; expected those of ONNX Runtime's quantizer and torch.onnx"
            )


def _declared(end: dict[str, Any]) -> Declared:
    kind, dimensions = declared_type(end)
    return end["name"] or "", KINDS.get(kind, ""), tuple(dimension["size"] for dimension in dimensions)
