"""Membership inference from one network: does it treat forget samples as training data?"""

import functools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64, Int
from numpy import ndarray

from obliq.auditing.accuracy import share_estimate
from obliq.auditing.intervals import Estimate, Interval, Z, wilson
from obliq.auditing.people import design_effect
from obliq.auditing.signals import RoleSignals

GRID = 1000  # confidences are merged to multiples of 1/1000 before the fit
MINIMUM_UNSEEN = 100  # below this, 1 % of the unseen samples is less than one sample


def svc_attack(answers: RoleSignals) -> Estimate:
    """The share of forget samples that a support vector classifier takes for non-members, in percent.

    This is the "MIA" of unlearning papers. Higher is not better: the target is the retrained network's value,
    which is far from both 0 and 100.

    Source: the evaluation published with SalUn (Fan et al., ICLR 2024) and used by Q-MUL (ICCV 2025); its
    entry "confidence". The classifier has C = 3, gamma = "auto" and a radial kernel, and its only input is
    the probability of the true class. Members (label 1) are the first n retain samples in the order of the
    data set, with n the size of the test set. Non-members (label 0) are the test set.

    Deviations:

    - Training confidences are rounded to multiples of 1/1000, and equal ones become one weighted point. At
      most 2,002 points remain, which makes the fit about a hundred times faster. Tests hold the result within
      0.5 points of the plain fit.
    - If the retain set is smaller than the test set, the public code stops. Here all retain samples meet
      as many test samples, evenly spaced: with unequal numbers, the classifier assigns every sample to
      the larger group.
    """
    test = answers.tested
    count = min(len(answers.retain), len(test))
    chosen = np.linspace(0, len(test) - 1, count).round().astype(int)
    non_members = test.confidence[chosen]
    outsider = ~svc_membership(answers.retain.confidence[:count], non_members, answers.forget.confidence)
    return share_estimate(outsider, answers.forget.people)


def svc_membership(
    members: Float64[ndarray, " members"],
    non_members: Float64[ndarray, " non_members"],
    judged: Float64[ndarray, " judged"],
) -> ndarray:
    """Fit the classifier on members and non-members; whether it takes each of `judged` for a member."""
    points, weights, labels = [], [], []
    for label, confidences in ((0, non_members), (1, members)):
        values, counts = _merged(confidences)
        points.append(values)
        weights.append(counts.astype(np.float64))
        labels.append(np.full(len(values), label))
    from sklearn.svm import SVC  # here, as importing scikit-learn takes a third of a second

    # An integer weight w multiplies a point's C, so the objective is that of w equal points: the merged problem
    # differs from the plain one only by the rounding to the grid.
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
    """How well one score separates forget samples from unseen ones: the AUC, which has two wrong sides.

    AUC = P(score of a forget sample > score of an unseen one) + P(equal) / 2, in percent. The target is the
    retrained network's AUC, or 50. Above the target, the network still recognises the samples. Below it, the
    network treats them worse than samples that it never saw, which sets them apart as well.

    Source of the paired interval: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more
    correlated receiver operating characteristic curves", Biometrics 1988, in the midrank form of Sun and Xu,
    "Fast implementation of DeLong's algorithm", IEEE Signal Processing Letters 2014. Intervals are widened where a side
    has samples of several people, see `design_effect`.

    Attributes:
        forget: the score of each forget sample.
        unseen: the score of each sample of the same classes that no network was trained on.
        forget_people, unseen_people: whose each sample is; None where that is not recorded.
    """

    forget: Float[ndarray, " forget"]
    unseen: Float[ndarray, " unseen"]
    forget_people: Int[ndarray, " forget"] | None = None
    unseen_people: Int[ndarray, " unseen"] | None = None

    @cached_property
    def auc(self) -> float:
        """The area, in percent."""
        return 100 * float(self.placements[0].mean())

    @cached_property
    def interval(self) -> Interval:
        """Newcombe's 95 % interval, which holds what it promises near 100 and for few samples, too."""
        effect = self._design_effect(*self.placements)
        return score_interval(self.auc, len(self.forget) / effect, len(self.unseen) / effect)

    @property
    def estimate(self) -> Estimate:
        """The area with its interval."""
        return Estimate(self.auc, self.interval)

    def minus(self, other: "Separation") -> tuple[float, Interval]:
        """The difference of two networks' AUCs on the same samples, in points, with the paired interval.

        The AUC is a mean of placements over samples, so that differences of placements are one per sample.
        Their variance contains the covariance of the two networks, which makes the interval narrow where
        both networks find the same samples easy. Where nothing varies, as for scores that are all equal, the
        interval has the width of an AUC's own.
        """
        differences = [a - b for a, b in zip(self.placements, other.placements, strict=True)]
        deviation = _deviation(*differences) * float(np.sqrt(self._design_effect(*differences)))
        difference = self.auc - other.auc
        half = Z * deviation or self.interval.half_width
        return difference, Interval(difference - half, difference + half)

    @cached_property
    def recognised_at_one_percent(self) -> Estimate | None:
        """The share of forget samples above a threshold that at most 1 % of the unseen exceed; 1 by chance.

        The field's TPR at 1 % FPR. None for fewer than 100 unseen samples.

        The threshold is itself an estimate. Its interval lies between two order statistics of the unseen samples, since
        the number of these above the true threshold is binomial. The share's interval reaches from Wilson's lower end
        at the upper threshold to its upper end at the lower one. In simulations it held the true share in 94 to 100 %
        of cases; with the threshold taken as known, in 34 to 86 %.
        """
        count = len(self.unseen)
        if count < MINIMUM_UNSEEN:
            return None
        falling = np.sort(self.unseen)[::-1]
        # of n unseen samples sorted downwards, the one at place floor(n / 100) has at most 1 % above it
        share = self._share_above(float(falling[count // 100]))
        fewest, most = _above_threshold(count)
        strict = self._share_above(np.inf if fewest == 0 else float(falling[fewest - 1]))
        lenient = self._share_above(float(falling[most]))
        above = (self.forget > falling[count // 100]).astype(np.float64)
        samples = len(self.forget) / design_effect([(above, self.forget_people)])
        return Estimate(share, Interval(wilson(strict, samples).low, wilson(lenient, samples).high))

    def _design_effect(
        self, forget: Float64[ndarray, " forget"], unseen: Float64[ndarray, " unseen"]
    ) -> float:
        return design_effect([(forget, self.forget_people), (unseen, self.unseen_people)])

    def _share_above(self, threshold: float) -> float:
        """The share of forget samples above a threshold, in percent."""
        return 100 * float((self.forget > threshold).mean())

    @cached_property
    def placements(self) -> tuple[Float64[ndarray, " forget"], Float64[ndarray, " unseen"]]:
        """DeLong's structural components V10 and V01, whose means are the AUC.

        V10 has, for each forget sample, the share of unseen samples with a lower score. V01 has, for each unseen
        sample, the share of forget samples with a higher score. Ties count half. Midranks give them in
        O(n log n): a sample's midrank among all samples minus its midrank within its own group is the number of
        samples of the other group below it.
        """
        from scipy.stats import rankdata  # here, as importing scipy.stats takes half a second

        count = len(self.forget)
        ranks = rankdata(np.concatenate([self.forget, self.unseen]))
        below = (ranks[:count] - rankdata(self.forget)) / len(self.unseen)
        above = 1 - (ranks[count:] - rankdata(self.unseen)) / count
        return below, above


def confidence_separation(answers: RoleSignals) -> Separation:
    """Compare forget samples with unseen ones of the same classes by the confidence in the true class.

    The score is the logit-scaled confidence. It orders samples as confidence does, without ties at 1, where
    float32 confidences of certain networks collapse.
    """
    return separate(answers, answers.forget.margin, answers.unseen.margin)


def separate(
    answers: RoleSignals, forget: Float[ndarray, " forget"], unseen: Float[ndarray, " unseen"]
) -> Separation:
    """Compare forget samples with unseen ones of the same classes by any score."""
    return Separation(forget, unseen, answers.forget.people, answers.unseen.people)


def score_interval(auc: float, forget: float, unseen: float) -> Interval:
    """Newcombe's interval of an AUC, in percent, from the AUC and the numbers of samples alone.

    It contains every t with abs(A - t) <= Z sqrt(V(t)), where V is Hanley and McNeil's variance with both numbers
    replaced by their mean N: V(t) = t (1 - t) (1 + (N - 1) ((1 - t) / (2 - t) + t / (1 + t))) / (m n). In simulations
    it held the true AUC in 94 to 100 % of cases; DeLong's in 77 to 90 % at an AUC of 95 and more with 40 samples.

    Source: Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2",
    Statistics in Medicine 2006, method 5.
    """
    share, mean = auc / 100, (forget + unseen) / 2

    def excess(true: float) -> float:
        spread = 1 + (mean - 1) * ((1 - true) / (2 - true) + true / (1 + true))
        return abs(share - true) - Z * float(np.sqrt(true * (1 - true) * spread / (forget * unseen)))

    def end(outer: float) -> float:
        """Where the excess changes its sign between the AUC and an end of the scale, by bisection."""
        inner = share
        for _ in range(50):
            middle = (inner + outer) / 2
            inner, outer = (inner, middle) if excess(middle) > 0 else (middle, outer)
        return 100 * inner

    return Interval(0.0 if share == 0 else end(0.0), 100.0 if share == 1 else end(1.0))


@functools.cache
def _above_threshold(unseen: int) -> tuple[int, int]:
    """The least and the most unseen samples that lie above the true threshold of 1 %, in 80 % of cases.

    80 % because the other end of the interval has a chance of its own; see `Separation.recognised_at_one_percent`.
    """
    from scipy.special import bdtr  # here, as importing scipy.special takes a third of a second

    below = bdtr(np.arange(unseen + 1), unseen, 0.01)  # probabilities of at most that many
    return int(np.searchsorted(below, 0.1)), int(np.searchsorted(below, 0.9))


def _deviation(forget: Float64[ndarray, " forget"], unseen: Float64[ndarray, " unseen"]) -> float:
    """DeLong's standard error in percent: sqrt(var(V10) / m + var(V01) / n), for m forget and n unseen samples.

    0 where a side has one sample or nothing varies.
    """
    if min(len(forget), len(unseen)) < 2:
        return 0.0
    variance = forget.var(ddof=1) / len(forget) + unseen.var(ddof=1) / len(unseen)
    return 100 * float(np.sqrt(variance))
