"""JSON text as frozen dataclasses and back, strictly: what a file holds is what the dataclass declares, or is refused.

The decoder is our own because msgspec 0.22, cattrs 26.2 and pydantic 2.14 all accept duplicate names and integers of
any size, msgspec also ignores unknown fields of dataclasses, and cattrs turns "3" into 3. Pydantic comes closest, but
takes 10 MB, reports errors in several lines, and would need these checks in front of it and a decorator on every class.
"""

import dataclasses
import functools
import json
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from obliq.errors import ObliqError

SettingValue = bool | int | float | str | None | tuple[bool | int | float | str | None, ...]
"""What a field of a method or of a recipe may hold."""

Value = TypeVar("Value")

OMITTED_BY_DEFAULT: Mapping[str, bool] = {"omitted by default": True}
"""Metadata of a dataclass field that a file leaves out while it has its default value.

A field that is added later gets it, so that older files can be read, equal values keep their text, and digests of that
text do not change.
"""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape that may stand for half a character, which UTF-8 cannot carry."""


def encode(value: object) -> Any:
    """A dataclass as what `json` can write; a value with a `parse` function as its text."""
    if hasattr(type(value), "parse"):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {
            field.name: encode(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not is_omitted(getattr(value, field.name), field)
        }
    if isinstance(value, Mapping):
        return {name: encode(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [encode(inner) for inner in value]
    return value


def render_json(values: Mapping[str, object], *, sort: bool = True) -> str:
    """JSON text that is the same for equal values, with a line feed at its end.

    Args:
        values: what `encode` takes.
        sort: whether to sort names and to escape all but ASCII. Otherwise names keep their order, and characters
            stand as they are.

    Raises:
        ObliqError: when a value cannot be written as JSON.
    """
    try:
        text = json.dumps(encode(values), sort_keys=sort, ensure_ascii=sort, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ObliqError(f"{error}; expected text, finite numbers, true, false or null") from error
    return text + "\n"


def parse_json(text: bytes) -> dict[str, Any]:
    """One JSON object.

    Raises:
        ObliqError: when the text is anything else, or holds duplicate names, non-finite numbers or
            characters that UTF-8 cannot carry.
    """
    try:
        values = json.loads(
            text.decode(), object_pairs_hook=_without_duplicates, parse_constant=_finite, parse_float=_finite
        )
        if _SURROGATE.search(text):
            json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ObliqError(
            f"not readable as JSON: {' '.join(str(error).split())[:200]!r}; expected text of JSON"
        ) from error
    if not isinstance(values, dict):
        raise ObliqError(f"the text is {in_message(values)}; expected a JSON object")
    return values


def decode(kind: type[Value], value: object, where: str = "the document") -> Value:
    """A value of `kind` from parsed JSON; the inverse of `encode`.

    Every field must be there (but for `OMITTED_BY_DEFAULT`), and no other. Nothing is converted, except that a whole
    number below 2^53 may stand for a float.

    Args:
        kind: a dataclass, `dict`, `tuple`, `Literal`, union, class with a `parse` function or plain type.
        value: what `parse_json` gave.
        where: the name of the value in errors.

    Raises:
        ObliqError: naming the first place that has another type, a missing or an unknown field.
    """
    try:
        decoded: Value = _decode(kind, value, where)
    except RecursionError as error:  # a kind may hold others of itself
        raise ObliqError(f"{where} is nested too deeply; expected a few levels") from error
    return decoded


def in_message(value: object) -> str:
    """A JSON value as errors show it, in one short line."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return json.dumps(value)[:80]


def _decode(kind: Any, value: object, where: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return value
    if origin in (types.UnionType, typing.Union):
        return _decode_one_of(kind, inner, value, where)
    if origin is Literal and any(type(value) is type(choice) and value == choice for choice in inner):
        return value
    if origin is tuple and isinstance(value, list):
        if inner[0] is int and all(type(item) is int and abs(item) < 2**63 for item in value):
            return tuple(value)  # a request may have millions
        return tuple(_decode(inner[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {name: _decode(inner[1], item, f"{where}[{name[:80]!r}]") for name, item in value.items()}
    if hasattr(kind, "parse"):
        return kind.parse(_decode(str, value, where))
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _decode_fields(kind, value, where)
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is kind and not (type(value) is int and abs(value) >= 2**63):
        return value
    raise _refusal(kind, value, where)


def _decode_one_of(union: Any, kinds: Sequence[Any], value: object, where: str) -> Any:
    """The first kind of a union that fits. For an optional kind, errors are those of the kind itself."""
    if value is None and types.NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not types.NoneType]
    if len(others) == 1:
        return _decode(others[0], value, where)
    for kind in others:
        try:
            return _decode(kind, value, where)
        except ObliqError:
            continue
    raise _refusal(union, value, where)


def _decode_fields(kind: Any, values: dict[str, Any], where: str) -> Any:
    kinds = _field_kinds(kind)
    omissible = {field.name for field in dataclasses.fields(kind) if _is_omissible(field)}
    if missing := [name for name in kinds if name not in values and name not in omissible]:
        raise ObliqError(f"{where} has no field {missing[0]!r}; expected {', '.join(kinds)}")
    if unknown := sorted(set(values) - set(kinds)):
        raise ObliqError(f"{where} has an unknown field {unknown[0][:80]!r}; expected {', '.join(kinds)}")
    return kind(
        **{name: _decode(kinds[name], values[name], f"{where}.{name}") for name in kinds if name in values}
    )


def is_omitted(value: object, field: dataclasses.Field[Any]) -> bool:
    """Whether a file leaves a field out, as it has its default value and may be missing."""
    return _is_omissible(field) and value == _default(field)


def _is_omissible(field: dataclasses.Field[Any]) -> bool:
    return OMITTED_BY_DEFAULT.items() <= field.metadata.items()


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


@functools.cache
def _field_kinds(kind: Any) -> dict[str, Any]:
    """The annotated type of each field of a dataclass, in order."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _refusal(kind: Any, value: object, where: str) -> ObliqError:
    limits = {int: " below 2^63", float: " below 2^53 where it is whole"}
    limit = limits.get(kind, "") if type(value) is int else ""
    return ObliqError(f"{where} is {in_message(value)}; expected {_in_words(kind)}{limit}")


def _in_words(kind: Any) -> str:
    """A type for a message."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(map(_in_words, inner))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return "a list"
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    words[types.NoneType] = "null"
    return words.get(kind, "an object")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name occurs twice")
    return values


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:80]} is not a finite number")
    return number
