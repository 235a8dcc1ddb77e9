"""What the network still can do: accuracy in each role."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from obliq.auditing.intervals import Interval, wilson
from obliq.auditing.signals import RoleSignals, Signals
from obliq.errors import AuditError


@dataclass(frozen=True)
class Share:
    """A share of samples in percent, its Wilson 95 % interval and the number of samples."""

    percent: float
    interval: Interval
    samples: int


@dataclass(frozen=True, kw_only=True)
class Utility:
    """The field's accuracies.

    Attributes:
        unlearning: UA = 100 - FA. Target: the retrained network's. Higher is not better: a network that
            answers everything wrong has 100.
        forget: FA, accuracy on the forget set. Target: the retrained network's.
        retain: RA, accuracy on the retain set. Target: the retrained network's, at least not below it.
        test: TA, accuracy on unseen samples. Higher is better, the retrained network's is expected.
    """

    unlearning: Share
    forget: Share
    retain: Share
    test: Share


def utility(answers: RoleSignals, forgotten_classes: Collection[int] = ()) -> Utility:
    """Accuracy in every role, in evaluation mode and without augmentation.

    Args:
        answers: one network's signals.
        forgotten_classes: classes of which nothing is retained (`Splits.forgotten_classes`). As in the
            field, test samples of these classes do not count for TA: nobody wants them answered rightly.

    Raises:
        AuditError: when no test sample is left to count.
    """
    kept = ~np.isin(answers.test.labels.numpy(), sorted(forgotten_classes))
    if not kept.any():
        raise AuditError("every test sample is of a forgotten class; expected some of the classes that stay")
    forget = accuracy(answers.forget)
    return Utility(
        unlearning=Share(100 - forget.percent, _mirrored(forget.interval), forget.samples),
        forget=forget,
        retain=accuracy(answers.retain),
        test=accuracy(answers.test.where(kept)),
    )


def accuracy(answers: Signals) -> Share:
    """The share of samples whose largest logit is the true class's."""
    return share(int(answers.correct.sum()), len(answers))


def share(hits: int, samples: int) -> Share:
    """`hits` of `samples`, in percent."""
    percent = 100 * hits / samples
    return Share(percent, wilson(percent, samples), samples)


def _mirrored(interval: Interval) -> Interval:
    return Interval(100 - interval.high, 100 - interval.low)
