"""The statistics by which a network is compared with retrained ones: the table, and how each is computed.

`obliq.auditing.reference_comparison` compares them. To add a statistic, add an entry to `STATISTICS` or
`CLASS_STATISTICS`, take its error from others, and run `benchmarks/auditor_errors.py`.
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
from obliq.auditing.variation import Sides

Kind = Literal["memory", "utility", "answers"]
Parts = tuple[Float64[ndarray, " _"], ...]
CLIP = 6.0
"""Nats. Margins beyond it, a confidence of .9975, differ between equal trainings without any meaning."""


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
        of_classes: whether the classes that a network answers with suffice to measure it.
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
    of_classes: bool = False


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
        "of_classes": True,
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
docs/audit-format.md."""


def _probe_margins(one: Judged) -> Float64[ndarray, " samples"]:
    """The probe's score of the true class minus the highest other score; between -1 and 1 for most samples."""
    probe = one.answers.probe
    assert probe is not None  # the statistic is left out where a network has none
    scores = probe.logits.double().numpy()
    rows, labels = np.arange(len(scores)), probe.labels.numpy()
    others = scores.copy()
    others[rows, labels] = -np.inf
    margins: ndarray = scores[rows, labels] - others.max(axis=1)
    return margins


PROBE: Final = Statistic(
    "class_probe",
    "margin of a linear probe for the forgotten classes",
    "memory",
    error=0.01,
    measure=lambda one: float(_probe_margins(one).mean()),
    parts=lambda one: (_probe_margins(one),),
    resolution=lambda one: 0.01,
    digits=2,
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
