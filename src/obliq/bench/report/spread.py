"""What several seeds say together: mean, standard deviation, and what is within their noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and spread of the values at hand.

    Attributes:
        mean: of all values.
        deviation: sample standard deviation (over n - 1); None for a single value.
        count: of values.
    """

    mean: float
    deviation: float | None
    count: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """Over the values that are there; None where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return Spread(mean=statistics.fmean(known), deviation=deviation, count=len(known))


def within_noise(differences: Sequence[float]) -> bool:
    """Whether paired differences, one a seed, are compatible with no difference at all.

    The paired t-test at 5 %, two-sided: the mean lies within its standard error times the 97.5 % quantile
    of Student's t with n - 1 degrees of freedom. One pair has no standard error, and is never within it.
    """
    count = len(differences)
    if count < 2:
        return False
    error = statistics.stdev(differences) / math.sqrt(count)
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, count - 1))
    return abs(statistics.fmean(differences)) <= quantile * error
