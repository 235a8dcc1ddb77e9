"""How far a network's answer about a training sample rests on having seen that sample."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int
from numpy import ndarray

from obliq.auditing.membership import Separation
from obliq.auditing.signals import RoleSignals
from obliq.errors import AuditError


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceAnswers:
    """The answers of all reference networks about some samples, in one order.

    Attributes:
        margin: logit-scaled confidence log(p / (1 - p)) of the true class; exact near 0 and 1, see `Signals`.
        out: marks, for each sample, the networks that stand for "never saw it"; as many for every sample.
            About training samples, the other networks did see it. About unseen samples no network did, and
            the others are left unused: an average over more networks varies less, and would set the
            sample apart by itself.
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
        """How many of them stand for "never saw it", for each sample."""
        return int(self.out[:, 0].sum())

    @property
    def out_margin(self) -> Float64[ndarray, "outsiders samples"]:
        """The margins of those that did not see the sample."""
        return _by_sample(self.margin, self.out)

    @property
    def in_margin(self) -> Float64[ndarray, "insiders samples"]:
        """The margins of the others: about training samples, those that saw it."""
        return _by_sample(self.margin, ~self.out)

    def take(self, positions: Int[ndarray, " chosen"]) -> "ReferenceAnswers":
        """The samples at these positions, in their order."""
        return ReferenceAnswers(margin=self.margin[:, positions], out=self.out[:, positions])


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceSignals:
    """What an audit needs of the reference networks.

    Attributes:
        forget: about the forget set, in its order.
        test: about the test set, in its order.
    """

    forget: ReferenceAnswers
    test: ReferenceAnswers

    def __post_init__(self) -> None:
        if self.forget.outsiders != self.test.outsiders:
            raise AuditError(
                f"{self.forget.outsiders} reference networks a forget sample and {self.test.outsiders} a test "
                "sample; expected the same number, or the number alone tells them apart"
            )


def _by_sample(values: ndarray, chosen: ndarray) -> ndarray:
    """The chosen values of each column, packed; every column has the same number of them."""
    return np.ascontiguousarray(values.T[chosen.T].reshape(values.shape[1], -1).T)


OFFLINE = 0.3  # a of the offline form


def rmia_separation(answers: RoleSignals, references: ReferenceSignals) -> Separation:
    """Forget samples against unseen ones of the same classes, by the likelihood ratio r of RMIA.

    Source: Zarifzadeh, Liu and Shokri, "Low-cost high-power membership inference attacks", ICML 2024; the
    offline form of their public code (ML Privacy Meter).

    The published score of x is the share of population samples z with r(x) / r(z) > gamma. For one network,
    one population and one gamma it never falls when r(x) rises: it orders samples as r does, and only
    adds ties, all of them at its ends. AUC and threshold are therefore taken from r itself, the score over
    an unlimited population; z and gamma drop out. (They matter when one threshold serves several
    networks.) The tests compare with the published score over a drawn population.

    Target: the retrained network's AUC; 50 without one. Where a person, a class or samples of one kind (hard
    ones, say) are forgotten, even the retrained network need not be at 50. Deviation: one reading of each
    sample, where the paper averages over augmented ones.

    Raises:
        AuditError: when the references answered other numbers of samples.
    """
    for role in ("forget", "test"):
        wanted, given = len(getattr(answers, role)), len(getattr(references, role))
        if wanted != given:
            raise AuditError(
                f"reference networks answered {given} {role} samples; expected the audit's {wanted}"
            )
    unseen = references.test.take(np.flatnonzero(answers.same_classes))
    return Separation(
        rmia_log_ratio(answers.forget.margin, references.forget.out_margin),
        rmia_log_ratio(answers.unseen.margin, unseen.out_margin),
    )


def rmia_log_ratio(
    target: Float64[ndarray, " samples"], outsiders: Float64[ndarray, "outsiders samples"]
) -> Float64[ndarray, " samples"]:
    """The log of r(x) = p_target(x) / p(x), from logit-scaled confidences.

    p(x), what to expect of a network that may or may not have seen x, is ((1 + a) q(x) + (1 - a)) / 2 in the
    offline form, q the mean true-class confidence of networks that did not see x, a = 0.3. It is computed
    as 1 - (1 + a) / 2 * mean(1 - confidence), so that samples of which everybody is certain do not tie.
    """
    from scipy.special import expit  # here, as importing scipy.special takes a third of a second

    doubt = (1 + OFFLINE) / 2 * expit(-outsiders).mean(axis=0)
    ratio: ndarray = -np.logaddexp(0.0, -target) - np.log1p(-doubt)
    return ratio


MEMORISATION_VERSION = 1
"""Raised when the same answers give other memorisation scores."""


def memorisation_scores(answers: ReferenceAnswers) -> Float64[ndarray, " samples"]:
    """Mean true-class confidence of the networks that saw a sample minus that of those that did not.

    About 0: the others teach the sample too. About 1: it is learned by heart, as a wrong label is.

    Source: Feldman and Zhang, "What neural networks memorize and why", NeurIPS 2020: their estimator from
    networks that were trained on random shares of the data. Deviations: confidence in place of
    right or wrong, which varies less; halves in place of shares of 70 %. They average over 2,000 networks: with
    four, two on each side, a score is a coarse estimate that may well be below 0, good enough to sort
    samples into groups, not to speak of one of them. Samples chosen by their scores are in part chosen by chance
    of these very networks: attack them with others, or read the attack beside the retrained network's.

    Raises:
        AuditError: when every network counts as one that did not see the samples.
    """
    if answers.outsiders == answers.networks:
        raise AuditError("no reference network saw the samples; expected answers about training samples")
    from scipy.special import expit  # here, as importing scipy.special takes a third of a second

    scores: ndarray = expit(answers.in_margin).mean(axis=0) - expit(answers.out_margin).mean(axis=0)
    return scores
