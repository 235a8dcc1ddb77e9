"""Numbers that compare a network with the retrained one."""

import math
from collections.abc import Sequence
from typing import Final

from obliq.auditing.metric import Values

GAP_OVER: Final = ("unlearning_accuracy", "retain_accuracy", "test_accuracy", "mia_svc_confidence")
TOW_OVER: Final = ("forget_accuracy", "retain_accuracy", "test_accuracy")


def average_gap(values: Values, retrained: Values) -> float | None:
    """Avg. Gap: mean absolute difference to the retrained network in UA, RA, TA and MIA, in points. Target 0."""
    differences = _differences(values, retrained, GAP_OVER)
    return None if differences is None else sum(map(abs, differences)) / len(differences)


def tug_of_war(values: Values, retrained: Values) -> float | None:
    """ToW: the product of 1 - abs(difference to the retrained network) over FA, RA and TA as shares. Target 1, worst 0.

    Source: Zhao et al., "What makes unlearning hard and what to do about it" (RUM), NeurIPS 2024.
    """
    differences = _differences(values, retrained, TOW_OVER)
    return None if differences is None else math.prod(1 - abs(points) / 100 for points in differences)


def time_ratio(values: Values, retrained: Values) -> float | None:
    """Seconds over the retrained network's seconds."""
    mine, theirs = values.get("seconds"), retrained.get("seconds")
    return mine / theirs if mine is not None and theirs else None


def _differences(values: Values, retrained: Values, names: Sequence[str]) -> list[float] | None:
    """This network minus the retrained one, in points; None where one number is missing."""
    pairs = [(values.get(name), retrained.get(name)) for name in names]
    known = [mine - theirs for mine, theirs in pairs if mine is not None and theirs is not None]
    return known if len(known) == len(names) else None
