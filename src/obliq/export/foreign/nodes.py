"""The nodes of another quantizer's file: their settings in one form, and the constants that some of them make."""

import math
from collections.abc import Collection
from typing import Any

from obliq.errors import ModelError
from obliq.export.contents import Node
from obliq.export.foreign.tensors import TENSOR
from obliq.export.wire import Field, Table, read

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
    return [read(attribute, _ATTRIBUTE, what) for attribute in entry["attributes"]]


def computing_node(entry: dict[str, Any], operators: Collection[str]) -> Node:
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
    return Node(operator=operator, inputs=tuple(entry["inputs"]), output=outputs[0], settings=settings)
