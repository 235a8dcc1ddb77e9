"""Samples of one person are not independent: by how much intervals widen for that."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float64, Int
from numpy import ndarray

from obliq.auditing.intervals import Z

FEWEST_PEOPLE: Final = 5
"""With fewer people in a set, their samples show too little of how people differ, and count as independent."""

People = Int[ndarray, " _"] | None
"""Whose each sample is; None where that is not recorded."""


def design_effect(sets: Sequence[tuple[Float64[ndarray, " _"], People]]) -> float:
    """The variance of a sum of means over the one that independent samples would give it; 1 or more.

    People are drawn, and samples come with them, as in a bootstrap that resamples people. For a mean of n samples with
    residuals r, its variance is P / (P - 1) times the sum over P people of (sum of the person's r)^2 / n^2. Few people
    give a coarse estimate of it, so that Student's quantile takes the place of the normal one (with Satterthwaite's
    degrees of freedom): the effect has the square of their ratio as a factor. Intervals by formula are then computed
    for the number of samples over this effect.

    Source: Kish, "Survey Sampling", Wiley 1965 (design effect); Obuchowski, "Nonparametric analysis of clustered ROC
    curve data", Biometrics 1997, for placements of an AUC.

    Args:
        sets: what each sample contributes to its mean, and whose sample it is, for every mean.
    """
    independent = by_person = 0.0
    terms: list[tuple[float, int]] = []  # variances of sets of several people, and their degrees of freedom
    for values, people in sets:
        residual = values - values.mean()
        alone = float((residual**2).sum()) / len(values) ** 2
        groups = None if people is None else np.unique(people, return_inverse=True)[1]
        count = 0 if groups is None else int(groups.max()) + 1
        independent += alone
        if groups is None or not FEWEST_PEOPLE <= count < len(values):
            by_person += alone
            continue
        sums = np.bincount(groups, weights=residual, minlength=count)
        variance = count / (count - 1) * float((sums**2).sum()) / len(values) ** 2
        by_person += variance
        terms.append((variance, count - 1))
    if not terms:
        return 1.0
    spread = sum(variance**2 / freedom for variance, freedom in terms)
    freedom = by_person**2 / spread if spread > 0 else min(freedom for _, freedom in terms)
    ratio = by_person / independent if independent > 0 else 1.0
    effect = max(1.0, ratio) * _few_people(freedom)
    return min(effect, float(min(len(values) for values, _ in sets)))


def _few_people(freedom: float) -> float:
    """The square of Student's 97.5 % quantile over the normal one."""
    from scipy.special import stdtrit  # here, as importing scipy.special takes a third of a second

    return math.pow(float(stdtrit(freedom, 0.975)) / Z, 2)
