"""Who takes part: every registered method, some of them in several variants."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from obliq.bench.contender import Contender, search_of
from obliq.methods import available

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
        for method, kind in available().items()
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
