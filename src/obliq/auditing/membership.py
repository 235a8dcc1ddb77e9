"""Attacks that try to tell who was in the training data."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64, Int
from numpy import ndarray

from obliq.auditing.accuracy import share_estimate
from obliq.auditing.intervals import Estimate, Interval, Z, wilson
from obliq.auditing.signals import RoleSignals

GRID = 1000  # confidences are merged to multiples of 1/1000 before the fit
LEAST_FOR_ONE_PERCENT = 100  # below this, 1 % of the non-members is less than one sample


def svc_attack(answers: RoleSignals) -> Estimate:
    """The share of forget samples that a support vector classifier takes for non-members, in percent.

    This is the "MIA" that the field prints. Higher is not better: the target is the retrained network's
    value, which is far from both 0 and 100, and the number can only be read next to it.

    Source: the evaluation published with SalUn (Fan et al., ICLR 2024), shared by Q-MUL (ICCV 2025); the
    entry "confidence". An SVC with C = 3, gamma = "auto" and a radial kernel learns from the probability of
    the true class alone. Members (label 1): the first |test| samples of the retain set in the order of the
    data set, read with the test transform. Non-members (label 0): the test set. It then judges the
    forget set.

    Deviations: confidences of the shadow samples are merged to multiples of 1/1000 and weighted, which
    solves the same problem on at most 2,002 points (within 0.5 points of the plain fit, tested, and some
    hundred times faster). Where the retain set is shorter than the test set, which the public code
    cannot handle, all of it is taken with as many test samples, evenly spaced: with unequal numbers the
    classifier calls everything by the more frequent label, and the attack says nothing.
    """
    count = min(len(answers.retain), len(answers.test))
    chosen = np.linspace(0, len(answers.test) - 1, count).round().astype(int)
    non_members = answers.test.confidence[chosen]
    outsider = ~svc_membership(answers.retain.confidence[:count], non_members, answers.forget.confidence)
    return share_estimate(int(outsider.sum()), len(answers.forget))


def svc_membership(
    members: Float64[ndarray, " members"],
    non_members: Float64[ndarray, " non_members"],
    judged: Float64[ndarray, " judged"],
) -> ndarray:
    """Whether each of `judged` is taken for a member by the classifier that learned from the other two."""
    points, weights, labels = [], [], []
    for label, confidences in ((0, non_members), (1, members)):
        values, counts = _merged(confidences)
        points.append(values)
        weights.append(counts.astype(np.float64))
        labels.append(np.full(len(values), label))
    from sklearn.svm import SVC  # here, as importing scikit-learn takes a third of a second

    attack = SVC(C=3, gamma="auto", kernel="rbf")
    attack.fit(np.concatenate(points)[:, None], np.concatenate(labels), sample_weight=np.concatenate(weights))
    return np.asarray(attack.predict(judged[:, None]) == 1)


def _merged(
    confidences: Float64[ndarray, " samples"],
) -> tuple[Float64[ndarray, " points"], Int[ndarray, " points"]]:
    values, counts = np.unique(np.round(confidences * GRID), return_counts=True)
    return values / GRID, counts


@dataclass(frozen=True, eq=False)
class Separation:
    """How far forget samples stand apart from unseen ones, by one score: the two-sided AUC.

    AUC = P(score of a forget sample > score of an unseen one) + P(equal) / 2, in percent. Target 50, or the
    retrained network's. Above: the network still recognises what it should forget. Below: it treats
    these samples worse than anything it never saw, which gives them away as well.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 1988, in the midrank form of Sun and Xu (2014).
    Samples count as independent; many samples of one person are not quite, so intervals are a little narrow.

    Attributes:
        forget: the score of each forget sample.
        unseen: the score of each sample of the same classes that no network was trained on.
    """

    forget: Float[ndarray, " forget"]
    unseen: Float[ndarray, " unseen"]

    @cached_property
    def auc(self) -> float:
        """The area, in percent."""
        return 100 * float(self._placements[0].mean())

    @cached_property
    def interval(self) -> Interval:
        """DeLong's 95 % interval; Wilson's at the smaller number of samples where DeLong's has no width."""
        deviation = _deviation(*self._placements)
        if deviation == 0:
            return wilson(self.auc, min(len(self.forget), len(self.unseen)))
        return Interval(max(0.0, self.auc - Z * deviation), min(100.0, self.auc + Z * deviation))

    @property
    def estimate(self) -> Estimate:
        """The area with its interval."""
        return Estimate(self.auc, self.interval)

    def minus(self, other: "Separation") -> tuple[float, Interval]:
        """The difference of two networks' AUCs on the same samples, in points, with the paired interval."""
        deviation = _deviation(*(a - b for a, b in zip(self._placements, other._placements, strict=True)))
        difference = self.auc - other.auc
        return difference, Interval(difference - Z * deviation, difference + Z * deviation)

    @cached_property
    def recognised_at_one_percent(self) -> Estimate | None:
        """Forget samples above a threshold that at most 1 % of the unseen exceed; target 1.

        None for fewer than 100 unseen samples, of which 1 % is nobody.
        """
        if len(self.unseen) < LEAST_FOR_ONE_PERCENT:
            return None
        threshold = np.sort(self.unseen)[::-1][len(self.unseen) // 100]
        return share_estimate(int((self.forget > threshold).sum()), len(self.forget))

    @cached_property
    def _placements(self) -> tuple[Float64[ndarray, " forget"], Float64[ndarray, " unseen"]]:
        """The share of unseen samples below each forget sample, and of forget ones above each unseen one."""
        from scipy.stats import rankdata  # here, as importing scipy.stats takes half a second

        count = len(self.forget)
        ranks = rankdata(np.concatenate([self.forget, self.unseen]))
        below = (ranks[:count] - rankdata(self.forget)) / len(self.unseen)
        above = 1 - (ranks[count:] - rankdata(self.unseen)) / count
        return below, above


def confidence_separation(answers: RoleSignals) -> Separation:
    """Compare forget samples with unseen ones of the same classes by the confidence in the true class.

    The score is the logit-scaled confidence: it ranks as confidence does and never ties at 1.
    """
    return Separation(answers.forget.margin, answers.unseen.margin)


def _deviation(forget: Float64[ndarray, " forget"], unseen: Float64[ndarray, " unseen"]) -> float:
    """The standard error, in percent; 0 where a side has one sample or nothing varies."""
    if min(len(forget), len(unseen)) < 2:
        return 0.0
    variance = forget.var(ddof=1) / len(forget) + unseen.var(ddof=1) / len(unseen)
    return 100 * float(np.sqrt(variance))
