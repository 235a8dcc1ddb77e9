"""How confident a network should be on a forgotten sample: as confident as it is on unseen ones.

The network to imitate is the one retrained without the forget set, which treats those samples like
any it has never seen; and what unseen samples look like is known without retraining, from a holdout
part. Source: ours, not part of the OEU paper.
"""

from collections.abc import Collection as Container
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

FEWEST_HOLDOUT_SAMPLES = 5
FEWEST_WITH_A_SPREAD = 10
"""Of fewer forget samples, nobody can tell from their spread whether they were chosen for being hard."""


def matched_confidence(
    forget: Float[Tensor, " forget"],
    forget_labels: Int[Tensor, " forget"],
    holdout: Float[Tensor, " holdout"],
    holdout_labels: Int[Tensor, " holdout"],
    *,
    forgotten_classes: Container[int] = (),
) -> Float[Tensor, " forget"]:
    """A target confidence for each forgotten sample, by matching quantiles class by class.

    The sample at rank r of n in its class receives the holdout confidence at quantile (r + 1/2) / n of
    that class, so the forget set as a whole gets the distribution of unseen data: some samples stay
    right and confident, some become wrong.

    Args:
        forget: confidences (probability of the true class) under the original network.
        forget_labels: their true classes.
        holdout: confidences of samples that the network has never seen.
        holdout_labels: their true classes.
        forgotten_classes: classes of which nothing is retained. A network that never saw a class gives
            it no probability, whatever the original does on its unseen samples: their target is 0.

    A class with fewer than five holdout samples borrows the quantiles of all classes together.
    """
    quantiles = torch.empty_like(forget)
    for label in sorted(set(forget_labels.tolist())):
        members = (forget_labels == label).nonzero().flatten()
        quantiles[members] = _ranks(forget[members])
    return _confidence_at(quantiles, forget_labels, holdout, holdout_labels, forgotten_classes)


@dataclass(frozen=True, eq=False)
class SampleScores:
    """What one judge thinks of forget and holdout samples; a higher score is an easier sample."""

    forget: Float[Tensor, " forget"]
    holdout: Float[Tensor, " holdout"]


def shifted_confidence(
    original: SampleScores,
    witnesses: Sequence[SampleScores],
    forget_labels: Int[Tensor, " forget"],
    confidence: Float[Tensor, " holdout"],
    holdout_labels: Int[Tensor, " holdout"],
    *,
    forgotten_classes: Container[int] = (),
) -> Float[Tensor, " forget"]:
    """A target confidence for each forgotten sample of a set that may be harder than unseen data at large.

    One person's samples usually are, or are easier. Each witness that never saw the forget set places each
    sample among the holdout samples of its class, as a normal score; the sum of these is placed among the
    sums of holdout samples in the same way. These places have a mean m and a variance v, against 0 and 1
    for holdout samples. The set is taken to be distributed as `retrained_shift` says. Its samples are given the
    places of that distribution in the order of the original's and the witnesses' places added, and at each
    place the confidence that the original has there on holdout samples of the class.

    Samples of forgotten classes say nothing about the others: a witness that never saw the class has no opinion.

    Args:
        original: scores (any increasing function of its true-class confidence) of the network to unlearn;
            on forget samples only their order is used.
        witnesses: scores of each witness, at least one; see `obliq.calibration.difficulty`.
        forget_labels: the true classes of forget samples.
        confidence: the original's confidence (probability of the true class) on holdout samples.
        holdout_labels: their true classes.
        forgotten_classes: as in `matched_confidence`.

    Source: ours.
    """
    found = torch.zeros(len(forget_labels))
    kept = torch.tensor([label not in forgotten_classes for label in forget_labels.tolist()])
    if not kept.any():
        return found
    labels = forget_labels[kept]
    panel = [SampleScores(one.forget[kept], one.holdout) for one in witnesses]
    places = combined_normal_scores(panel, labels, holdout_labels)
    spread = float(places.var(correction=0)) if len(places) >= FEWEST_WITH_A_SPREAD else 1.0
    mean, variance = retrained_shift(float(places.mean()), spread)
    own = _normal_scores(original.forget[kept], labels, original.forget[kept], labels)
    order = torch.special.ndtri(_ranks(own + places))
    quantiles = torch.special.ndtr(mean + variance**0.5 * order)
    found[kept] = _confidence_at(quantiles, labels, confidence, holdout_labels, ())
    return found


def retrained_shift(mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance of a set's normal scores under a retrained network, from those under the witnesses.

    A set of unseen people is as hard for a network as for witnesses: k = 1. A set that was chosen for being hard
    or easy, which shows in its small variance, has them disagree on single samples more than on the choice,
    so a network finds it harder (easier) yet: the mean is multiplied by k = 1 + (1 - v) / 3, and
    the variance is 1 - k^2 (1 - v), kept within 1/4 and 1: no more varied than unseen data at large.

    Source: ours, and empirical. On MNIST, the best multiple was 0.9 for 60 unseen writers (v about 1), whose mean
    shift was then told with an error of 0.10, where a single witness with Spearman's correction for attenuation
    had 0.26; for the tenth of unseen images that another network found hardest it was 1.16 at v = 0.55 (and
    1.14 at 0.57 on Fashion-MNIST).
    """
    variance = max(0.25, min(1.0, variance))
    multiple = 1 + (1 - variance) / 3
    return multiple * mean, max(0.25, 1 - multiple**2 * (1 - variance))


def combined_normal_scores(
    witnesses: Sequence[SampleScores],
    forget_labels: Int[Tensor, " forget"],
    holdout_labels: Int[Tensor, " holdout"],
) -> Float[Tensor, " forget"]:
    """Where the witnesses together place each forget sample among holdout samples: normal scores."""
    forget = torch.stack(
        [_normal_scores(one.forget, forget_labels, one.holdout, holdout_labels) for one in witnesses]
    ).sum(dim=0)
    holdout = torch.stack(
        [_normal_scores(one.holdout, holdout_labels, one.holdout, holdout_labels) for one in witnesses]
    ).sum(dim=0)
    return _normal_scores(forget, forget_labels, holdout, holdout_labels)


def _confidence_at(
    quantiles: Float[Tensor, " forget"],
    labels: Int[Tensor, " forget"],
    holdout: Float[Tensor, " holdout"],
    holdout_labels: Int[Tensor, " holdout"],
    forgotten_classes: Container[int],
) -> Float[Tensor, " forget"]:
    """The confidence of holdout samples of the same class at each quantile; 0 for forgotten classes."""
    found = torch.empty_like(quantiles)
    for label, members, unseen in _by_class(labels, holdout_labels):
        found[members] = (
            0.0 if label in forgotten_classes else torch.quantile(holdout[unseen], quantiles[members])
        )
    return found


def _normal_scores(
    scores: Float[Tensor, " samples"],
    labels: Int[Tensor, " samples"],
    known: Float[Tensor, " known"],
    known_labels: Int[Tensor, " known"],
) -> Float[Tensor, " samples"]:
    """The place of each score among the known ones of its class, as a quantile of a standard normal."""
    places = torch.empty_like(scores)
    for _, members, others in _by_class(labels, known_labels):
        ordered = known[others].sort().values
        asked = scores[members].contiguous()
        below = torch.searchsorted(ordered, asked)
        up_to = torch.searchsorted(ordered, asked, right=True)
        # half way through ties, and never beyond the middle of the first or the last known one
        middle = ((below + up_to) / 2).clamp(0.5, len(ordered) - 0.5)
        places[members] = torch.special.ndtri(middle / len(ordered))
    return places


def _by_class(
    labels: Int[Tensor, " samples"], known_labels: Int[Tensor, " known"]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Each class, the positions of its samples, and which known samples stand for it: all where they are few."""
    for label in sorted(set(labels.tolist())):
        known = known_labels == label
        if int(known.sum()) < FEWEST_HOLDOUT_SAMPLES:
            known = torch.ones_like(known)
        yield label, (labels == label).nonzero().flatten(), known


def _ranks(values: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
    """The middle of each value's rank, as a share: (r + 1/2) / n."""
    ranks = torch.empty_like(values)
    ranks[values.argsort(stable=True)] = torch.arange(len(values), dtype=values.dtype)
    return (ranks + 0.5) / len(values)
