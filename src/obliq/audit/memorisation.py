"""How far a network's answer about a training sample rests on having seen that sample."""

from jaxtyping import Float64
from numpy import ndarray
from scipy.special import expit

from obliq.audit.reference_signals import ReferenceAnswers
from obliq.errors import AuditError


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
    scores: ndarray = expit(answers.in_margin).mean(axis=0) - expit(answers.out_margin).mean(axis=0)
    return scores
