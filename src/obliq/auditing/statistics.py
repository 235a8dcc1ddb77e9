"""The table of statistics by which a network is compared with retrained ones, and how each is computed.

`obliq.auditing.reference_comparison` compares them. To add a statistic, add an entry to `STATISTICS` or
`CLASS_STATISTICS`, take its error from others, and run `benchmarks/auditor_errors.py`.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from obliq.auditing.membership import Separation
from obliq.auditing.signals import Signals
from obliq.auditing.statistic import Judged, Parts, Statistic, clipped


def _share(hits: Callable[[Judged], Bool[ndarray, " samples"]]) -> dict[str, Any]:
    """How to measure the share of hits, in percent."""
    return {
        "measure": lambda one: 100 * float(hits(one).mean()),
        "resolution": lambda one: 100 / len(hits(one)),
        "parts": lambda one: (100.0 * hits(one),),
        "bounds": (0.0, 100.0),
        "of_classes": True,
    }


def _area(separation: Callable[[Judged], Separation]) -> dict[str, Any]:
    """How to measure an AUC, in percent."""
    return {
        "measure": lambda one: separation(one).auc,
        "parts": lambda one: tuple(100 * part for part in separation(one).placements),
        # one sample that moves past all the others
        "resolution": lambda one: 100 / min(len(separation(one).forget), len(separation(one).unseen)),
        "bounds": (0.0, 100.0),
    }


def _gap(sets: Callable[[Judged], tuple[Signals, Signals]]) -> dict[str, Any]:
    """How to measure the mean margin of one set minus that of another, over their standard deviation (Cohen's d).

    A temperature on the logits changes margins and deviation alike, and leaves this number as it is. So does a
    general shift of confidence.
    """

    def parts(one: Judged) -> Parts:
        first, second = (signals.margin for signals in sets(one))
        # margins that are all equal have no gap, whatever the scale
        scale = float(np.sqrt((first.var() + second.var()) / 2)) or 1.0
        return first / scale, second / scale

    def measure(one: Judged) -> float:
        first, second = parts(one)
        return float(first.mean() - second.mean())

    return {"measure": measure, "parts": parts, "resolution": lambda one: _SMALL, "digits": 2}


def _confidence_level(one: Judged) -> float:
    """Log of the median absolute margin on unseen samples of retained classes: a temperature shifts it."""
    return float(np.log(np.median(np.abs(one.answers.tested.margin[one.kept])) + 1e-6))


def _scatter(one: Judged) -> float:
    """Log variance of the differences to the retrained networks' mean answers on unseen samples."""
    mean = np.mean([clipped(other.tested.margin[one.kept]) for other in one.others], axis=0)
    return _log_variance(float(np.var(clipped(one.answers.tested.margin[one.kept]) - mean)), one)


def _noise(one: Judged) -> float:
    """Log variance of the same differences in the third of all directions of the logits that varies least.

    Networks differ from each other along few directions, such as between two classes that are alike. Noise has the
    same variance along every direction, and therefore shows first where networks differ least. The value is the mean
    logarithm of the smallest third of the eigenvalues of the differences' covariance.
    """
    classes = [number for number in range(one.answers.forget.classes) if number not in one.forgotten_classes]
    if len(classes) < 2:
        return 0.0  # one class is left, whose logit alone means nothing

    others = sum(other.tested.logits.double() for other in one.others) / len(one.others)
    difference: ndarray = (one.answers.tested.logits.double() - others).numpy()[one.kept][:, classes]
    difference = difference - difference.mean(axis=1, keepdims=True)
    difference -= difference.mean(axis=0)
    # the first one is zero, as the differences of a sample add up to zero
    variances = np.linalg.eigvalsh(difference.T @ difference / len(difference))[1:]
    least = variances[: max(1, len(variances) // 3)].clip(min=0)
    return float(np.mean([_log_variance(float(variance), one) for variance in least]))


def _log_variance(variance: float, one: Judged) -> float:
    """The logarithm, corrected for the variance of the mean over the other networks.

    A network's difference to the mean of n others has 1 + 1 / n times the variance of a single network.
    """
    return float(np.log(variance + 1e-6) - np.log1p(1 / len(one.others)))


_SMALL = 0.02  # of a standard deviation (gaps), or a factor of 1.02 (logarithms)
_OTHERS = (
    Statistic(
        "retain_accuracy",
        "correct answers on retained samples, %",
        "utility",
        label="RA, %",
        error=0.0025,
        sides="low",
        inflation=5.0,
        **_share(lambda one: one.answers.retain.correct),
    ),
    Statistic(
        "test_accuracy",
        "correct answers on unseen samples, %",
        "utility",
        label="TA, %",
        error=0.0025,
        sides="low",
        **_share(lambda one: one.test.correct),
    ),
    Statistic(
        "confidence_level",
        "level of confidence on unseen samples (log)",
        "answers",
        label="confidence on unseen",
        error=0.0025,
        measure=_confidence_level,
        resolution=lambda one: _SMALL,
        usual=0.03,
        digits=2,
    ),
    Statistic(
        "scatter",
        "scatter of answers on unseen samples (log)",
        "answers",
        label="scatter of answers, log",
        error=0.005,
        sides="high",
        measure=_scatter,
        resolution=lambda one: _SMALL,
        usual=0.15,
        digits=2,
    ),
    Statistic(
        "noise",
        "noise in answers to unseen samples (log)",
        "answers",
        label="noise in answers, log",
        error=0.0025,
        sides="high",
        measure=_noise,
        resolution=lambda one: _SMALL,
        usual=0.15,
        digits=2,
    ),
)


def _recognition(gap: float, area: float) -> tuple[Statistic, ...]:
    """The statistics of memory that every request has, with their errors."""
    return (
        Statistic(
            "margin_gap",
            "confidence on forgotten minus unseen samples, standardised",
            "memory",
            label="confidence gap",
            error=gap,
            **_gap(lambda one: (one.answers.forget, one.answers.unseen)),
        ),
        Statistic(
            "auc_forget_vs_test",
            "forgotten samples recognised among unseen ones (AUC), %",
            "memory",
            label="AUC, %",
            error=area,
            **_area(lambda one: one.separation),
        ),
    )


def _after_relearning(one: Judged) -> tuple[Signals, Signals]:
    relearned = one.answers.relearned
    assert relearned is not None  # the statistic is left out where a network has none
    return relearned.forget, relearned.unseen


RELEARNED_GAP: Final = Statistic(
    "relearned_gap",
    "confidence on forgotten minus unseen samples after relearning, standardised",
    "memory",
    label="confidence gap, relearned",
    error=0.0075,
    **_gap(_after_relearning),
)
"""Left out where it was not measured, as for files."""

STATISTICS: Final = (
    *_recognition(0.015, 0.0025),
    Statistic(
        "iam_auc",
        "forgotten samples recognised by the attack IAM, which knows the original, %",
        "memory",
        label="AUC by IAM, %",
        error=0.0075,
        **_area(lambda one: one.interpolated),
    ),
    RELEARNED_GAP,
    Statistic(
        "forget_accuracy",
        "correct answers on forgotten samples, %",
        "memory",
        label="FA, %",
        error=0.0025,
        **_share(lambda one: one.answers.forget.correct),
    ),
    *_OTHERS,
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
    label="linear probe, class",
    error=0.01,
    measure=lambda one: float(_probe_margins(one).mean()),
    parts=lambda one: (_probe_margins(one),),
    resolution=lambda one: 0.01,
    inflation=4.0,
    digits=2,
)
"""Left out where features are not known, as for files."""

CLASS_STATISTICS: Final = (
    Statistic(
        "class_accuracy",
        "correct answers on the forgotten classes, %",
        "memory",
        label="correct on class, %",
        error=0.01,
        **_share(lambda one: one.class_correct),
    ),
    Statistic(
        "class_confidence",
        "mean margin on the forgotten classes, nats",
        "memory",
        label="confidence on class",
        error=0.005,
        # no parts: all samples of a class move together, by 150 times the variance of independent ones
        measure=lambda one: float(one.class_margin.mean()),
        resolution=lambda one: 0.1,
        digits=2,
    ),
    PROBE,
    *_recognition(0.005, 0.005),
    *_OTHERS,
)
"""For requests of whole classes."""

EVERY_STATISTIC: Final = {one.name: one for one in (*STATISTICS, *CLASS_STATISTICS)}
"""By name, for those who show comparisons."""
