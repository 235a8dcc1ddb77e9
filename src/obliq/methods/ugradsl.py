"""UGradSL+: gradient ascent with negatively smoothed labels on the forget set, descent on the retain set.

Paper: Di et al., "Label smoothing improves machine unlearning" (ICLR 2026, arXiv 2406.07698). Reference code
(UCSC-REAL/Label-Smoothing-Unlearn): not available to us. Reconstructed from descriptions of the paper. Each step
takes a retain batch and a forget batch:

    L = p CE(B_r, y) - (1 - p) CE(B_f, y_s),  y_s = (1 + s) onehot(y) - s / K     (1)

with K classes and the size s of the negative smoothing rate. Written out, the forget term is ascent on the true class
with weight 1 + s (1 - 1 / K), and descent on -log p_j of every other class with weight s / K, which pulls the
prediction towards equal probabilities. "+" is the form whose epochs are passes over the retain set, with the forget set
repeated.

Deviations: `retain_weight` (p), `smoothing` (s), `learning_rate` and `epochs` are unknown to us. One smoothing rate
for all samples; the paper adapts it to the share of retained samples that are near in the feature space, within a
distance that is unknown, too. The loss has no lower bound, so the gradient is clipped (ours). Cosine schedule. Weight
decay leaves learned steps, batch norm and biases alone.

In quantized networks every parameter is trained by the gradient of both terms, learned steps included. A learned step
changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Batch norm follows retain batches and
normalises forget batches by the running statistics, unless `batch_norm` is set otherwise.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches, cycle
from obliq.gradients import clip_norm_, gradient_of
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import (
    descend,
    loss_with_gradient,
    require_descent,
    require_share,
    set_batch_norm_mode,
)
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes, passes_in_pairs


@final
@dataclass(frozen=True, kw_only=True)
class UGradSL:
    """Ascend on negatively smoothed labels of the forget set, and descend on the retain set. Defaults are not tuned.

    Attributes:
        retain_weight: Weight p of the retain loss, from 0 (ascent only) to 1 (fine-tuning).
        smoothing: Size s of the negative smoothing rate. 0 gives gradient difference.
        clip: Largest length of the gradient. 0 sets no limit.
        epochs: Passes over the retain set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        retain_batch: Retain samples per step.
        forget_batch: Forget samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, follow the `retain` batches, or follow `all` batches.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.003, 0.01, 0.03), "retain_weight": (0.9, 0.98)}

    retain_weight: float = 0.95
    smoothing: float = 0.5
    clip: float = 1.0
    epochs: int = 5
    learning_rate: float = 0.01
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
        require_at_least(0, smoothing=self.smoothing, clip=self.clip)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_share(retain_weight=self.retain_weight)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the retain set, with a forget batch in each step."""
        return passes_in_pairs(self.epochs, sizes, self.retain_batch, self.forget_batch)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on equation (1); outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            parameters = list(network.parameters())
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
                    forgotten = negatively_smoothed_loss(network(inputs), labels, self.smoothing)
                    loss = self.retain_weight * retained - (1 - self.retain_weight) * forgotten
                    if self.clip:
                        gradient = gradient_of(loss, parameters)
                        clip_norm_(gradient, self.clip)
                        loss = loss_with_gradient(loss, parameters, gradient)
                    yield loss

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


def negatively_smoothed_loss(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"], smoothing: float
) -> Float[Tensor, ""]:
    """Cross-entropy to the labels y_s of equation (1), which are negative for wrong classes."""
    right = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    smoothed = (1 + smoothing) * right - smoothing / logits.shape[1]
    return -(smoothed * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
