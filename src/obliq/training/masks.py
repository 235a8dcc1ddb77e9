"""Which parameters may move: masks by saliency, and holding the other entries at their values."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Examples
from obliq.data.batches import batches
from obliq.errors import ModelError
from obliq.gradients import gradient_of
from obliq.run import Run
from obliq.training.loop import mixed_precision, move_to_device

Mask = dict[str, Tensor]
"""By parameter name, a boolean tensor of its shape: True where the entry may move."""


def saliency_mask(model: nn.Module, examples: Examples, *, share: float, batch_size: int, run: Run) -> Mask:
    """The entries on which the loss of `examples` depends most: a share of all, ranked in one list.

    Saliency is |sum over batches of the gradient of the batch's mean cross-entropy|, at the given weights and in
    evaluation mode. All parameters are ranked together, biases, batch norm and learned steps included; frozen
    parameters are never chosen. The gradient of a step is ranked as an optimizer gets it, which includes the scale
    of learned-step training. Equal saliencies are taken in the network's order.

    Args:
        model: left as it is.
        examples: usually the forget set.
        share: of all entries, from 0 to 1; the count is rounded down.
        batch_size: samples a gradient.
        run: the device.

    Source: Fan et al., "SalUn" (ICLR 2024), with the ranking of its public code.
    """
    network = move_to_device(copy.deepcopy(model), run).eval()
    named = dict(network.named_parameters())
    parameters = list(named.values())
    summed = [torch.zeros_like(parameter) for parameter in parameters]
    for inputs, labels in batches(examples, batch_size, None, run.device):
        with mixed_precision(run):
            loss = F.cross_entropy(network(inputs), labels)
        torch._foreach_add_(summed, gradient_of(loss, parameters))
    saliency = torch.cat([gradient.abs().flatten() for gradient in summed])
    order = saliency.argsort(descending=True, stable=True)  # stable: ties have the same order on every device
    chosen = torch.zeros_like(saliency, dtype=torch.bool)
    chosen[order[: int(share * len(order))]] = True
    chosen &= torch.cat([torch.full_like(p, p.requires_grad, dtype=torch.bool).flatten() for p in parameters])
    parts = torch.split(chosen, [parameter.numel() for parameter in parameters])
    return {name: part.view(named[name].shape) for name, part in zip(named, parts, strict=True)}


@dataclass
class Restraint:
    """The entries of a network that a mask freezes, with their values.

    Restoring them after every step freezes them completely for any optimizer that treats entries one by one, as
    momentum, weight decay and Adam do: what it accumulates for a frozen entry reaches no other entry.
    """

    parameters: list[nn.Parameter]
    free: list[Tensor]
    values: list[Tensor]

    @classmethod
    def of(cls, model: nn.Module, mask: Mask) -> Restraint:
        """Remember the present values of the entries that the mask freezes.

        Raises:
            ModelError: when names or shapes of the mask are not those of the network's parameters.
        """
        named = dict(model.named_parameters())
        wrong = named.keys() ^ mask.keys()
        wrong |= {name for name in named.keys() & mask.keys() if mask[name].shape != named[name].shape}
        if wrong:
            raise ModelError(
                f"the mask does not fit the network at {len(wrong)} of {len(named)} parameters (first "
                f"{min(wrong)}); expected one boolean tensor of the same shape for each"
            )
        partly = [name for name in named if not bool(mask[name].all())]
        parameters = [named[name] for name in partly]
        return cls(
            parameters=parameters,
            free=[mask[name].to(named[name].device) for name in partly],
            values=[parameter.detach().clone() for parameter in parameters],
        )

    def restore_(self) -> None:
        """Write the frozen entries back, bit for bit."""
        with torch.no_grad():
            for parameter, free, values in zip(self.parameters, self.free, self.values, strict=True):
                parameter.copy_(torch.where(free, parameter, values))
