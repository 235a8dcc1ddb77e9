"""Frozen dataclasses as JSON text and back, strictly: whatever a file holds, reading it is safe.

What is read must have exactly the fields and types that the dataclass declares. Duplicate names,
numbers that are not finite, names that cannot be written as UTF-8 and links in place of files are refused.
"""

import contextlib
import dataclasses
import errno
import json
import math
import os
import stat
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from obliq.errors import ObliqError

LARGEST_DOCUMENT = 8 * 2**20
"""No JSON of ours comes near this many bytes."""

SettingValue = bool | int | float | str | None | tuple[bool | int | float | str | None, ...]
"""What a field of a method or of a recipe may hold."""

Value = TypeVar("Value")


def encode(value: object) -> Any:
    """A dataclass as what `json` can write; a value with a `parse` function as its text."""
    if hasattr(type(value), "parse"):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: encode(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [encode(inner) for inner in value]
    return value


def render_json(values: Mapping[str, object]) -> str:
    """JSON text that is the same for equal values.

    Raises:
        ObliqError: when a value cannot be written as JSON.
    """
    try:
        return json.dumps(encode(values), sort_keys=True, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ObliqError(f"{error}; expected text, finite numbers, true, false or null") from error


def read_bytes(file: Path, largest: int) -> bytes:
    """The content of a regular file that is not a link.

    Raises:
        ObliqError: when it is missing, no regular file, larger than `largest` bytes or unreadable.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(file, flags | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ObliqError("not a regular file")
            if status.st_size > largest:
                raise ObliqError(f"{status.st_size} bytes; expected at most {largest}")
            with os.fdopen(descriptor, "rb", closefd=False) as opened:
                return opened.read(status.st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        link = " (links are not followed)" if error.errno in (errno.ELOOP, errno.EMLINK) else ""
        raise ObliqError(f"cannot be read{link}: {error.strerror}") from error


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
        json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ObliqError(f"not readable as JSON: {' '.join(str(error).split())[:200]!r}") from error
    if not isinstance(values, dict):
        raise ObliqError(f"a JSON {type(values).__name__}; expected an object")
    return values


def decode(kind: type[Value], value: object, where: str = "the document") -> Value:
    """A value of `kind` from parsed JSON; the inverse of `encode`.

    Raises:
        ObliqError: naming the first place that has another type, a missing or an unknown field.
    """
    decoded: Value = _decode(kind, value, where)
    return decoded


def _decode(kind: Any, value: object, where: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _decode_one_of(inner, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_decode(inner[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {name: _decode(inner[1], item, f"{where}.{name!r}") for name, item in value.items()}
    if hasattr(kind, "parse"):
        return kind.parse(_decode(str, value, where))
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _decode_fields(kind, value, where)
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is kind and not (isinstance(value, int) and abs(value) >= 2**63):
        return value
    expected = str(kind) if inner else kind.__name__
    raise ObliqError(f"{where} is {repr(value)[:80]}; expected {expected}")


def _decode_one_of(kinds: Sequence[Any], value: object, where: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not types.NoneType]
    for kind in others[:-1]:
        with contextlib.suppress(ObliqError):
            return _decode(kind, value, where)
    return _decode(others[-1], value, where)


def _decode_fields(kind: Any, values: dict[str, Any], where: str) -> Any:
    kinds = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    if missing := [name for name in names if name not in values]:
        raise ObliqError(f"{where} has no field {missing[0]!r}; expected {', '.join(names)}")
    if unknown := sorted(set(values) - set(names)):
        raise ObliqError(f"{where} has an unknown field {unknown[0][:80]!r}; expected {', '.join(names)}")
    return kind(**{name: _decode(kinds[name], values[name], f"{where}.{name}") for name in names})


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
