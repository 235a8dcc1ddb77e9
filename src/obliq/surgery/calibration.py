"""How confident a network should be on a forgotten sample: as confident as it is on unseen ones.

The network to imitate is the one retrained without the forget set, which treats those samples like
any it has never seen; and what unseen samples look like is known without retraining, from a holdout
part. Source: ours, not part of the OEU paper.
"""

from collections.abc import Collection as Container

import torch
from jaxtyping import Float, Int
from torch import Tensor

FEWEST_HOLDOUT_SAMPLES = 5


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
    targets = torch.empty_like(forget)
    for label in sorted(set(forget_labels.tolist())):
        members = (forget_labels == label).nonzero().flatten()
        if label in forgotten_classes:
            targets[members] = 0.0
            continue
        unseen = holdout[holdout_labels == label]
        if len(unseen) < FEWEST_HOLDOUT_SAMPLES:
            unseen = holdout
        ranks = torch.empty(len(members), dtype=forget.dtype)
        ranks[forget[members].argsort(stable=True)] = torch.arange(len(members), dtype=forget.dtype)
        targets[members] = torch.quantile(unseen, (ranks + 0.5) / len(members))
    return targets
