"""Whether arguments of a caller are of the type that a signature states; Python itself accepts any.

A text such as "no" counts as true, and True counts as 1. Both would be used in silence, so they are refused.
"""

import dataclasses
import functools
import reprlib
import types
import typing
from numbers import Integral, Rational, Real
from typing import Any, Literal

from obliq.errors import ObliqError

_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number (int)",
    float: "a number",
    str: "text",
    types.NoneType: "None",
}
"""The types that are checked, and what is expected of each."""


def require_flags(**values: object) -> None:
    """Raise for the first value that is neither True nor False.

    Raises:
        ObliqError: naming the value.
    """
    for name, value in values.items():
        _require(name, value, bool)


def require_whole_numbers(**values: object) -> None:
    """Raise for the first value that is no `int`, or that is True or False.

    Raises:
        ObliqError: naming the value.
    """
    for name, value in values.items():
        _require(name, value, int)


def require_field_types(given: Any) -> None:
    """Raise for the first field of a dataclass that is declared as a flag, number, text or choice and holds another.

    Fields that are dataclasses themselves are checked, too. Nothing is checked where a declared type cannot be found,
    as in a module that imports it for type checkers only, where values cannot be compared with it, as with `Any` or a
    type variable, and where a field has no value.

    Args:
        given: an object of a dataclass.

    Raises:
        ObliqError: naming the field and its value.
    """
    kind: Any = type(given)
    hints = _hints(kind)
    for field in dataclasses.fields(given):
        value, hint = getattr(given, field.name, dataclasses.MISSING), hints.get(field.name)
        if value is dataclasses.MISSING:
            continue
        if any(map(_is_checked, _kinds(hint))):
            _require(field.name, value, hint)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            require_field_types(value)


def _is_checked(kind: Any) -> bool:
    """Whether values are compared with a type: plain ones, choices among words, and dataclasses."""
    plain = kind in (bool, int, float, str) or typing.get_origin(kind) is Literal
    return plain or (isinstance(kind, type) and dataclasses.is_dataclass(kind))


def is_real_number(value: object) -> bool:
    """Whether a value is a number that PyTorch computes with; True and False are none, and fractions are not."""
    if isinstance(value, bool) or (isinstance(value, Rational) and not isinstance(value, Integral)):
        return False
    return isinstance(value, Real)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except Exception:  # annotations in quotes are code of a user, which may raise anything
        return {}


def _require(name: str, value: object, hint: Any) -> None:
    if not any(_fits(value, kind) for kind in _kinds(hint)):
        words = [_words_of(kind) for kind in _kinds(hint)]
        shown = " ".join(reprlib.repr(value).split())
        # a number of NumPy: neither PyTorch's seeds nor the documents that we write take one
        convertible = isinstance(value, Integral) and not isinstance(value, bool) and int in _kinds(hint)
        way = "; int(...) converts it" if convertible else ""
        raise ObliqError(
            f"{name}={shown}, of type {type(value).__name__}; expected {' or '.join(words)}{way}"
        )


def _words_of(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    return _WORDS.get(kind) or str(getattr(kind, "__name__", kind))


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The members of a union; any other type alone."""
    is_union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return typing.get_args(hint) if is_union else (hint,)


def _fits(value: object, kind: Any) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return is_real_number(value)
    if typing.get_origin(kind) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in typing.get_args(kind))
    try:
        return isinstance(value, typing.get_origin(kind) or kind)
    except TypeError:  # `Any`, a type variable, a protocol and others take no part in this check
        return True
