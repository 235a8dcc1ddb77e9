"""Attacks and scores that compare a network with reference networks: retrained ones, or ones of halves of the data."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int
from numpy import ndarray

from obliq.auditing.membership import Separation, separate
from obliq.auditing.signals import RoleSignals, Signals
from obliq.errors import AuditError


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceAnswers:
    """The answers of all reference networks to some samples, in the order of the samples.

    Attributes:
        margin: logit-scaled confidence log(p / (1 - p)) of the true class; exact near 0 and 1, see `Signals`.
        out: marks, for each sample, the OUT networks: those that count as not trained on it, the same number
            for every sample. The other networks were trained on it if it is a training sample. No network
            was trained on an unseen sample; there the others stay unused. An average over more networks varies
            less, and that alone would separate unseen samples from training samples.
    """

    margin: Float64[ndarray, "references samples"] = field(repr=False)
    out: Bool[ndarray, "references samples"] = field(repr=False)

    def __post_init__(self) -> None:
        counts = np.unique(self.out.sum(axis=0))
        if len(counts) != 1 or counts[0] < 1:
            raise AuditError(
                f"samples have {', '.join(map(str, counts)) or 'no'} reference networks that did not see them; "
                "expected the same number, at least one, for every sample"
            )
        unusable = int((~np.isfinite(self.margin)).any(axis=0).sum())
        if unusable:
            raise AuditError(f"reference networks answer {unusable} samples with NaN; expected numbers")

    def __len__(self) -> int:
        return int(self.margin.shape[1])

    @property
    def networks(self) -> int:
        """How many networks there are."""
        return int(self.margin.shape[0])

    @property
    def outsiders(self) -> int:
        """How many OUT networks each sample has."""
        return int(self.out[:, 0].sum())

    @property
    def out_margin(self) -> Float64[ndarray, "outsiders samples"]:
        """The margins of each sample's OUT networks."""
        return _by_sample(self.margin, self.out)

    @property
    def in_margin(self) -> Float64[ndarray, "insiders samples"]:
        """The margins of the others: for a training sample, of the networks trained on it."""
        return _by_sample(self.margin, ~self.out)

    def take(self, positions: Int[ndarray, " chosen"]) -> "ReferenceAnswers":
        """The samples at these positions, in their order."""
        return ReferenceAnswers(margin=self.margin[:, positions], out=self.out[:, positions])


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceSignals:
    """What an audit needs of the reference networks.

    Attributes:
        forget: answers to the forget set, in its order.
        test: answers to the test set, in its order.
    """

    forget: ReferenceAnswers
    test: ReferenceAnswers

    def __post_init__(self) -> None:
        if self.forget.outsiders != self.test.outsiders:
            raise AuditError(
                f"{self.forget.outsiders} reference networks a forget sample and {self.test.outsiders} a test "
                "sample; expected the same number, or the number alone tells them apart"
            )


def retrained_references(retrained: Sequence[RoleSignals]) -> ReferenceSignals:
    """Retrained networks as reference networks. None saw a forget or unseen sample: all are OUT networks for both."""
    return ReferenceSignals(
        forget=_outsiders([one.forget for one in retrained]),
        test=_outsiders([one.tested for one in retrained]),
    )


def _outsiders(signals: Sequence[Signals]) -> ReferenceAnswers:
    margin = np.stack([one.margin for one in signals])
    return ReferenceAnswers(margin=margin, out=np.ones_like(margin, dtype=bool))


def _by_sample(values: ndarray, chosen: ndarray) -> ndarray:
    """The chosen values of each column, packed; every column has the same number of them."""
    return np.ascontiguousarray(values.T[chosen.T].reshape(values.shape[1], -1).T)


OFFLINE = 0.3  # a of the offline form; the default of the authors' code


def rmia_separation(answers: RoleSignals, references: ReferenceSignals) -> Separation:
    """Compare forget samples with unseen ones of the same classes by RMIA's likelihood ratio r.

    Source: Zarifzadeh, Liu and Shokri, "Low-cost high-power membership inference attacks", ICML 2024; the
    offline form of their public code (ML Privacy Meter).

    The published score of a sample x is the share of population samples z with r(x) / r(z) > gamma. For one
    network, one population and one gamma, this score never falls when r(x) rises. It orders samples as r does
    and only adds ties. AUC and threshold therefore use r itself, and z and gamma drop out. They matter where one
    threshold serves several networks. The tests compare with the published score over a drawn population.

    The target is the retrained network's AUC, or 50 without one. If a person, a class or samples of one kind are
    forgotten, even the retrained network need not be at 50. Deviation: each sample is evaluated once, where the
    paper averages over augmented copies.

    Raises:
        AuditError: when the numbers of samples differ between network and references.
    """
    unseen = _unseen_references(answers, references)
    return separate(
        answers,
        rmia_log_ratio(answers.forget.margin, references.forget.out_margin),
        rmia_log_ratio(answers.unseen.margin, unseen.out_margin),
    )


def _unseen_references(answers: RoleSignals, references: ReferenceSignals) -> ReferenceAnswers:
    """The references' answers to the unseen samples of the forget set's classes."""
    for role in ("forget", "test"):
        wanted, given = len(getattr(answers, role)), len(getattr(references, role))
        if wanted != given:
            raise AuditError(
                f"reference networks answered {given} {role} samples; expected the audit's {wanted}"
            )
    return references.test.take(np.flatnonzero(answers.same_classes))


def rmia_log_ratio(
    target: Float64[ndarray, " samples"], outsiders: Float64[ndarray, "outsiders samples"]
) -> Float64[ndarray, " samples"]:
    """Log r(x) = log p_target(x) - log p(x), in nats, from logit-scaled confidences.

    p(x) is the confidence to expect of a network that was trained on x or not, with equal chance: the mean of
    an OUT and an IN confidence. In the offline form, no network was trained on x, and the IN confidence is taken as
    a q(x) + (1 - a), where q(x) is the mean confidence of the OUT networks. This gives
    p(x) = ((1 + a) q(x) + (1 - a)) / 2 with a = 0.3.

    Args:
        target: margins of the network under attack.
        outsiders: margins of each sample's OUT networks.
    """
    from scipy.special import expit  # here, as importing scipy.special takes a third of a second

    # 1 - p(x) = (1 + a) / 2 * mean(1 - confidence): summing doubts, not confidences, keeps samples apart that every
    # network is certain of, where 1 - 1e-9 would round
    doubt = (1 + OFFLINE) / 2 * expit(-outsiders).mean(axis=0)
    # log p_target = -log(1 + exp(-margin)), since the margin is the log-odds of the true class
    ratio: ndarray = -np.logaddexp(0.0, -target) - np.log1p(-doubt)
    return ratio


INTERPOLATIONS = (
    100  # networks between a reference network and the original; the default of the authors' code
)
EULER = 0.5772  # Euler's constant: the mean of a Gumbel distribution of location 0 and scale 1


def iam_separation(answers: RoleSignals, original: RoleSignals, references: ReferenceSignals) -> Separation:
    """Compare forget samples with unseen ones of the same classes by IAM: how far back is the network to the original?

    Source: Wang et al., "Towards lifecycle unlearning commitment management: measuring sample-level unlearning
    completeness" (interpolated approximate measurement), USENIX Security 2025, and its public code, which needs one
    reference network and gains little from more. The target is the retrained network's AUC, which need not be 50: the
    original, and so the way to it, treats forgotten samples and unseen ones differently.

    Deviations: the published score is the completeness of unlearning, of which this is the complement. The AUC is that
    of forget against unseen samples, as for the other attacks. All of these together give the standard deviations.

    Raises:
        AuditError: when the numbers of samples differ between network and references.
    """
    unseen = _unseen_references(answers, references)
    outsiders = np.concatenate([references.forget.out_margin, unseen.out_margin], axis=1)
    mine, before = (np.concatenate([one.forget.margin, one.unseen.margin]) for one in (answers, original))
    evidence = iam_evidence(mine, before, outsiders)
    return separate(answers, evidence[: len(answers.forget)], evidence[len(answers.forget) :])


def iam_evidence(
    target: Float64[ndarray, " samples"],
    original: Float64[ndarray, " samples"],
    outsiders: Float64[ndarray, "outsiders samples"],
) -> Float64[ndarray, " samples"]:
    """How much of the original's confidence in each sample is left, 0 to 1, from logit-scaled confidences.

    Confidence p becomes s = -log(0.01 - log(p + 1e-5)). At each of 99 shares a from 0 to below 1, s is interpolated
    from each OUT network to the original. The results are taken as a Gumbel distribution: its mean is that of the
    sample over the OUT networks, its standard deviation that over all OUT networks and samples (method of moments).
    The evidence is the mean of the target's cumulative probabilities, weighted by the next share, as in the code.

    Args:
        target: margins of the network under attack.
        original: margins of the network before the request.
        outsiders: margins of each sample's OUT networks.
    """
    mine, before, without = map(_iam_signal, (target, original, outsiders))
    way = before - without
    centre, covariance = without.mean(axis=0), np.cov(without.ravel(), way.ravel(), ddof=0)
    shares = np.linspace(0, 1, INTERPOLATIONS)
    total = np.zeros_like(mine)
    for share, weight in itertools.pairwise(shares):
        weights = np.array([1.0, share])
        variance = max(0.0, float(weights @ covariance @ weights))  # of without + share * way
        scale = np.sqrt(6 * variance) / np.pi or 1e-12  # equal signals: any scale will do
        location = centre + share * (before - centre) - EULER * scale
        # far below the location the inner exponential overflows to infinity, and the probability is 0
        total += weight * np.exp(-np.exp(np.minimum(700.0, (location - mine) / scale)))
    evidence: ndarray = total / shares[1:].sum()
    return evidence


def _iam_signal(margin: Float64[ndarray, "*networks samples"]) -> Float64[ndarray, "*networks samples"]:
    from scipy.special import expit  # here, as importing scipy.special takes a third of a second

    signal: ndarray = -np.log(0.01 - np.log(expit(margin) + 1e-5))
    return signal


MEMORISATION_VERSION = 1
"""Raised when the same answers give other memorisation scores."""


def memorisation_scores(answers: ReferenceAnswers) -> Float64[ndarray, " samples"]:
    """Mean true-class confidence of the networks trained on a sample minus that of the networks that were not.

    About 0: the other samples teach this one, too. About 1: it is memorised, as a wrong label is.

    Source: Feldman and Zhang, "What neural networks memorize and why", NeurIPS 2020: their estimator from
    networks trained on random shares of the data. Deviations: confidence instead of correctness, which varies
    less, and halves instead of shares of 70 %.

    The authors average over 2,000 networks. With four networks, a score is a coarse estimate that may be below 0:
    it can sort samples into groups, but describes no single sample. Samples selected by their scores are partly
    selected by chance of these networks. Attack them with other networks, or compare with the retrained network.

    Raises:
        AuditError: when every network counts as one that did not see the samples.
    """
    if answers.outsiders == answers.networks:
        raise AuditError("no reference network saw the samples; expected answers about training samples")
    from scipy.special import expit  # here, as importing scipy.special takes a third of a second

    scores: ndarray = expit(answers.in_margin).mean(axis=0) - expit(answers.out_margin).mean(axis=0)
    return scores
