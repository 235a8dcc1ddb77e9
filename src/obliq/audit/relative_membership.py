"""RMIA: is the network surer of a sample than networks that never saw it?"""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.special import expit

from obliq.audit.membership import Separation
from obliq.audit.reference_signals import ReferenceSignals
from obliq.audit.signals import RoleSignals
from obliq.errors import AuditError

OFFLINE = 0.3  # a of the offline form


def relative_separation(answers: RoleSignals, references: ReferenceSignals) -> Separation:
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
        log_ratio(answers.forget.margin, references.forget.out_margin),
        log_ratio(answers.unseen.margin, unseen.out_margin),
    )


def log_ratio(
    target: Float64[ndarray, " samples"], outsiders: Float64[ndarray, "outsiders samples"]
) -> Float64[ndarray, " samples"]:
    """The log of r(x) = p_target(x) / p(x), from logit-scaled confidences.

    p(x), what to expect of a network that may or may not have seen x, is ((1 + a) q(x) + (1 - a)) / 2 in the
    offline form, q the mean true-class confidence of networks that did not see x, a = 0.3. It is computed
    as 1 - (1 + a) / 2 * mean(1 - confidence), so that samples of which everybody is certain do not tie.
    """
    doubt = (1 + OFFLINE) / 2 * expit(-outsiders).mean(axis=0)
    ratio: ndarray = -np.logaddexp(0.0, -target) - np.log1p(-doubt)
    return ratio
