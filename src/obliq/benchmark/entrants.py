"""Who takes part: every registered method, some of them in several variants."""

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from obliq.errors import ModelError
from obliq.methods import Method, available_methods


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A method that takes part.

    Attributes:
        name: in the table.
        kind: the method; what may be tuned stands in its `search`, a mapping from field to values.
        fixed: fields that are given, whatever `search` says.
        follows: another contender's name, whose tuned fields are taken over instead of tuning.
    """

    name: str
    kind: type[Method]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    follows: str | None = None

    def __post_init__(self) -> None:
        if not dataclasses.is_dataclass(self.kind):
            raise ModelError(
                f"contender {self.name!r} is {self.kind!r}; expected a method, which is a dataclass"
            )
        version = getattr(self.kind, "version", None)
        if type(version) is not int or version < 1:
            raise ModelError(
                f"contender {self.name!r}: {self.kind.__name__} has version {version!r}; expected `version: "
                "ClassVar[int] = 1` in the class, raised whenever it computes something else"
            )
        known = {one.name for one in dataclasses.fields(self.kind)}
        if unknown := sorted((set(self.fixed) | set(search_of(self.kind))) - known):
            raise ModelError(
                f"contender {self.name!r} sets {unknown[0]!r}; expected fields of {self.kind.__name__}: "
                f"{', '.join(sorted(known))}"
            )

    def trials(self) -> list[dict[str, Any]]:
        """Every combination of the fields that may be tuned, in order; one empty one where there are none."""
        if self.follows is not None:
            return [{}]
        open_fields = {
            name: values for name, values in search_of(self.kind).items() if name not in self.fixed
        }
        return [
            dict(zip(open_fields, values, strict=True)) for values in itertools.product(*open_fields.values())
        ]

    def method(self, tuned: Mapping[str, Any], *, augment: bool = False) -> Method:
        """The method with tuned fields, then the fixed ones.

        Args:
            tuned: fields; a follower's own are ignored where its kind has no such field.
            augment: as the original was trained, for methods that can.
        """
        known = {one.name for one in dataclasses.fields(self.kind)}  # type: ignore[arg-type]
        given = {name: value for name, value in tuned.items() if name in known}
        along = {"augment": True} if augment and "augment" in known else {}
        try:
            return self.kind(**(along | given | dict(self.fixed)))
        except TypeError as error:
            raise ModelError(f"contender {self.name!r}: {error}; expected fields with defaults") from error


def search_of(kind: type[Method]) -> Mapping[str, tuple[Any, ...]]:
    """What may be tuned about a method: from field to values, in order; empty where it does not say."""
    found: Mapping[str, tuple[Any, ...]] = getattr(kind, "search", {})
    for name, values in found.items():
        if not isinstance(values, tuple) or not values:
            raise ModelError(f"{kind.__name__}.search[{name!r}] is {values!r}; expected a tuple of values")
    return found


# measuring the first-order guarantee as it runs would count as the method's own time
_CALIBRATED = {"objective": "calibrated", "projection": "on_conflict", "record_every": 0}
VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "oeu": {
        "oeu entropy": {"objective": "entropy", "record_every": 0},
        "oeu uniform": {"objective": "uniform", "record_every": 0},
        "oeu calibrated": {**_CALIBRATED, "rounds": 1},
        "oeu calibrated, one epoch": {**_CALIBRATED, "epochs": 1, "rounds": 1},
        "oeu calibrated, in rounds": _CALIBRATED,
    },
    "q-mul": {
        "q-mul": {},
        "q-mul public code": {"faithful": "code"},
        "q-mul without similar labels": {"labels": "random"},
        "q-mul without reweighting": {"reweighting": False},
    },
}
"""From a method's name to its variants: the contender's name and the fields that make the difference."""


def every_contender() -> tuple[Contender, ...]:
    """One contender for each registered method but retraining, or one for each of its variants."""
    return tuple(
        Contender(name=name, kind=kind, fixed=fixed)
        for method, kind in available_methods().items()
        if method != "retrain"
        for name, fixed in VARIANTS.get(method, {method: {}}).items()
    )


def untuned(contender: Contender) -> Contender:
    """The same with every field that could be tuned at the value that its method gives it."""
    defaults = {
        one.name: one.default
        for one in dataclasses.fields(contender.kind)  # type: ignore[arg-type]
        if one.name in search_of(contender.kind)
    }
    return dataclasses.replace(contender, fixed={**defaults, **contender.fixed})


def some_contenders(*names: str) -> tuple[Contender, ...]:
    """The contenders of these names, in this order."""
    by_name = {one.name: one for one in every_contender()}
    return tuple(by_name[name] for name in names)
