"""What a network can still do: its accuracy in each role."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from obliq.auditing.intervals import Estimate, Interval, Z, wilson
from obliq.auditing.people import People, design_effect
from obliq.auditing.signals import RoleSignals, Signals
from obliq.errors import AuditError


@dataclass(frozen=True, kw_only=True)
class Utility:
    """The field's accuracies.

    Attributes:
        unlearning: UA = 100 - FA, in percent. Target: the retrained network's. Higher is not better: a network
            that answers everything wrong has 100.
        forget: FA, accuracy on the forget set, in percent. Target: the retrained network's.
        retain: RA, accuracy on the retain set, in percent. Target: the retrained network's or higher.
        test: TA, accuracy on unseen samples, in percent. Target: the retrained network's or higher. None without a
            test set.
    """

    unlearning: Estimate
    forget: Estimate
    retain: Estimate
    test: Estimate | None


def measure_utility(answers: RoleSignals, forgotten_classes: Collection[int] = ()) -> Utility:
    """Accuracy in every role.

    Args:
        answers: one network's signals.
        forgotten_classes: classes of which nothing is retained (`Splits.forgotten_classes`). As in the
            field, test samples of these classes do not count for TA, because correct answers to them are not wanted.

    Raises:
        AuditError: when no test sample is left to count.
    """
    forget = accuracy_estimate(answers.forget)
    return Utility(
        unlearning=_complement(forget),
        forget=forget,
        retain=accuracy_estimate(answers.retain),
        test=None if answers.test is None else _on_kept_classes(answers.test, forgotten_classes),
    )


def _on_kept_classes(test: Signals, forgotten_classes: Collection[int]) -> Estimate:
    kept = ~np.isin(test.labels.numpy(), sorted(forgotten_classes))
    if not kept.any():
        raise AuditError("every test sample is of a forgotten class; expected some of the classes that stay")
    return accuracy_estimate(test.where(kept))


def accuracy_estimate(answers: Signals) -> Estimate:
    """The share of samples whose largest logit is the true class's, in percent."""
    return share_estimate(answers.correct, answers.people)


def share_estimate(hits: Bool[ndarray, " samples"], people: People = None) -> Estimate:
    """The share of hits in percent, with the Wilson interval, widened where samples are of several people."""
    percent = 100 * float(hits.mean())
    return Estimate(percent, wilson(percent, len(hits) / design_effect([(hits.astype(np.float64), people)])))


def paired_accuracy_difference(mine: Signals, theirs: Signals) -> tuple[float, Interval]:
    """The difference of two accuracies on the same samples, in points, with a 95 % interval that has a width.

    Source: Agresti and Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in
    Medicine 2005: half an observation is added to each of the four cells, and the normal interval is taken. It is
    widened where samples are of several people.

    Raises:
        AuditError: when the networks answered different numbers of samples.
    """
    if len(mine) != len(theirs):
        raise AuditError(f"{len(mine)} and {len(theirs)} answers to compare; expected the same samples")
    better = int((mine.correct & ~theirs.correct).sum()) + 0.5
    worse = int((~mine.correct & theirs.correct).sum()) + 0.5
    samples = len(mine) + 2
    difference = (better - worse) / samples
    deviation = float(np.sqrt(max(0.0, better + worse - samples * difference**2))) / samples
    change = mine.correct.astype(np.float64) - theirs.correct
    deviation *= float(np.sqrt(design_effect([(change, mine.people)])))
    points = 100 * float(change.mean())
    return points, Interval(100 * (difference - Z * deviation), 100 * (difference + Z * deviation))


def _complement(of: Estimate) -> Estimate:
    assert of.interval is not None
    return Estimate(100 - of.value, Interval(100 - of.interval.high, 100 - of.interval.low))
