"""The statistics by which a network is compared with retrained ones: one number each, and where retraining puts it.

Each statistic of a candidate is compared with those of K retrained networks by a prediction interval
(`obliq.auditing.variation`). Some statistics measure distances to the answers of the retrained networks. A retrained
network's own value is then measured from the others, so that each of them is a valid test of the rule.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from obliq.auditing.membership import Separation, confidence_separation
from obliq.auditing.signals import RoleSignals, Signals
from obliq.auditing.variation import Sides, estimate_variation, expected_variance, reach
from obliq.errors import AuditError

Kind = Literal["memory", "utility", "answers"]
Parts = tuple[Float64[ndarray, " _"], ...]
DOUBT: Final[dict[Kind, float]] = {"memory": 0.08, "answers": 0.04, "utility": 0.01}
"""The share of retrainings that each single statistic may keep from INDISTINGUISHABLE, by kind."""
CLIP = (
    6.0  # nats: margins beyond it, a confidence of .9975, differ between equal trainings without any meaning
)


@dataclass(frozen=True, eq=False)
class Judged:
    """What the statistics of one network are computed from.

    Attributes:
        answers: the network's signals in every role.
        others: those of the retrained networks that it is compared with, without itself.
        forgotten_classes: classes of which nothing is retained.
    """

    answers: RoleSignals
    others: Sequence[RoleSignals]
    forgotten_classes: frozenset[int] = frozenset()

    @cached_property
    def kept(self) -> Bool[ndarray, " test"]:
        """Marks the test samples of classes that are retained."""
        return ~np.isin(self.answers.tested.labels.numpy(), sorted(self.forgotten_classes))

    @cached_property
    def test(self) -> Signals:
        """The answers to these samples."""
        return self.answers.tested.where(self.kept)

    @cached_property
    def separation(self) -> Separation:
        """Forget samples against unseen ones by confidence."""
        return confidence_separation(self.answers)

    @cached_property
    def class_correct(self) -> Bool[ndarray, " samples"]:
        """Whether each forget sample, and each unseen one of the same classes, is answered correctly."""
        return np.concatenate([self.answers.forget.correct, self.answers.unseen.correct])

    @cached_property
    def class_margin(self) -> Float64[ndarray, " samples"]:
        """The clipped margins of the same samples."""
        return _clipped(np.concatenate([self.answers.forget.margin, self.answers.unseen.margin]))


@dataclass(frozen=True)
class Statistic:
    """One number of a network that retraining decides.

    Attributes:
        name: in audit.json.
        words: what it is, in a few plain words.
        kind: `memory` of the forget set, `utility` on other data, or other properties of the `answers` to unseen data.
        error: the share of the whole error of 5 % that this statistic may use.
        sides: on which side of the interval a value counts as outside.
        measure: the number.
        resolution: the smallest standard deviation that is believed, see `estimate_variation`.
        parts: what each sample contributes to the number, for each set of samples over which it is a mean; see
            `expected_variance`. None for numbers that are no means.
        bounds: the smallest and the largest value that there is.
        digits: decimals to show.
    """

    name: str
    words: str
    kind: Kind
    _: KW_ONLY
    error: float
    measure: Callable[[Judged], float]
    resolution: Callable[[Judged], float]
    parts: Callable[[Judged], Parts] | None = None
    sides: Sides = "both"
    bounds: tuple[float, float] = (-math.inf, math.inf)
    digits: int = 1


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
        furthest = reach(len(self.references), self.freedom, DOUBT[self.kind], self.sides)
        wrong_side = self.sides == "both" or (self.deviations > 0) == (self.sides == "high")
        return wrong_side and abs(self.deviations) > furthest

    @property
    def is_nearer_to_original(self) -> bool:
        """Whether the network is nearer to the original than to the mean of the retrained networks."""
        return abs(self.value - self.original) < abs(self.value - self.centre)

    @property
    def is_no_worse_than_original(self) -> bool:
        """Whether an original that is outside, too, explains a value below the interval."""
        if self.low is None or self.outside(self.original) >= 0:
            return False
        return self.value >= self.original - (self.centre - self.low)

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
    compared = [Judged(answers, references, forgotten_classes) for answers in (candidate, original)]
    among = [
        Judged(answers, [*references[:place], *references[place + 1 :]], forgotten_classes)
        for place, answers in enumerate(references)
    ]
    table: Sequence[Statistic] = CLASS_STATISTICS if forgotten_classes else STATISTICS
    if any(one.probe is None for one in (candidate, original, *references)):
        table = [statistic for statistic in table if statistic is not PROBE]
    return tuple(_compared(statistic, compared, among) for statistic in table)


def _compared(statistic: Statistic, compared: Sequence[Judged], among: Sequence[Judged]) -> Comparison:
    value, original = (statistic.measure(one) for one in compared)
    values = tuple(statistic.measure(one) for one in among)
    expected = None
    if statistic.parts is not None:
        by_network = [statistic.parts(one) for one in among]
        expected = expected_variance([np.stack(part) for part in zip(*by_network, strict=True)])
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


def _clipped(margin: Float64[ndarray, " samples"]) -> Float64[ndarray, " samples"]:
    bounded: ndarray = CLIP * np.tanh(margin / CLIP)
    return bounded


def _share(hits: Callable[[Judged], Bool[ndarray, " samples"]]) -> dict[str, Any]:
    """How to measure the share of hits, in percent."""
    return {
        "measure": lambda one: 100 * float(hits(one).mean()),
        "resolution": lambda one: 100 / len(hits(one)),
        "parts": lambda one: (100.0 * hits(one),),
        "bounds": (0.0, 100.0),
    }


def _deviation(one: Judged) -> float:
    """The common standard deviation of the margins of forget and unseen samples."""
    return float(np.sqrt((one.answers.forget.margin.var() + one.answers.unseen.margin.var()) / 2))


def _margin_gap(one: Judged) -> float:
    """Mean margin of forget samples minus that of unseen ones, over their common standard deviation (Cohen's d).

    A temperature on the logits changes margins and deviation alike, and leaves this number as it is. So does a
    general shift of confidence.
    """
    forget, unseen = _standard_margins(one)
    return float(forget.mean() - unseen.mean())


def _standard_margins(one: Judged) -> Parts:
    scale = _deviation(one) or 1.0  # margins that are all equal have no gap, whatever the scale
    return one.answers.forget.margin / scale, one.answers.unseen.margin / scale


def _confidence_level(one: Judged) -> float:
    """Log of the median absolute margin on unseen samples of retained classes: a temperature shifts it."""
    return float(np.log(np.median(np.abs(one.test.margin)) + 1e-6))


def _scatter(one: Judged) -> float:
    """Log variance of the differences to the retrained networks' mean answers on unseen samples: noise raises it."""
    mean = np.mean([_clipped(other.tested.margin[one.kept]) for other in one.others], axis=0)
    return float(np.log(np.var(_clipped(one.test.margin) - mean) + 1e-6))


_SMALL = 0.02  # of a standard deviation (`margin_gap`), or a factor of 1.02 (logarithms)
_UTILITY = (
    Statistic(
        "retain_accuracy",
        "correct answers on retained samples, %",
        "utility",
        error=0.005,
        sides="low",
        **_share(lambda one: one.answers.retain.correct),
    ),
    Statistic(
        "test_accuracy",
        "correct answers on unseen samples, %",
        "utility",
        error=0.005,
        sides="low",
        **_share(lambda one: one.test.correct),
    ),
    Statistic(
        "confidence_level",
        "level of confidence on unseen samples (log)",
        "answers",
        error=0.005,
        measure=_confidence_level,
        resolution=lambda one: _SMALL,
        digits=2,
    ),
    Statistic(
        "scatter",
        "scatter of answers on unseen samples (log)",
        "answers",
        error=0.005,
        sides="high",
        measure=_scatter,
        resolution=lambda one: _SMALL,
        digits=2,
    ),
)


def _gap(error: float) -> Statistic:
    return Statistic(
        "margin_gap",
        "confidence on forgotten minus unseen samples, standardised",
        "memory",
        error=error,
        measure=_margin_gap,
        parts=_standard_margins,
        resolution=lambda one: _SMALL,
        digits=2,
    )


def _area(error: float) -> Statistic:
    return Statistic(
        "auc_forget_vs_test",
        "forgotten samples recognised among unseen ones (AUC), %",
        "memory",
        error=error,
        measure=lambda one: one.separation.auc,
        parts=lambda one: tuple(100 * part for part in one.separation.placements),
        # one sample that moves past all the others
        resolution=lambda one: 100 / min(len(one.answers.forget), len(one.answers.unseen)),
        bounds=(0.0, 100.0),
    )


STATISTICS: Final = (
    _gap(0.015),
    _area(0.01),
    Statistic(
        "forget_accuracy",
        "correct answers on forgotten samples, %",
        "memory",
        error=0.005,
        **_share(lambda one: one.answers.forget.correct),
    ),
    *_UTILITY,
)
"""For requests of people, random shares and listed samples. The errors follow from what had power in trials: see
docs/verdict.md."""


def _probe_correct(one: Judged) -> Bool[ndarray, " samples"]:
    assert one.answers.probe is not None  # the statistic is left out where a network has none
    return one.answers.probe.correct


PROBE: Final = Statistic(
    "class_probe",
    "forgotten classes recognised by a linear probe on features, %",
    "memory",
    error=0.01,
    **_share(_probe_correct),
)
"""Left out where features are not known, as for files."""

CLASS_STATISTICS: Final = (
    Statistic(
        "class_accuracy",
        "correct answers on the forgotten classes, %",
        "memory",
        error=0.01,
        **_share(lambda one: one.class_correct),
    ),
    Statistic(
        "class_confidence",
        "mean margin on the forgotten classes, nats",
        "memory",
        error=0.005,
        measure=lambda one: float(one.class_margin.mean()),
        parts=lambda one: (one.class_margin,),
        resolution=lambda one: 0.1,
        digits=2,
    ),
    PROBE,
    _gap(0.0025),
    _area(0.0025),
    *_UTILITY,
)
"""For requests of whole classes."""

EVERY_STATISTIC: Final = {one.name: one for one in (*STATISTICS, *CLASS_STATISTICS)}
"""By name, for those who show comparisons."""
