"""Targets: forgotten samples get the confidences that the original network has on unseen samples.

The network to imitate is the one retrained without the forget set. It treats those samples like any others that it
never saw. How the original treats unseen samples is known without retraining, from the holdout set.

Source: ours; see `obliq.methods.calibrated` for precedents.
"""

from collections.abc import Collection as Container
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

FEWEST_HOLDOUT_SAMPLES = 5
FEWEST_WITH_A_SPREAD = 10
"""With fewer forget samples, their variance does not show whether they were chosen for being hard."""


def matched_confidence(
    forget: Float[Tensor, " forget"],
    forget_labels: Int[Tensor, " forget"],
    holdout: Float[Tensor, " holdout"],
    holdout_labels: Int[Tensor, " holdout"],
    *,
    forgotten_classes: Container[int] = (),
) -> Float[Tensor, " forget"]:
    """A target confidence for each forgotten sample, by matching quantiles class by class.

    The sample at rank r of n in its class (from 0) receives the holdout confidence at quantile (r + 1/2) / n of that
    class. So the forget set as a whole gets the distribution of unseen data: some samples stay right and confident,
    and some become wrong.

    Args:
        forget: confidences (probability of the true class, 0 to 1) under the original network.
        forget_labels: their true classes.
        holdout: confidences of samples that the network has never seen.
        holdout_labels: their true classes. A class with fewer than five holdout samples borrows those of all
            classes.
        forgotten_classes: classes of which nothing is retained. Their target is 0, because a network that never saw
            a class gives it no probability, whatever the original does on unseen samples of that class.
    """
    quantiles = torch.empty_like(forget)
    for label in sorted(set(forget_labels.tolist())):
        members = (forget_labels == label).nonzero().flatten()
        quantiles[members] = _ranks(forget[members])
    return _confidence_at(quantiles, forget_labels, holdout, holdout_labels, forgotten_classes)


@dataclass(frozen=True, eq=False)
class SampleScores:
    """How easy one model finds the forget and holdout samples; a higher score is an easier sample."""

    forget: Float[Tensor, " forget"]
    holdout: Float[Tensor, " holdout"]


def shifted_confidence(
    original: SampleScores,
    references: Sequence[SampleScores],
    forget_labels: Int[Tensor, " forget"],
    confidence: Float[Tensor, " holdout"],
    holdout_labels: Int[Tensor, " holdout"],
    *,
    forgotten_classes: Container[int] = (),
) -> Float[Tensor, " forget"]:
    """A target confidence for each forgotten sample of a set that may be harder than unseen data on average.

    The samples of one person usually are harder, or easier. The targets follow in five steps:

    1. Each reference model, which never saw the forget set, places each forget sample among the holdout samples of
       its class, as a normal score (a quantile of the standard normal distribution).
    2. The sums of these scores are placed among the sums of holdout samples in the same way. Holdout samples have
       mean 0 and variance 1; the forget set has a mean m and a variance v.
    3. `retrained_shift` gives the mean and variance that a retrained network would have, from m and v.
    4. The forget samples are ordered by their score under the original plus their combined score. They take the
       quantiles of a normal distribution of that mean and variance, in this order.
    5. Each sample gets the confidence of the original at its quantile of the holdout samples of its class.

    Samples of forgotten classes are left out and get 0: a model that never saw a class cannot judge its samples.

    Args:
        original: scores of the network to unlearn, any increasing function of its true-class confidence. On forget
            samples only their order matters.
        references: scores of each reference model, at least one; see `obliq.methods.calibrated.difficulty`.
        forget_labels: the true classes of forget samples.
        confidence: the original's confidence (probability of the true class) on holdout samples.
        holdout_labels: the true classes of holdout samples.
        forgotten_classes: as in `matched_confidence`.
    """
    targets = torch.zeros(len(forget_labels))
    kept = torch.tensor([label not in forgotten_classes for label in forget_labels.tolist()])
    if not kept.any():
        return targets
    labels = forget_labels[kept]
    scores = [SampleScores(one.forget[kept], one.holdout) for one in references]
    combined = combined_normal_scores(scores, labels, holdout_labels)  # steps 1 and 2
    variance = float(combined.var(correction=0)) if len(combined) >= FEWEST_WITH_A_SPREAD else 1.0
    mean, variance = retrained_shift(float(combined.mean()), variance)  # step 3
    # Step 4. The original's scores are ranked among themselves: it has memorised the forget set, so their level
    # would say nothing, but their order still does.
    own = _normal_scores(original.forget[kept], labels, original.forget[kept], labels)
    order = torch.special.ndtri(_ranks(own + combined))
    quantiles = torch.special.ndtr(mean + variance**0.5 * order)
    targets[kept] = _confidence_at(quantiles, labels, confidence, holdout_labels, ())  # step 5
    return targets


def retrained_shift(mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance of a set's normal scores under a retrained network, from those under reference models.

    A set of unseen people is as hard for a network as for the reference models (k = 1). A set that was chosen for
    being hard or easy shows it by a small variance v. Reference models and network then disagree on single samples
    more than on the set, so the network finds the set harder (easier) still. The mean is multiplied by k = 1 + (1 -
    v) / 3. The variance is 1 - k^2 (1 - v), at least 1/4 and at most 1, that of unseen data.

    Source: ours, and empirical. For 60 unseen writers of MNIST (v about 1) the best multiple was 0.9, and the mean
    shift was estimated with an error of 0.10; a single reference model with Spearman's correction for attenuation
    had 0.26. For the tenth of unseen images that another network found hardest, the best multiple was 1.16 at v =
    0.55 (1.14 at 0.57 on Fashion-MNIST).
    """
    variance = max(0.25, min(1.0, variance))
    multiple = 1 + (1 - variance) / 3  # k
    return multiple * mean, max(0.25, 1 - multiple**2 * (1 - variance))


def combined_normal_scores(
    references: Sequence[SampleScores],
    forget_labels: Int[Tensor, " forget"],
    holdout_labels: Int[Tensor, " holdout"],
) -> Float[Tensor, " forget"]:
    """Where the reference models together place each forget sample among holdout samples, as normal scores."""
    forget = torch.stack(
        [_normal_scores(one.forget, forget_labels, one.holdout, holdout_labels) for one in references]
    ).sum(dim=0)
    holdout = torch.stack(
        [_normal_scores(one.holdout, holdout_labels, one.holdout, holdout_labels) for one in references]
    ).sum(dim=0)
    # A sum of correlated normal scores is not standard normal, so it is ranked among holdout samples once more.
    return _normal_scores(forget, forget_labels, holdout, holdout_labels)


def _confidence_at(
    quantiles: Float[Tensor, " forget"],
    labels: Int[Tensor, " forget"],
    holdout: Float[Tensor, " holdout"],
    holdout_labels: Int[Tensor, " holdout"],
    forgotten_classes: Container[int],
) -> Float[Tensor, " forget"]:
    """The confidence at each quantile of the holdout samples of the same class; 0 for forgotten classes."""
    confidences = torch.empty_like(quantiles)
    for label, members, unseen in _by_class(labels, holdout_labels):
        confidences[members] = (
            0.0 if label in forgotten_classes else torch.quantile(holdout[unseen], quantiles[members])
        )
    return confidences


def _normal_scores(
    scores: Float[Tensor, " samples"],
    labels: Int[Tensor, " samples"],
    known: Float[Tensor, " known"],
    known_labels: Int[Tensor, " known"],
) -> Float[Tensor, " samples"]:
    """The place of each score among known scores of its class, as a quantile of the standard normal distribution."""
    places = torch.empty_like(scores)
    for _, members, others in _by_class(labels, known_labels):
        ordered = known[others].sort().values
        values = scores[members].contiguous()
        below = torch.searchsorted(ordered, values)  # how many known scores are smaller
        up_to = torch.searchsorted(ordered, values, right=True)  # how many are smaller or equal
        # Ties take the middle of their ranks. A place outside the known scores would have an infinite normal score,
        # so the outermost place is the middle of the first or the last known score.
        middle = ((below + up_to) / 2).clamp(0.5, len(ordered) - 0.5)
        places[members] = torch.special.ndtri(middle / len(ordered))
    return places


def _by_class(
    labels: Int[Tensor, " samples"], known_labels: Int[Tensor, " known"]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Each class, the positions of its samples, and the known samples to compare with: all where the class has few."""
    for label in sorted(set(labels.tolist())):
        known = known_labels == label
        if int(known.sum()) < FEWEST_HOLDOUT_SAMPLES:
            known = torch.ones_like(known)
        yield label, (labels == label).nonzero().flatten(), known


def _ranks(values: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
    """The middle of each value's rank, as a share of all: (r + 1/2) / n."""
    ranks = torch.empty_like(values)
    ranks[values.argsort(stable=True)] = torch.arange(len(values), dtype=values.dtype)
    return (ranks + 0.5) / len(values)
