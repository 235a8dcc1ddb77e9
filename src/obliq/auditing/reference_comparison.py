"""One network next to retrained ones: every statistic with the interval in which one more retrained network would lie.

Some statistics measure distances to the answers of the retrained networks. A retrained network's own value is then
measured from the others, so that each of them is a valid test of the rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from obliq.auditing.signals import RoleSignals
from obliq.auditing.statistic import Judged, Kind, Statistic
from obliq.auditing.statistics import CLASS_STATISTICS, PROBE, RELEARNED_GAP, STATISTICS
from obliq.auditing.variation import Sides, estimate_variation, expected_variance, reach
from obliq.errors import AuditError

DOUBT: Final[dict[Kind, float]] = {"memory": 0.03, "answers": 0.01, "utility": 0.01}
"""The share of retrainings that each single statistic may keep from INDISTINGUISHABLE, by kind. About a tenth is kept
by any of them, since they rise and fall together. With smaller shares, more than 5 % of networks pass whose logits are
half the original's and half a retrained network's: see benchmarks/results/auditor-errors.md."""
FORMER_DOUBT: Final[dict[Kind, float]] = {"memory": 0.05, "answers": 0.02, "utility": 0.01}
"""The same of audits of version 4."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One statistic of one network next to those of the retrained networks.

    Attributes:
        name: of the statistic.
        kind: see `Statistic`.
        value: of the network.
        original: of the network before the request.
        low, high: ends of the prediction interval; None on a side that does not count.
        references: the values of the retrained networks, in their order.
        deviation: the standard deviation that one more is expected to have, see `estimate_variation`.
        freedom: degrees of freedom behind it.
        error: probability that one more retrained network lies outside.
    """

    name: str
    kind: Kind
    value: float
    original: float
    low: float | None
    high: float | None
    references: tuple[float, ...]
    deviation: float
    freedom: int
    error: float

    def __post_init__(self) -> None:
        if len(self.references) < 2 or not self.deviation > 0:
            raise AuditError(
                f"{self.name} has {len(self.references)} retrained networks and a deviation of {self.deviation:g}; "
                "expected two or more, and a deviation above 0"
            )

    @property
    def centre(self) -> float:
        """The mean of the retrained networks."""
        return sum(self.references) / len(self.references)

    @property
    def prior_freedom(self) -> int:
        """Degrees of freedom that do not come from the number of retrained networks."""
        return self.freedom - (len(self.references) - 1)

    @property
    def sides(self) -> Sides:
        """The sides that count."""
        return "high" if self.low is None else "low" if self.high is None else "both"

    @property
    def deviations(self) -> float:
        """The network's distance to `centre`, in standard deviations of the retrained networks."""
        return (self.value - self.centre) / self.deviation

    @property
    def original_deviations(self) -> float:
        """The same for the network before the request."""
        return (self.original - self.centre) / self.deviation

    @property
    def is_doubtful(self) -> bool:
        """Whether the network lies outside a narrower interval than `low` to `high`; see `DOUBT`."""
        return self.lies_beyond(DOUBT[self.kind])

    def lies_beyond(self, share: float) -> bool:
        """Whether the network lies outside the interval that leaves out this share of retrainings."""
        wrong_side = self.sides == "both" or (self.deviations > 0) == (self.sides == "high")
        return wrong_side and abs(self.deviations) > self._reach(share)

    def _reach(self, share: float) -> float:
        return reach(len(self.references), self.freedom, share, self.sides)

    @property
    def is_nearer_to_original(self) -> bool:
        """Whether the network is nearer to the original than to the mean of the retrained networks."""
        return abs(self.value - self.original) < abs(self.value - self.centre)

    @property
    def is_undecided(self) -> bool:
        """Whether the network lies within the interval, and yet this statistic keeps it from passing."""
        original_decides = self.kind == "memory" and self.outside(self.original) != 0
        too_far = self.is_doubtful or (original_decides and self.is_nearer_to_original)
        return self.outside(self.value) == 0 and too_far

    @property
    def passing(self) -> tuple[float | None, float | None]:
        """The ends of the range in which a network passes by this statistic; None on a side that does not count.

        That is the narrower interval of `DOUBT` where a memory statistic of the original does not lie outside the
        wider one. Otherwise it ends no later than halfway to the original.
        """
        half = self._reach(DOUBT[self.kind]) * self.deviation
        low = None if self.low is None else max(self.low, self.centre - half)
        high = None if self.high is None else min(self.high, self.centre + half)
        side, halfway = self.outside(self.original), (self.original + self.centre) / 2
        if self.kind == "memory" and side < 0 and low is not None:
            low = max(low, halfway)
        if self.kind == "memory" and side > 0 and high is not None:
            high = min(high, halfway)
        return low, high

    @property
    def is_no_worse_than_original(self) -> bool:
        """Whether an original that is outside on the same side explains a value outside the interval."""
        side = self.outside(self.original)
        if side == 0 or side != self.outside(self.value):
            return False
        end = self.low if side < 0 else self.high
        assert end is not None  # a side that does not count has nothing outside
        return abs(self.value - self.centre) <= abs(self.original - self.centre) + abs(end - self.centre)

    def outside(self, value: float) -> int:
        """-1 for a value below the interval, 1 above, 0 within."""
        if self.low is not None and value < self.low:
            return -1
        return 1 if self.high is not None and value > self.high else 0


def compare_with_references(
    candidate: RoleSignals,
    original: RoleSignals,
    references: Sequence[RoleSignals],
    forgotten_classes: frozenset[int] = frozenset(),
) -> tuple[Comparison, ...]:
    """Every statistic of a candidate, with the prediction interval of the retrained networks.

    Args:
        candidate: the network to judge.
        original: the network before the request.
        references: networks retrained without the forget set, with different seeds; two or more.
        forgotten_classes: classes of which nothing is retained; statistics about them are added.

    Raises:
        AuditError: for fewer than two retrained networks.
    """
    compared = [Judged(answers, original, references, forgotten_classes) for answers in (candidate, original)]
    among = [
        Judged(answers, original, [*references[:place], *references[place + 1 :]], forgotten_classes)
        for place, answers in enumerate(references)
    ]
    table: Sequence[Statistic] = CLASS_STATISTICS if forgotten_classes else STATISTICS
    networks = (candidate, original, *references)
    left_out = [PROBE] if any(one.probe is None for one in networks) else []
    left_out += [RELEARNED_GAP] if any(one.relearned is None for one in networks) else []
    table = [statistic for statistic in table if statistic not in left_out]
    if candidate.classes_alone:
        table = [statistic for statistic in table if statistic.of_classes]
    return tuple(_compared(statistic, compared, among) for statistic in table)


def _compared(statistic: Statistic, compared: Sequence[Judged], among: Sequence[Judged]) -> Comparison:
    value, original = (statistic.measure(one) for one in compared)
    values = tuple(statistic.measure(one) for one in among)
    expected = None if statistic.usual is None else statistic.usual**2
    if statistic.parts is not None:
        by_network = [statistic.parts(one) for one in among]
        stacked = [np.stack(part) for part in zip(*by_network, strict=True)]
        expected = expected_variance(stacked, statistic.inflation)
    spread = estimate_variation(values, statistic.resolution(compared[0]), expected)
    interval = spread.interval(statistic.error, statistic.sides)
    return Comparison(
        name=statistic.name,
        kind=statistic.kind,
        value=value,
        original=original,
        low=None if statistic.sides == "high" else max(interval.low, statistic.bounds[0]),
        high=None if statistic.sides == "low" else min(interval.high, statistic.bounds[1]),
        references=values,
        deviation=spread.deviation,
        freedom=spread.freedom,
        error=statistic.error,
    )
