"""Where one more retraining would land: prediction intervals from a few retrained networks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from obliq.auditing.intervals import Interval
from obliq.errors import AuditError

Sides = Literal["both", "low", "high"]
MOST_REFERENCES = 32
"""The largest number of retrained networks that an audit recommends; beyond it the interval hardly gets narrower."""

PRIOR_FREEDOM = 4
"""Degrees of freedom that an expected variance counts for, beside the K - 1 of K observed values."""
INFLATION = 2.0
"""Variance between retrained networks over that of independent samples: samples of one person or class rise and fall
together. docs/audit-format.md has the measurement."""


@dataclass(frozen=True)
class Variation:
    """How much a number varies from one retrained network to the next.

    Attributes:
        centre: the mean of the observed values.
        deviation: the standard deviation that the next value is expected to have.
        freedom: degrees of freedom behind it.
        count: how many values were observed.
    """

    centre: float
    deviation: float
    freedom: int
    count: int

    def interval(self, error: float, sides: Sides = "both") -> Interval:
        """Where the next value lies with probability 1 - `error`; the other end of one side counts, too."""
        half = self.deviation * reach(self.count, self.freedom, error, sides)
        return Interval(self.centre - half, self.centre + half)


def estimate_variation(
    values: Sequence[float], resolution: float, expected: float | None = None
) -> Variation:
    """How much a number varies between retrained networks, from a few of them.

    A variance of three or four values is a coarse estimate, which makes intervals wide. Where the number is a mean over
    samples, the samples show how much it must vary at least (`expected_variance`). Both are pooled by their degrees of
    freedom: s^2 = (d0 s0^2 + (n - 1) s^2) / (d0 + n - 1).

    Source: Smyth, "Linear models and empirical Bayes methods for assessing differential expression", Statistical
    Applications in Genetics and Molecular Biology 2004 (moderated t). Deviation: d0 and the scale of s0 are constants
    of this module, and not estimated from each data set.

    Args:
        values: of the retrained networks; two or more.
        resolution: the smallest standard deviation that is believed. A few values can be equal by chance, and an
            interval without any width would refuse the next network for a single sample.
        expected: the variance to expect; None where only the values show it.

    Raises:
        AuditError: for fewer than two values.
    """
    count = len(values)
    require_several(count)
    variance, freedom = float(np.var(values, ddof=1)), count - 1
    if expected is not None:
        variance = (PRIOR_FREEDOM * expected + freedom * variance) / (PRIOR_FREEDOM + freedom)
        freedom += PRIOR_FREEDOM
    return Variation(float(np.mean(values)), max(math.sqrt(variance), resolution), freedom, count)


def require_several(count: int) -> None:
    """Raise for fewer than two retrained networks, which do not show how much retraining varies.

    Raises:
        AuditError: with their number.
    """
    if count < 2:
        raise AuditError(
            f"{count} retrained networks; expected two or more to measure how much retraining varies"
        )


def expected_variance(parts: Sequence[Float64[ndarray, "networks _"]], inflation: float = INFLATION) -> float:
    """The variance between networks to expect of a sum of means over samples, from the samples themselves.

    For each sample, the networks' contributions are taken from their mean. If samples varied independently, the
    variance of these residuals over the number of samples would be that of the mean. `inflation` accounts for their
    dependence.

    Args:
        parts: the contributions of every sample in every network, one array for each set of samples. Signs do
            not matter.
        inflation: the variance to expect over that of independent samples.
    """
    total = 0.0
    for part in parts:
        networks, samples = part.shape
        require_several(networks)
        residual = part - part.mean(axis=0)
        total += float((residual**2).sum()) / (networks - 1) / samples**2
    return inflation * total


def reach(count: int, freedom: int, error: float, sides: Sides = "both") -> float:
    """Half the width of a prediction interval, in standard deviations.

    For n independent normal values with mean m, and a standard deviation s with d degrees of freedom, the next value
    lies within m +- t * s * sqrt(1 + 1 / n) with probability 1 - `error`. Here t is a quantile of Student's
    distribution with d degrees of freedom: 1 - error / 2 for both sides, 1 - error for one.

    Source: Hahn and Meeker, "Statistical Intervals", Wiley 1991, section 4.2 (prediction interval for one value).

    Args:
        count: n, how many values were observed.
        freedom: d; n - 1 where only these values show s.
        error: probability that the next value lies outside.
        sides: which sides count as outside.
    """
    from scipy.special import stdtrit  # here, as importing scipy.special takes a third of a second

    quantile = 1 - (error / 2 if sides == "both" else error)
    return float(stdtrit(freedom, quantile)) * math.sqrt(1 + 1 / count)


def references_to_exceed(
    deviations: float, prior_freedom: int, error: float, sides: Sides = "both"
) -> int | None:
    """How many retrained networks it takes until `deviations` standard deviations lie outside the interval.

    None where more than `MOST_REFERENCES` would be needed. The observed deviations are themselves an estimate, so the
    number is a recommendation and not a promise.
    """
    for count in range(2, MOST_REFERENCES + 1):
        if abs(deviations) > reach(count, prior_freedom + count - 1, error, sides):
            return count
    return None
