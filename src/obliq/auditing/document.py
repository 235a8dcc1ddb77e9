"""`audit.json`: an audit as text, and back. `docs/audit-format.md` describes every field."""

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from obliq.auditing.measurement import Audit
from obliq.auditing.metrics import metrics_in
from obliq.errors import AuditError

SCHEMA = "obliq.audit"
VERSION = 3
Value = TypeVar("Value")


def render_audit(audit: Audit) -> str:
    """The audit as JSON: fields in the order of the classes, without NaN, ending in a line feed."""
    content = {"schema": SCHEMA, "version": VERSION, **dataclasses.asdict(audit)}
    content["entries"] = [_flat(entry) for entry in content["entries"]]
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse_audit(text: str) -> Audit:
    """The audit that `write` wrote.

    Raises:
        AuditError: for text that is no audit, an unknown version, and missing, unknown or mistyped fields.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise AuditError(f"not an audit: {error}; expected the JSON of an audit.json") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise AuditError(f'not an audit; expected a JSON object with "schema": "{SCHEMA}"')
    version = content.get("version")
    if version != VERSION or isinstance(version, bool):
        raise AuditError(f"audit of version {version!r}; this Obliq reads version {VERSION}")
    fields = {key: content[key] for key in content if key not in ("schema", "version")}
    if isinstance(fields.get("entries"), list):
        fields["entries"] = [
            _nested(entry, f"audit.entries[{number}]") for number, entry in enumerate(fields["entries"])
        ]
    audit = _record(fields, Audit, "audit")
    _check(audit)
    return audit


def _flat(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as the file has it: metrics are fields like the others, at the place of `values`."""
    flat: dict[str, Any] = {}
    for name, value in entry.items():
        flat |= value if name == "values" else {name: value}
    return flat


def _nested(entry: Any, where: str) -> Any:
    """The reverse of `_flat`. Anything that is not an object is left for the decoder to refuse."""
    if not isinstance(entry, dict):
        return entry
    metrics = metrics_in("audit")
    names = {metric.name for metric in metrics}
    for metric in metrics:
        if metric.name not in entry:
            raise AuditError(
                f"{where} has no field {metric.name!r}; expected the fields of {SCHEMA} version {VERSION}"
            )
    rest = {name: value for name, value in entry.items() if name not in names}
    if "values" in rest:
        raise AuditError(
            f"{where} has the unknown field 'values'; expected the fields of {SCHEMA} version {VERSION}"
        )
    values = {
        metric.name: None
        if entry[metric.name] is None and not metric.required
        else _value(entry[metric.name], float, f"{where}.{metric.name}")
        for metric in metrics
    }
    return rest | {"values": values}


def _value(given: Any, wanted: Any, where: str) -> Any:
    """`given` as a value of the annotated type `wanted`; a text is never read as a number."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return _record(given, wanted, where)
    if origin in (Union, types.UnionType):
        inner = next(argument for argument in arguments if argument is not types.NoneType)
        return None if given is None else _value(given, inner, where)
    if origin is Literal:
        return (
            given if given in arguments else _refuse(given, f"one of {', '.join(map(str, arguments))}", where)
        )
    if origin is tuple:
        if not isinstance(given, list):
            _refuse(given, "a list", where)
        return tuple(_value(item, arguments[0], f"{where}[{number}]") for number, item in enumerate(given))
    if origin is Mapping:
        if not isinstance(given, dict):
            _refuse(given, "an object", where)
        return {key: _value(item, arguments[1], f"{where}.{key}") for key, item in given.items()}
    if wanted is float:
        usable = isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
        return float(given) if usable else _refuse(given, "a finite number", where)
    if isinstance(given, wanted) and not isinstance(given, bool):
        return given
    return _refuse(given, {int: "a whole number", str: "a text"}[wanted], where)


def _record(given: Any, wanted: type[Value], where: str) -> Value:
    if not isinstance(given, dict):
        _refuse(given, "an object", where)
    hints = get_type_hints(wanted)
    missing, unknown = sorted(set(hints) - set(given)), sorted(set(given) - set(hints))
    if missing or unknown:
        what = f"no field {missing[0]!r}" if missing else f"the unknown field {unknown[0]!r}"
        raise AuditError(f"{where} has {what}; expected the fields of {SCHEMA} version {VERSION}")
    return wanted(**{name: _value(given[name], hint, f"{where}.{name}") for name, hint in hints.items()})


def _check(audit: Audit) -> None:
    """What types cannot say: who comes in which order, and that histograms hold together."""
    kinds = [entry.kind for entry in audit.entries]
    if kinds[:1] != ["original"] or "original" in kinds[1:] or "retrained" in kinds[:-1]:
        raise AuditError(
            f"entries are {', '.join(kinds) or 'none'}; expected the original first and a retrained one last"
        )
    names = {entry.name for entry in audit.entries}
    for entry in audit.artifacts:
        assert entry.artifact is not None
        if entry.kind != "unlearned" or entry.artifact.network not in (names - {entry.name}) | {None}:
            raise AuditError(
                f"the file {entry.name!r} is {entry.kind} and of {entry.artifact.network!r}; expected one that "
                "unlearned, of a network beside it"
            )
    for entry in audit.entries:
        for histogram in (*entry.confidence.values(), *entry.entropy.values()):
            if len(histogram.edges) != len(histogram.shares) + 1:
                raise AuditError(
                    f"a histogram of {entry.name!r} has {len(histogram.edges)} edges for "
                    f"{len(histogram.shares)} shares; expected one more edge than shares"
                )


def _refuse(given: Any, expected: str, where: str) -> NoReturn:
    shown = json.dumps(given)
    raise AuditError(f"{where} is {shown if len(shown) <= 40 else shown[:37] + '...'}; expected {expected}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
