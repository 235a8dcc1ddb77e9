import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from obliq.errors import ObliqError
from obliq.io.strict_json import OMITTED_BY_DEFAULT, SettingValue, decode, encode, parse_json, render_json
from obliq.quantization import Precision


@dataclass(frozen=True, kw_only=True)
class Inner:
    kind: Literal["a", "b"]
    shares: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Sample:
    name: str
    count: int
    share: float
    seed: int | None
    on: bool
    precision: Precision
    inner: Inner
    settings: dict[str, SettingValue]
    numbers: Mapping[str, float] = field(default_factory=dict)
    several: tuple[Inner, ...] = ()
    other: Inner | None = None


SAMPLE = Sample(
    name="ä",
    count=3,
    share=1.0,
    seed=None,
    on=True,
    precision=Precision(4, 8),
    inner=Inner(kind="a", shares=(0.0, 0.5)),
    settings={"x": (1, 2.5, "a", None), "y": True, "z": 1, "w": 1.0},
    numbers={"n": 2.5},
    several=(Inner(kind="b", shares=()), Inner(kind="a", shares=(1.0,))),
)


def changed(**values: Any) -> bytes:
    return render_json(encode(SAMPLE) | values).encode()


def test_what_is_written_is_read() -> None:
    for sort in (True, False):
        again = decode(Sample, parse_json(render_json(encode(SAMPLE), sort=sort).encode()))
        assert again == SAMPLE
        assert [type(again.settings[name]) for name in "xyzw"] == [tuple, bool, int, float]


def test_text_is_the_same_for_equal_values() -> None:
    assert render_json({"b": 1, "a": "ä"}) == '{\n  "a": "\\u00e4",\n  "b": 1\n}\n'
    assert render_json({"b": 1, "a": "ä"}, sort=False) == '{\n  "b": 1,\n  "a": "ä"\n}\n'


@dataclass(frozen=True, kw_only=True)
class Later:
    """A class of which one field came later, and one holds what is not checked."""

    named: Mapping[str, Inner]
    extra: int = field(default=0, metadata=OMITTED_BY_DEFAULT)
    more: dict[str, int] = field(default_factory=dict, metadata=OMITTED_BY_DEFAULT)
    free: Any = None


def test_a_later_field_is_left_out_while_it_has_its_default() -> None:
    inner = Inner(kind="a", shares=(0.5,))
    before = {"named": {"x": {"kind": "a", "shares": [0.5]}}, "free": {"y": [1]}}
    for later, stored in (
        ({}, before),
        ({"extra": 3}, before | {"extra": 3}),
        ({"more": {"a": 1}}, before | {"more": {"a": 1}}),
    ):
        value = Later(named={"x": inner}, free={"y": [1]}, **later)
        assert encode(value) == stored
        assert decode(Later, stored) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 3}, "it.name is 3; expected a text"),
        ({"count": "3"}, 'it.count is "3"; expected a whole number'),
        ({"count": 3.0}, "it.count is 3.0; expected a whole number"),
        ({"count": True}, "it.count is true; expected a whole number"),
        ({"count": 2**63}, "it.count is 9223372036854775808; expected a whole number below 2^63"),
        ({"count": None}, "it.count is null; expected a whole number"),
        ({"share": True}, "it.share is true; expected a number"),
        ({"share": "1.5"}, 'it.share is "1.5"; expected a number'),
        ({"share": 2**53}, "it.share is 9007199254740992; expected a number below 2^53"),
        ({"seed": "x"}, 'it.seed is "x"; expected a whole number'),
        ({"on": 1}, "it.on is 1; expected true or false"),
        ({"precision": {"weights": 4, "activations": 4}}, "it.precision is an object; expected a text"),
        ({"inner": []}, "it.inner is a list; expected an object"),
        ({"other": {"kind": "c", "shares": []}}, 'it.other.kind is "c"; expected one of a, b'),
        ({"inner": {"kind": "c", "shares": []}}, 'it.inner.kind is "c"; expected one of a, b'),
        ({"inner": {"kind": "a", "shares": [0, None]}}, "it.inner.shares[1] is null; expected a number"),
        ({"inner": {"kind": "a"}}, "it.inner has no field 'shares'; expected kind, shares"),
        ({"inner": {"kind": "a", "shares": [], "x": 1}}, "it.inner has an unknown field 'x'"),
        ({"settings": {"a\nb": {}}}, r"it.settings['a\nb'] is an object; expected true or false or a whole"),
        ({"numbers": {"n": "1"}}, "it.numbers['n'] is \"1\"; expected a number"),
        ({"extra": 1}, "it has an unknown field 'extra'; expected name, count"),
        ({"several": 3}, "it.several is 3; expected a list"),
        ({"name": "x", "count": "y" * 10**6}, f'it.count is "{"y" * 79}; expected'),
    ],
)
def test_nothing_is_converted_or_ignored(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ObliqError, match=re.escape(message)) as refused:
        decode(Sample, parse_json(changed(**changes)), "it")
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 1}', "a name occurs twice"),
        ('{"a": {"b": 1, "b": 1}}', "a name occurs twice"),
        ('{"a": NaN}', "NaN is not a finite number"),
        ('{"a": -Infinity}', "-Infinity is not a finite number"),
        ('{"a": 1e999}', "1e999 is not a finite number"),
        ('{"a": ' + "9" * 5000 + "}", "not readable as JSON"),
        ('{"a": "\\ud800"}', "not readable as JSON"),
        ('{"\\uDC00": 1}', "not readable as JSON"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "not readable as JSON"),
        ('{"a": 1} x', "not readable as JSON"),
        ("\ufeff{}", "not readable as JSON"),
        ("[]", "the text is a list; expected a JSON object"),
        ("3", "the text is 3; expected a JSON object"),
        ("", "not readable as JSON"),
    ],
)
def test_texts_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ObliqError, match=re.escape(message)):
        parse_json(text.encode())


def test_escapes_that_stand_for_a_character_are_read() -> None:
    assert parse_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(ObliqError, match="not readable as JSON"):
        parse_json(b'{"a": "\xff"}')


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x"])
def test_what_json_cannot_hold_is_not_written(value: object) -> None:
    with pytest.raises(ObliqError, match="expected text, finite numbers"):
        render_json({"a": value})


@dataclass(frozen=True)
class Nested:
    inner: "Nested | None" = None
    numbers: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


def test_limits_of_numbers_types_and_depth() -> None:
    """Each of these was found by a mutant that no test noticed."""
    assert (
        decode(Nested, {"numbers": [2**63 - 1, -(2**63) + 1], "inner": None, "names": []}, "x").numbers[0]
        == 2**63 - 1
    )
    for field_, value, message in (
        ("numbers", [2**63], "below 2\\^63"),
        ("numbers", [True], r"numbers\[0\] is true; expected a whole number$"),
        ("names", [1], r"names\[0\] is 1; expected a text$"),
        ("inner", 5, "inner is 5; expected an object"),
    ):
        with pytest.raises(ObliqError, match=message):
            decode(Nested, {"numbers": [], "inner": None, "names": [], field_: value}, "x")
    deep: dict[str, object] | None = None
    for _ in range(5000):
        deep = {"inner": deep, "numbers": [], "names": []}
    with pytest.raises(ObliqError, match="nested too deeply"):
        decode(Nested, deep, "x")
