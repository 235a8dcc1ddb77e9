"""Forget sets of little, medium and strongly memorised samples: random ones are all easy to forget."""

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from obliq.data.collection import Examples
from obliq.errors import DataError

AIMS: dict[str, float] = {"high": 1.0, "low": 0.0, "medium": 0.5}  # in the order in which they choose
MOST = 1 / 3  # three groups have to fit in


def memorised(
    train: Examples, scores: Float64[Tensor, " train"], level: str, share: float = 0.1
) -> Int[Tensor, " forget"]:
    """The ids of the training samples whose memorisation is low, medium or high, ascending.

    Source: Zhao et al. (RUM), NeurIPS 2024, who forget 3,000 samples of CIFAR-10 at a time: the lowest scores, the
    highest, and those nearest to 0.5. Two deviations, neither of which shows with exact scores: `low` are the
    scores nearest to 0, since memorisation is hardly ever negative and a clearly negative estimate from a few
    networks means a sample that they disagree about, not an easy one; `medium` leaves out what is `low`
    or `high`, so that the three groups are disjoint on data sets with little memorisation too.

    Args:
        train: the training part.
        scores: of each of its samples, in the same order; see `obliq.audit.memorisation_scores`.
        level: which group: low, medium or high.
        share: its size, as a share of the training part; at most a third.

    Raises:
        DataError: for another level, another number of scores, or a share that is empty or does not fit thrice.
    """
    if level not in AIMS:
        raise DataError(f"memorised={level}; expected low, medium or high")
    if len(scores) != len(train):
        raise DataError(f"{len(scores)} memorisation scores for {len(train)} samples; expected one each")
    count = round(share * len(train)) if 0 < share <= MOST else 0
    if not 1 <= count <= len(train) // 3:
        raise DataError(
            f"a share of {share:g} of {len(train)} samples; expected at least one sample, and at most a third of them"
        )
    left, chosen = scores.clone(), torch.empty(0, dtype=torch.long)
    for group, aim in AIMS.items():
        left[chosen] = torch.inf
        chosen = (left - aim).abs().argsort(stable=True)[:count]
        if group == level:
            break
    return train.indices[chosen].sort().values
