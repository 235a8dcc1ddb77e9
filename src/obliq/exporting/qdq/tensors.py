"""Constants in a file of another quantizer, stored or held by nodes, with their values in one form: raw bytes."""

from typing import Any

import numpy as np

from obliq.errors import ModelError
from obliq.exporting.onnx.protobuf import packed_numbers, read_message, schema

KINDS = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64"}
ATTRIBUTES = schema("""
    Tensor: 1 dims int*8, 2 kind int, 4 floats bytes, 5 numbers bytes, 7 longs bytes, 8 name text, 9 raw bytes
    Tensor: 12 documentation bytes, 13 external bytes*8, 14 location int
    Attribute: 1 name text, 2 f float, 3 i int, 4 s bytes, 5 t Tensor, 8 ints int*16, 13 documentation bytes
    Attribute: 20 type int
""")
"""A constant and a setting of a node, by ONNX's own numbers."""

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
    fits = {
        "floats": kind == "float32",
        "numbers": kind in ("uint8", "int8", "int32"),
        "longs": kind == "int64",
    }
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


def attributes_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of a node, read."""
    what = f"a setting of {(entry['operator'] or '')[:40]} that makes {entry['outputs'][:1]}"
    return [read_message(attribute, ATTRIBUTES["Attribute"], what) for attribute in entry["attributes"]]


def _node_constant(entry: dict[str, Any]) -> dict[str, Any]:
    """The constant that a node holds, under the node's own name for it.

    Raises:
        ModelError: when it is anything but one tensor or number.
    """
    given = attributes_of(entry)
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


def tensors_in(graph: dict[str, Any]) -> list[dict[str, Any]]:
    """The constants of a graph, those that nodes hold included; see `obliq.exporting.qdq.parse.tree`."""
    held = [_node_constant(entry) for entry in graph["nodes"] if entry["operator"] == "Constant"]
    return [*graph["constants"], *held]
