"""l1-sparse: fine-tune on the retain set while an l1 penalty makes the weights sparse.

Paper: Jia et al., "Model sparsity can simplify machine unlearning" (NeurIPS 2023, arXiv 2304.04934).
Reference code: OPTML-Group/Unlearn-Saliency, `FT_l1` (read at 3152cfe). In epoch t = 0, 1, ... of T

    L = CE(B_r) + a_t ||w||_1,    a_t = a (1 - t / (T - T_0)), and 0 in the last T_0 epochs

so that the penalty falls to zero linearly.

Deviations: the norm covers weights alone, which is kinder than the public code. That also shrinks biases, batch norm
and, in a quantized network, learned steps; there a penalty coarsens or destroys the grid and makes nothing sparse.
Cosine schedule (there constant). Weight decay leaves steps, batch norm and biases alone.

In quantized networks the penalty acts on all latent weights, those with codes at the end of the grid included. Small
ones end at code 0. Steps are trained by the loss alone, and batch-norm statistics follow the retain set. A learned
step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`).
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches
from obliq.errors import ModelError
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, require_descent, set_batch_norm_mode
from obliq.training.loop import is_decayed, move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class L1Sparse:
    """Fine-tune with a falling l1 penalty on weights. Defaults are starting points, not tuned.

    Attributes:
        penalty: Weight a of the l1 norm in the first epoch.
        unpenalised_epochs: Number T_0 of epochs at the end that have no penalty.
        epochs: Passes T over the retain set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.1, 0.3), "penalty": (3e-4, 1e-3, 3e-3)}

    penalty: float = 1e-4
    unpenalised_epochs: int = 0
    epochs: int = 5
    learning_rate: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_at_least(0, penalty=self.penalty, unpenalised_epochs=self.unpenalised_epochs)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        if self.unpenalised_epochs > self.epochs:
            raise ModelError(
                f"unpenalised_epochs={self.unpenalised_epochs}; expected at most epochs={self.epochs}"
            )

    def penalty_at(self, epoch: int) -> float:
        """The weight of the norm in an epoch, counted from 1."""
        penalised = self.epochs - self.unpenalised_epochs
        return self.penalty * (1 - (epoch - 1) / penalised) if epoch <= penalised else 0.0

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the retain set."""
        return Passes.exactly(self.epochs * sizes.retain)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after sparse fine-tuning; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            order = run.generator(purpose=1)
            weights = [
                weight for weight in network.parameters() if weight.requires_grad and is_decayed(weight)
            ]

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, labels in batches(
                    splits.retain, self.batch_size, order, run.device, self.augment
                ):
                    set_batch_norm_mode(network, "retain", "retain", len(labels))
                    loss = F.cross_entropy(network(inputs), labels)
                    yield loss + self.penalty_at(epoch) * l1_norm(weights)

            descend(
                network,
                losses,
                epochs=self.epochs,
                total=self.epochs * steps_per_epoch(len(splits.retain), self.batch_size),
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
            )
            return network.eval()


def l1_norm(weights: Sequence[Tensor]) -> Tensor:
    """The sum of all absolute values."""
    return torch.stack([weight.abs().sum() for weight in weights]).sum()
