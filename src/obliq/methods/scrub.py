"""SCRUB: move away from the teacher on the forget set, and stay with it on the retain set.

Paper: Kurmanji et al., "Towards unbounded machine unlearning" (NeurIPS 2023, arXiv 2302.09880). Reference code:
meghdadk/SCRUB, `train_distill` (read at 98ffb11). The teacher is the original, frozen. Each of the first
`forget_epochs` epochs starts with a pass over the forget set (L_max). Every epoch ends with a pass over the retain
set (L_min):

    L_max = -KL(teacher || student)(B_f),    L_min = gamma CE(B_r) + alpha KL(teacher || student)(B_r)

KL is that of predictions softened by the temperature T, times T^2. The defaults of alpha, gamma, temperature, forget
epochs and batch sizes are those of the authors' large-scale notebook.

Deviations: cosine schedule (there in steps) and our own rate. Weight decay leaves learned steps, batch norm and
biases alone. No rewinding (the paper's SCRUB+R).

In quantized networks teacher and student have the same precision, and every parameter of the student is trained,
learned steps included. A learned step changes by at most a tenth in one update
(`obliq.quantization.keep_steps_near_`). Batch norm of the student follows all batches, forget batches included, as
in the reference. The method needs this. A student that starts as the teacher's copy and normalises as the teacher
does is at distance 0, where L_max has no gradient. With `batch_norm` at `frozen` or `retain`, the first forget phase
therefore moves nothing but what weight decay moves. The forget phase has no upper bound: a loss that is no longer
finite is an error.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches
from obliq.gradients import distillation_loss
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, require_above, require_descent, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import WITHOUT_GRADIENTS, Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class SCRUB:
    """Move away from the original on the forget set, and towards it elsewhere. Defaults are starting points, not tuned.

    Attributes:
        alpha: Weight of the distance to the teacher on the retain set.
        gamma: Weight of the cross-entropy on the retain set.
        temperature: Temperature that softens both predictions.
        epochs: Passes over the retain set.
        forget_epochs: Number of epochs at the start that begin with a pass over the forget set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        retain_batch: Retain samples per step.
        forget_batch: Forget samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics follow `all` batches as in the reference code, follow the `retain` batches, or
            stay `frozen`. With `retain` and `frozen` the first pass over the forget set has no effect, because the
            student still equals the teacher.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.002, 0.005, 0.015), "forget_epochs": (1, 2)}

    alpha: float = 0.001
    gamma: float = 0.99
    temperature: float = 4.0
    epochs: int = 4
    forget_epochs: int = 2
    learning_rate: float = 0.002
    retain_batch: int = 128
    forget_batch: int = 32
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: Literal["frozen", "retain", "all"] = "all"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(
            1, epochs=self.epochs, retain_batch=self.retain_batch, forget_batch=self.forget_batch
        )
        require_at_least(0, alpha=self.alpha, gamma=self.gamma, forget_epochs=self.forget_epochs)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_above(0, temperature=self.temperature)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the retain set and, in the first epochs, the forget set; each through the teacher as well."""
        passed = self.epochs * sizes.retain + min(self.epochs, self.forget_epochs) * sizes.forget
        return Passes.exactly(passed * (1 + WITHOUT_GRADIENTS))

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The student after both kinds of phases; outside `mask` it stays as it was."""
        with seeded(run):
            teacher = move_to_device(copy.deepcopy(model), run).eval()
            network = move_to_device(copy.deepcopy(model), run).train()
            order, forget_order = run.generator(purpose=1), run.generator(purpose=4)

            def distance(inputs: Tensor, student: Tensor) -> Tensor:
                with torch.no_grad():
                    taught = teacher(inputs)
                return distillation_loss(taught.float(), student.float(), self.temperature)

            def leave() -> Iterator[Tensor]:
                for inputs, labels in batches(
                    splits.forget, self.forget_batch, forget_order, run.device, self.augment
                ):
                    set_batch_norm_mode(network, self.batch_norm, "forget", len(labels))
                    yield -distance(inputs, network(inputs))

            def losses(epoch: int) -> Iterator[Tensor]:
                if epoch <= self.forget_epochs:
                    yield from leave()
                for inputs, labels in batches(
                    splits.retain, self.retain_batch, order, run.device, self.augment
                ):
                    set_batch_norm_mode(network, self.batch_norm, "retain", len(labels))
                    logits = network(inputs)
                    yield self.gamma * F.cross_entropy(logits, labels) + self.alpha * distance(inputs, logits)

            forgetting = min(self.forget_epochs, self.epochs)
            descend(
                network,
                losses,
                epochs=self.epochs,
                total=self.epochs * steps_per_epoch(len(splits.retain), self.retain_batch)
                + forgetting * steps_per_epoch(len(splits.forget), self.forget_batch),
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
            )
            return network.eval()
