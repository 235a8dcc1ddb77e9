"""Gradient difference (NegGrad+): descend on the retain set and ascend on the forget set at once.

Paper: as NegGrad+ in Kurmanji et al., "Towards unbounded machine unlearning" (NeurIPS 2023). Reference code:
meghdadk/SCRUB, `train_negrad` (read at 98ffb11). Each step takes a retain and a forget batch:

    L = a CE(B_r) - (1 - a) CE(B_f)

An epoch is one pass over the retain set, during which the forget set is repeated.

Deviations: momentum and weight decay, which the reference notebook sets to zero, and a cosine schedule. Batch norm
follows retain batches and normalises forget batches by the running statistics, where the reference follows both
(`batch_norm="all"`). The forget batch has a size of its own.

In quantized networks every parameter is trained by the difference of both gradients, learned steps included. A
learned step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Batch-norm
statistics are those of the retain set, as after fine-tuning.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches, cycle
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, require_descent, require_share, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes, passes_in_pairs


@final
@dataclass(frozen=True, kw_only=True)
class GradientDifference:
    """Lower the retain loss and raise the forget loss. Defaults are starting points, not tuned.

    Attributes:
        retain_weight: Weight a of the retain loss, from 0 (ascent only) to 1 (fine-tuning).
        epochs: Passes over the retain set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        retain_batch: Retain samples per step.
        forget_batch: Forget samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, follow the `retain` batches, or follow `all` batches as in the
            reference code.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.003, 0.006, 0.015), "retain_weight": (0.95, 0.98)}

    retain_weight: float = 0.95
    epochs: int = 4
    learning_rate: float = 0.004
    retain_batch: int = 128
    forget_batch: int = 32
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: Literal["frozen", "retain", "all"] = "retain"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(
            1, epochs=self.epochs, retain_batch=self.retain_batch, forget_batch=self.forget_batch
        )
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_share(retain_weight=self.retain_weight)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the retain set, with a forget batch in each step."""
        return passes_in_pairs(self.epochs, sizes, self.retain_batch, self.forget_batch)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on the difference; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            order, forget_order = run.generator(purpose=1), run.generator(purpose=4)
            forget = cycle(splits.forget, self.forget_batch, forget_order, run.device, self.augment)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, labels in batches(
                    splits.retain, self.retain_batch, order, run.device, self.augment
                ):
                    set_batch_norm_mode(network, self.batch_norm, "retain", len(labels))
                    retained = F.cross_entropy(network(inputs), labels)
                    inputs, labels = next(forget)
                    set_batch_norm_mode(network, self.batch_norm, "forget", len(labels))
                    forgotten = F.cross_entropy(network(inputs), labels)
                    yield self.retain_weight * retained - (1 - self.retain_weight) * forgotten

            descend(
                network,
                losses,
                epochs=self.epochs,
                total=self.epochs * steps_per_epoch(len(splits.retain), self.retain_batch),
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
            )
            return network.eval()
