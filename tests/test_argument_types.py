"""Flags and whole numbers of the library are of the type that a signature states, or are refused at once."""

import dataclasses
import inspect
import typing
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import obliq
from obliq.argument_types import require_field_types
from obliq.errors import ObliqError
from obliq.methods import OEU, FineTune, Masked
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.workflow.progress import listener_for

pytestmark = pytest.mark.usefixtures("without_type_checks")

WRONG: dict[type, tuple[object, ...]] = {
    bool: ("no", 1, 0, None, np.bool_(False)),
    int: (True, "1", 1.5, None),
}


def arguments() -> list[tuple[str, str, type]]:
    """The functions of the library, with each argument that is a flag or a whole number.

    Bit widths are refused with their range, in other words.
    """
    found = []
    for name in obliq.__all__:
        function = getattr(obliq, name)
        if inspect.isfunction(function):
            hints = typing.get_type_hints(function)
            found += [
                (name, argument, hint)
                for argument, hint in hints.items()
                if hint in WRONG and argument not in ("return", "edge_bits")
            ]
    return found


@pytest.mark.parametrize(("name", "argument", "kind"), arguments())
def test_every_function_refuses_a_value_of_another_type(name: str, argument: str, kind: type) -> None:
    function: Callable[..., object] = getattr(obliq, name)
    hints, parameters = typing.get_type_hints(function), inspect.signature(function).parameters.values()
    others = {
        one.name: 2 if hints[one.name] is int else object() for one in parameters if one.default is one.empty
    }
    for value in WRONG[kind]:
        with pytest.raises(ObliqError, match=f"^{argument}=.*; expected ") as caught:
            function(**{**others, argument: value})
        assert "\n" not in str(caught.value)


def test_the_list_of_arguments_is_not_empty() -> None:
    assert {
        ("unlearn", "whole_classes", bool),
        ("train", "seed", int),
        ("make_patch", "sequence", int),
    } < set(arguments())


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Recipe, {"epochs": 2.5}, r"epochs=2.5, of type float; expected a whole number \(int\)"),
        (Recipe, {"augment": "no"}, r"augment='no', of type str; expected True or False"),
        (Recipe, {"learning_rate": True}, r"learning_rate=True, of type bool; expected a number"),
        (Run, {"seed": True}, r"seed=True, of type bool; expected a whole number \(int\)"),
        (Recipe, {"learning_rate": Fraction(1, 10)}, r"learning_rate=Fraction\(1, 10\), of type Fraction"),
        (FineTune, {"learning_rate": Fraction(1, 10)}, r"learning_rate=Fraction\(1, 10\); expected a number"),
        (obliq.PartitionRule, {"seed": "1"}, r"seed='1', of type str; expected a whole number"),
        (
            obliq.PartitionRule,
            {"holdout": "15%"},
            r"holdout='15%', of type str; expected a number or SampleIds",
        ),
        (OEU, {"record_every": "x"}, r"record_every='x'; expected a number of at least 0"),
        (OEU, {"learning_rate": "0.1"}, r"learning_rate='0.1'; expected a number above 0"),
        (FineTune, {"epochs": True}, r"epochs=True; expected a number of at least 1"),
        (
            FineTune,
            {"learning_rate": 1e300},
            r"learning_rate=1e\+300; expected a number of at most 3.40282e\+38",
        ),
        (FineTune, {"batch_size": 10**30}, r"batch_size=1\d+; expected a number of at most 2.14748e\+09"),
        (OEU, {"weight_decay": float("inf")}, r"weight_decay=inf; expected a number of at most"),
        (Recipe, {"learning_rate": 1e300}, r"learning_rate=1e\+300; expected a number of at most"),
    ],
)
def test_what_holds_settings_refuses_them(kind: type, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ObliqError, match=words):
        kind(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"augment": "no"}, "augment='no', of type str; expected True or False"),
        ({"epochs": 2.5}, r"epochs=2.5, of type float; expected a whole number \(int\)"),
        (
            {"projection": "nevre"},
            "projection='nevre', of type str; expected 'always' or 'on_conflict' or 'never'",
        ),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_unlearning_refuses_a_setting_of_another_type(
    masked: bool, settings: dict[str, Any], words: str
) -> None:
    nothing: Any = object()
    inner = OEU(**settings) if "projection" in settings else FineTune(**settings)
    method = Masked(method=inner) if masked else inner
    with pytest.raises(ObliqError, match=words):
        obliq.unlearn(nothing, forget=nothing, retain=nothing, method=method)


def test_progress_is_a_flag_or_a_function() -> None:
    with pytest.raises(ObliqError, match="progress='no'; expected True, False or a function of"):
        listener_for("training", "no")  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Unresolved:
    """Its type is known to type checkers only."""

    number: "nowhere.Number"  # type: ignore[name-defined]


def test_types_that_cannot_be_found_are_not_checked() -> None:
    require_field_types(Unresolved("anything"))


Length = typing.NewType("Length", float)
Variable = typing.TypeVar("Variable")


class Shape(typing.Protocol):
    """A protocol without checks at run time."""

    sides: int


@pytest.mark.parametrize(
    "hint",
    [
        "int | None) or (",
        "int | 'Number'",
        "dataclasses.nothing",
        int | Any,
        int | Variable,
        int | Length,
        int | Shape,
        type[Unresolved],
    ],
    ids=str,
)
@pytest.mark.parametrize("value", [Unresolved, np.zeros(2)], ids=["class", "array"])
def test_unusual_annotations_of_a_method_are_not_checked(hint: Any, value: object) -> None:
    require_field_types(dataclasses.make_dataclass("Method", [("field", hint)])(value))


def test_an_array_is_compared_with_no_word() -> None:
    kind = dataclasses.make_dataclass("Method", [("field", int | typing.Literal["auto"])])
    with pytest.raises(ObliqError, match="expected a whole number"):
        require_field_types(kind(np.zeros(2)))


@pytest.mark.parametrize("value", [Unresolved, np.zeros(2), "manual", 1])
def test_a_choice_among_words_takes_no_other(value: object) -> None:
    kind = dataclasses.make_dataclass("Method", [("field", typing.Literal["auto"] | None)])
    require_field_types(kind("auto"))
    require_field_types(kind(None))
    with pytest.raises(ObliqError, match=r"^field=.*; expected 'auto' or None$"):
        require_field_types(kind(value))


def test_a_field_without_a_value_is_not_checked() -> None:
    kind = dataclasses.make_dataclass("Method", [("count", int, dataclasses.field(init=False))])
    require_field_types(kind())


def test_the_refusal_of_a_number_of_numpy_names_the_conversion() -> None:
    with pytest.raises(ObliqError, match=r"^epochs=.*of type int64; expected .*; int\(\.\.\.\) converts it$"):
        Recipe(epochs=np.int64(3))  # type: ignore[arg-type]
    with pytest.raises(ObliqError, match=r"expected a whole number \(int\)$"):
        Recipe(epochs=True)
