"""How far a student's predictions are from a teacher's."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def divergence(
    teacher: Float[Tensor, "batch classes"], student: Float[Tensor, "batch classes"], temperature: float = 1.0
) -> Float[Tensor, ""]:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), averaged over the batch.

    Args:
        teacher: logits; no gradient goes to them where they were computed without one.
        student: logits.
        temperature: T, above 0; the factor T^2 keeps the length of the gradient about the same.

    Source: Hinton et al., "Distilling the knowledge in a neural network" (2015).
    """
    return temperature**2 * F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
