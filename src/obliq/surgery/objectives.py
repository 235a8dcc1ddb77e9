"""What is asked of the network on forgotten samples: losses to minimise, averaged over the batch."""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def entropy(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, " batch"]:
    """Shannon entropy of the predicted distribution, in nats: -sum_c p_c log p_c."""
    log_probabilities = F.log_softmax(logits, dim=1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=1)


def negative_entropy(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, ""]:
    """Minus the mean entropy: minimising it raises uncertainty and prefers no class.

    Its gradient, p_c (log p_c + H), vanishes on confident samples, where training leaves them; compare
    `uniform`.
    """
    return -entropy(logits).mean()


def uniform(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, ""]:
    """Cross-entropy to the uniform label less its minimum: KL(uniform || p).

    The same optimum as maximal entropy, with a gradient p_c - 1/C that does not vanish on confident
    samples.
    """
    return -F.log_softmax(logits, dim=1).mean(dim=1).mean() - math.log(logits.shape[1])
