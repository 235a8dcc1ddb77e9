"""How much a loss depends on each parameter: the diagonal of the empirical Fisher information."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from obliq.data import Examples
from obliq.data.batches import batches
from obliq.gradients import gradient_of
from obliq.run import Run
from obliq.training.loop import mixed_precision


def squared_gradients(
    network: nn.Module, parameters: Sequence[Tensor], examples: Examples, batch_size: int, run: Run
) -> list[Tensor]:
    """The mean over batches of the squared gradient of the batch's mean cross-entropy.

    Squares of batch means are averaged, as in the public code of the methods that use this function. The result
    therefore depends on `batch_size` and on which samples share a batch.

    Args:
        network: on the run's device, in the mode in which gradients are needed; left as it is.
        parameters: of the network, in the order of the result.
        examples: not empty.
        batch_size: samples a gradient.
        run: device, and the seed of the batches.
    """
    total = [torch.zeros_like(parameter) for parameter in parameters]
    count = 0
    for inputs, labels in batches(examples, batch_size, run.generator(purpose=1), run.device):
        with mixed_precision(run):
            loss = F.cross_entropy(network(inputs), labels)
        gradient = gradient_of(loss, parameters)
        torch._foreach_addcmul_(total, gradient, gradient)
        count += 1
    torch._foreach_div_(total, count)
    return total


def dampening_factors(
    forget: Float[Tensor, "*shape"], overall: Float[Tensor, "*shape"], alpha: float, dampening: float
) -> Float[Tensor, "*shape"]:
    """The factor of each parameter in selective synaptic dampening (Foster et al., AAAI 2024).

    It is min(dampening * overall / forget, 1) where forget > alpha * overall, else 1.

    Args:
        forget: what each parameter matters to the forget set, see `squared_gradients`.
        overall: the same for the training set.
        alpha: how much more it must matter to the forget set, to be dampened.
        dampening: how weakly it is dampened then; lambda in the paper.
    """
    # a larger number would be infinite in this type, and 0 times it no number
    largest = torch.finfo(overall.dtype).max
    alpha, dampening = min(alpha, largest), min(dampening, largest)
    # 0 / 0 is not chosen, as 0 > alpha * 0 is false
    return torch.where(forget > alpha * overall, (dampening * overall / forget).clamp(max=1.0), 1.0)
