"""Selective synaptic dampening (SSD): shrink the parameters that matter most to the forget set.

Paper: Foster et al., "Fast machine unlearning without retraining through selective synaptic dampening",
AAAI 2024, equations 3 to 5. Reference code: if-loops/selective-synaptic-dampening, `ParameterPerturber`.
With I the mean over batches of the squared gradient of the batch's mean loss,

    where I_forget > alpha * I_all:   theta <- theta * min(lambda * I_all / I_forget, 1)

This is one edit, without training. It does nothing where the forget set looks like the rest: on random forget sets,
often for all parameters.

Deviations: none known in a float network. As in the reference, squares of batch means are averaged, so the result
depends on `batch_size` and on which samples share a batch.

In quantized networks gradients pass the quantizers straight through. Latent weights are dampened on their unchanged
grid, so that codes move towards zero. Learned steps take no part: dampening a step would shrink a whole channel, or
clip the values that pass a quantizer. Everything is in evaluation mode, and batch-norm statistics stay as they are;
batch norm's scale and shift are dampened like weights.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import nn

from obliq.data import Examples, Splits
from obliq.methods.method import Access, Search
from obliq.quantization import learned_steps
from obliq.run import Run
from obliq.training.fisher import dampening_factors, squared_gradients
from obliq.training.loop import move_to_device, require_at_least, seeded
from obliq.training.masks import Mask, Restraint
from obliq.training.passes import Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class SelectiveDampening:
    """Dampen the parameters that matter more to the forget set than to the training set.

    Attributes:
        alpha: Dampen a parameter if it is more than this many times as important for the forget set.
        dampening: Constant lambda. Smaller values dampen more.
        batch_size: Samples per gradient. It changes the result, because squares of batch means are averaged.
    """

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "statistics"
    search: ClassVar[Search] = {"alpha": (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)}

    alpha: float = 10.0
    dampening: float = 1.0
    batch_size: int = 128

    def __post_init__(self) -> None:
        require_at_least(1, batch_size=self.batch_size)
        require_at_least(0, alpha=self.alpha, dampening=self.dampening)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The gradients of the forget set and of the training set."""
        return Passes.exactly(2 * sizes.forget + sizes.retain)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after dampening; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).eval()
            fixed = {id(step) for step in learned_steps(network)}  # see the note on quantized networks above
            restraint = None if mask is None else Restraint.of(network, mask)
            parameters = [parameter for parameter in network.parameters() if id(parameter) not in fixed]
            everything = Examples(
                splits.forget.collection, torch.cat([splits.forget.indices, splits.retain.indices])
            )
            of_forget = squared_gradients(network, parameters, splits.forget, self.batch_size, run)
            of_all = squared_gradients(network, parameters, everything, self.batch_size, run)
            dampened = 0
            with torch.no_grad():
                for parameter, forget, overall in zip(parameters, of_forget, of_all, strict=True):
                    parameter.mul_(dampening_factors(forget, overall, self.alpha, self.dampening))
                    dampened += int((forget > self.alpha * overall).sum())
            if restraint is not None:
                restraint.restore_()
            share = dampened / sum(parameter.numel() for parameter in parameters)
            run.listen("unlearn", 1, 1, {"dampened_parameters": share})
            return network
