"""SFRon: ascent on salient parameters, each time followed by steps that repair the retain set.

Paper: Huang et al., "Unified gradient-based machine unlearning with remain geometry enhancement" (NeurIPS
2024, arXiv 2409.19732); SFRon is its saliency forgetting in the remain-preserving manifold, online.
Reference code: K1nght/Unified-Unlearning-w-Remain-Geometry, `Classification/unlearn/sfron.py` (read at
1837bf6). We read the code and the abstract, not the equations of the paper. Let I be the mean over batches of
the squared gradient of the batch's loss, in evaluation mode, on the original network. Then

    m = [I_forget >= threshold * I_retain]                                   (1)
    w_i = l_i^-power / sum_j l_j^-power                                      (2)

over the losses l of a forget batch (the w_i held constant). Every `repair_steps` steps on CE(B_r) begin with one
step on -a_t sum_i w_i l_i. The gradient of that step is masked by m and clipped to the length `clip`. The weight a_t
falls from `forget_weight` to zero along half a cosine, as the rate does. One optimizer takes both kinds of steps, so
that momentum carries each into the other: repairing after forgetting stands for the Hessian of the retain loss. The
defaults are those of the code for 10 % of CIFAR-10 with ResNet-18 (there 1,500 steps, about four passes).

Deviations: a loss below float32's resolution counts as that resolution. (There 1e-15 is added to the power, so that
one sample of loss 0, which has no gradient, takes the weight of its whole batch.) No averaging of slow weights,
which at the code's coefficient of 1 changes nothing. The rate falls with both kinds of steps. Weight decay leaves
learned steps, batch norm and biases alone.

In quantized networks gradients pass the quantizers straight through. Learned steps are ranked by the same ratio,
which the scale of their gradient does not change; salient or not, they follow the repair steps. A learned step
changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Batch norm follows all batches,
forget batches included, as in the code, unless `batch_norm` is set otherwise. Where forget batches are normalised by
running statistics, the same ascent has a much larger effect, and weight and clip have to be smaller.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches, cycle
from obliq.gradients import gradient_of
from obliq.gradients.projection import clip_norm_
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import (
    descend,
    loss_with_gradient,
    require_above,
    require_descent,
    set_batch_norm_mode,
)
from obliq.training.fisher import squared_gradients
from obliq.training.loop import cosine_schedule, move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes, mean_batch


@final
@dataclass(frozen=True, kw_only=True)
class SFRon:
    """Ascend on salient weights, and repair on the retain set. Defaults are the reference code's, not tuned.

    Attributes:
        forget_weight: Weight a_0 of the first ascent. It falls to zero along half a cosine.
        repair_steps: Retain steps for each forget step.
        threshold: Ascend on a weight if it is at least this many times as important for the forget set as for the
            retain set. 0 selects all weights.
        power: How strongly samples of small loss are preferred. 0 gives an ordinary mean.
        clip: Largest length of the masked forget gradient. 0 sets no limit.
        epochs: Passes over the retain set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        retain_batch: Retain samples per step.
        forget_batch: Forget samples per step, and samples of both sets per gradient from which the mask is computed.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, follow the `retain` batches, or follow `all` batches as in the
            reference code.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {
        "learning_rate": (0.01, 0.03, 0.1),
        "repair_steps": (2, 5),
    }

    forget_weight: float = 25.0
    repair_steps: int = 5
    threshold: float = 1.0
    power: float = 0.5
    clip: float = 7.0
    epochs: int = 5
    learning_rate: float = 0.01
    retain_batch: int = 128
    forget_batch: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: Literal["frozen", "retain", "all"] = "all"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(
            1,
            epochs=self.epochs,
            retain_batch=self.retain_batch,
            forget_batch=self.forget_batch,
            repair_steps=self.repair_steps,
        )
        require_at_least(0, threshold=self.threshold, power=self.power, clip=self.clip)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_above(0, forget_weight=self.forget_weight)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The mask's pass over both sets, passes over the retain set, and a forget batch before each repair."""
        steps = self.epochs * steps_per_epoch(sizes.retain, self.retain_batch)
        forget = math.ceil(steps / self.repair_steps) * mean_batch(sizes.forget, self.forget_batch)
        return Passes.exactly(sizes.retain + sizes.forget + self.epochs * sizes.retain + forget)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after both kinds of steps; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).eval()
            parameters = list(network.parameters())
            salient = self._salient(network, parameters, splits, run)
            network.train()
            order, forget_order = run.generator(purpose=1), run.generator(purpose=4)
            forget = cycle(splits.forget, self.forget_batch, forget_order, run.device, self.augment)
            repairs = self.epochs * steps_per_epoch(len(splits.retain), self.retain_batch)
            weight = cosine_schedule(self.forget_weight, repairs)
            repaired = 0

            def ascent() -> Tensor:
                inputs, labels = next(forget)
                set_batch_norm_mode(network, self.batch_norm, "forget", len(labels))
                each = F.cross_entropy(network(inputs), labels, reduction="none")
                # ascent: the sign turns the descent around
                loss = -weight(repaired) * small_loss_weighted_mean(each.float(), self.power)
                gradient = gradient_of(loss, parameters)
                torch._foreach_mul_(gradient, salient)
                if self.clip:
                    clip_norm_(gradient, self.clip)
                # `descend` takes losses, so the masked and clipped gradient is handed over as one.
                return loss_with_gradient(loss, parameters, gradient)

            def losses(epoch: int) -> Iterator[Tensor]:
                nonlocal repaired
                for inputs, labels in batches(
                    splits.retain, self.retain_batch, order, run.device, self.augment
                ):
                    if repaired % self.repair_steps == 0:
                        yield ascent()
                    set_batch_norm_mode(network, self.batch_norm, "retain", len(labels))
                    yield F.cross_entropy(network(inputs), labels)
                    repaired += 1

            descend(
                network,
                losses,
                epochs=self.epochs,
                total=repairs + math.ceil(repairs / self.repair_steps),
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
            )
            return network.eval()

    def _salient(
        self, network: nn.Module, parameters: Sequence[Tensor], splits: Splits, run: Run
    ) -> list[Tensor]:
        """For each parameter, the entries that take part in ascent."""
        of_forget = squared_gradients(network, parameters, splits.forget, self.forget_batch, run)
        of_retain = squared_gradients(network, parameters, splits.retain, self.forget_batch, run)
        chosen = [
            importance_mask(forget, retain, self.threshold)
            for forget, retain in zip(of_forget, of_retain, strict=True)
        ]
        share = sum(int(part.sum()) for part in chosen) / sum(part.numel() for part in chosen)
        run.listen("unlearn", 0, self.epochs, {"salient_parameters": share})
        return chosen


FLOOR = 1e-15
"""Added to importances, as in the public code: an entry without any gradient counts as salient at threshold 1."""


def importance_mask(
    forget: Float[Tensor, "*shape"], retain: Float[Tensor, "*shape"], threshold: float
) -> Bool[Tensor, "*shape"]:
    """The mask of equation (1): where the forget set's importance is at least `threshold` times the retain set's."""
    return (forget + FLOOR) >= threshold * (retain + FLOOR)


def small_loss_weighted_mean(losses: Float[Tensor, " batch"], power: float) -> Float[Tensor, ""]:
    """sum_i w_i l_i with the weights of equation (2), held constant.

    The forgotten samples of which the network is most certain weigh most. With power 0 it is the ordinary mean.
    """
    smallest = torch.finfo(losses.dtype).eps  # float32's resolution at 1
    weights = losses.detach().clamp(min=smallest).pow(-power)
    return (weights / weights.sum() * losses).sum()
