"""Measured numbers and their 95 % intervals."""

import math
from dataclasses import dataclass

Z = 1.959963984540054  # two-sided 95 % of a normal distribution


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval, both ends included, in the unit of its number."""

    low: float
    high: float

    def within(self, margin: float) -> bool:
        """Whether all of it lies between -`margin` and +`margin`."""
        return -margin <= self.low and self.high <= margin

    def rounded(self, digits: int) -> "Interval":
        """With that many decimals."""
        return Interval(round(self.low, digits), round(self.high, digits))

    @property
    def half_width(self) -> float:
        """Half of its length."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Estimate:
    """A measured number and its 95 % interval, if it has one; both in the unit of the metric."""

    value: float
    interval: Interval | None = None

    def rounded(self, digits: int) -> "Estimate":
        """With that many decimals."""
        return Estimate(round(self.value, digits), self.interval and self.interval.rounded(digits))


def wilson(percent: float, samples: float) -> Interval:
    """The Wilson score interval of a share, in percent; it has a width at 0, at 100 and for few samples.

    It contains every p whose normal approximation would not reject the share: those with
    abs(share - p) <= Z sqrt(p (1 - p) / samples). The ends solve this quadratic equation in p.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    share = percent / 100
    weight = Z * Z / samples
    centre = (share + weight / 2) / (1 + weight)
    half = Z / (1 + weight) * math.sqrt(max(0.0, share * (1 - share) / samples + weight / (4 * samples)))
    return Interval(100 * max(0.0, centre - half), 100 * min(1.0, centre + half))
