"""Losses on logits: uncertainty, distillation, and the calibrated objective."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def entropy(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, " batch"]:
    """Shannon entropy of the predicted distribution, in nats: -sum_c p_c log p_c."""
    log_probabilities = F.log_softmax(logits, dim=1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=1)


def negative_entropy(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, ""]:
    """Minus the mean entropy: minimising it raises uncertainty and prefers no class.

    Its gradient with respect to a logit is p_c (log p_c + H). It vanishes on confident samples, where training
    leaves them; compare `uniform_loss`.
    """
    return -entropy(logits).mean()


def uniform_loss(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, ""]:
    """Cross-entropy to the uniform label minus its minimum: KL(uniform || p).

    It has the same optimum as maximal entropy. Its gradient, p_c - 1/C, does not vanish on confident samples.
    """
    return -F.log_softmax(logits, dim=1).mean(dim=1).mean() - math.log(logits.shape[1])


def distillation_loss(
    teacher: Float[Tensor, "batch classes"], student: Float[Tensor, "batch classes"], temperature: float = 1.0
) -> Float[Tensor, ""]:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), averaged over the batch.

    Args:
        teacher: logits; no gradient flows to them if they were computed without one.
        student: logits.
        temperature: T, above 0. The factor T^2 keeps the length of the gradient about the same for every T.

    Source: Hinton et al., "Distilling the knowledge in a neural network" (2015).
    """
    return temperature**2 * F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )


def calibrated_loss(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"], targets: Float[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Cross-entropy to a soft label that gives the true class its target confidence.

    The label q has q_y = target. The rest is shared among the other classes in proportion to the current prediction
    (held constant), so that no wrong class is taught. The gradient with respect to the true class's logit is
    p_y - target: it pulls back a sample that has gone past its target.

    Args:
        logits: of the network that is trained.
        labels: the true classes.
        targets: the probability of the true class to reach, 0 to 1; see `obliq.methods.calibrated`.

    Source: ours, not part of the OEU paper.
    """
    true_class = F.one_hot(labels, logits.shape[1]).bool()
    with torch.no_grad():
        # softmax over the wrong classes alone: the true class has logit -inf, hence probability 0
        others = F.softmax(logits.masked_fill(true_class, -math.inf), dim=1)
        label = torch.where(true_class, targets.unsqueeze(1), (1 - targets).unsqueeze(1) * others)
    return -(label * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


HUBER = 2.0
"""Nats at which `margin_loss` turns from a square into a line."""


def true_class_margin(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """The logit-scaled confidence log(p / (1 - p)) of the true class, in nats; unlike p, it never saturates.

    It is z_y minus the log of the summed exponentials of the other logits z.

    Source: Carlini et al., "Membership inference attacks from first principles" (S&P 2022), section VI.
    """
    true_class = F.one_hot(labels, logits.shape[1]).bool()
    return logits[true_class] - torch.logsumexp(logits.masked_fill(true_class, -math.inf), dim=1)


def margin_loss(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"], targets: Float[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Mean Huber loss between the margins of the true class and their targets.

    Its gradient with respect to the true class's logit has a length of at most 1/2, and reaches it 2 nats from the
    target. So a confident sample is moved as fast as any other; compare `calibrated_loss`, whose gradient vanishes
    where p is near 1. The gradient with respect to the other logits is shared among them in proportion to the
    current prediction, so that no wrong class is taught.

    Args:
        logits: of the network that is trained.
        labels: the true classes.
        targets: margins to reach, in nats; see `obliq.methods.proxy_matching`.

    Source: ours.
    """
    return F.smooth_l1_loss(true_class_margin(logits, labels), targets, beta=HUBER) / 2
