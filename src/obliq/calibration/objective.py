"""The calibrated objective: a soft label with the confidence of unseen data."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def calibrated(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"], targets: Float[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Cross-entropy to a soft label that gives the true class the confidence of unseen data.

    The label q has q_y = target; the rest is shared among the other classes in proportion to the
    current prediction (held constant), so that no wrong class is taught. The gradient with respect to
    the true class's logit is p_y - target: it pulls back when a sample has gone past its target.

    Source: ours, not part of the OEU paper.
    """
    true_class = F.one_hot(labels, logits.shape[1]).bool()
    with torch.no_grad():
        others = F.softmax(logits.masked_fill(true_class, -math.inf), dim=1)
        label = torch.where(true_class, targets.unsqueeze(1), (1 - targets).unsqueeze(1) * others)
    return -(label * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
