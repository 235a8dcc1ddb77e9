"""MUNBa: keeping and forgetting bargain over every step, and agree on the bisector of their gradients.

Paper: Wu and Harandi, "MUNBa: machine unlearning via Nash bargaining" (ICCV 2025, arXiv 2411.15537). Reference code:
read at 7038772, not copied, since it has no license. We read the code and the abstract, not the equations of the
paper. With g_r the gradient of the cross-entropy on a retain batch, and g_f that on a forget batch with uniformly
random labels, drawn anew in each step, the bargain is

    d = a_r g_r + a_f g_f,  a_i = sqrt((1 - cos) / sin^2) / ||g_i||          (1)

with cos and sin of the angle between the two. Since sin^2 = (1 - cos)(1 + cos), this has a closed form:

    d = (g_r / ||g_r|| + g_f / ||g_f||) / sqrt(1 + cos),  ||d||^2 = 2        (2)

The code clips d to length 1. As d always has the length sqrt(2), every step is the unit vector along the bisector of
both gradients. This file computes the bisector. Steps beyond a pass over the forget set are on the retain loss alone.

Deviations: (2) in place of the code's matrix of inner products, which divides by nearly zero for short gradients.
For opposite gradients there is no bisector, and the step follows the retain gradient (the code descends on
L_r + L_f / 10). A retain set that is smaller than the forget set ends the epoch (there an error). Cosine schedule.
Weight decay leaves learned steps, batch norm and biases alone. `learning_rate` and `epochs` of the paper are unknown to
us.

In quantized networks gradients pass the quantizers straight through, and learned steps are part of both gradients. A
learned step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Batch norm follows all
batches, forget batches included, unless `batch_norm` is set otherwise.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches, cycle
from obliq.gradients import gradient_of, inner_product
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, loss_with_gradient, require_descent, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes, mean_batch

OPPOSITE = 1e-3
"""Length of the sum of both unit gradients below which they count as opposite: 179.9 degrees."""


@final
@dataclass(frozen=True, kw_only=True)
class MUNBa:
    """Step along the bisector of the retain gradient and that of random labels. Defaults are not tuned.

    Attributes:
        epochs: Passes over the retain set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Retain samples per step, and forget samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, follow the `retain` batches, or follow `all` batches.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.001, 0.003, 0.01, 0.02, 0.05, 0.1)}

    epochs: int = 5
    learning_rate: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: Literal["frozen", "retain", "all"] = "all"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the retain set, with a forget batch in its first steps."""
        bargains = steps_per_epoch(sizes.forget, self.batch_size)
        steps = min(bargains, steps_per_epoch(sizes.retain, self.batch_size))
        return Passes.exactly(
            self.epochs * (sizes.retain + steps * mean_batch(sizes.forget, self.batch_size))
        )

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after the bargained steps; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            parameters = list(network.parameters())
            order, draws = run.generator(purpose=1), run.generator(purpose=5)
            forget = cycle(splits.forget, self.batch_size, run.generator(purpose=4), run.device, self.augment)
            classes = splits.forget.collection.classes
            bargains = steps_per_epoch(len(splits.forget), self.batch_size)

            def losses(epoch: int) -> Iterator[Tensor]:
                retain = batches(splits.retain, self.batch_size, order, run.device, self.augment)
                for step, (inputs, labels) in enumerate(retain):
                    set_batch_norm_mode(network, self.batch_norm, "retain", len(labels))
                    kept = F.cross_entropy(network(inputs), labels)
                    if step >= bargains:
                        yield kept
                        continue
                    g_r = gradient_of(kept, parameters)
                    inputs, _ = next(forget)
                    drawn = torch.randint(classes, (len(inputs),), generator=draws).to(run.device)
                    set_batch_norm_mode(network, self.batch_norm, "forget", len(inputs))
                    random = F.cross_entropy(network(inputs), drawn)
                    direction = bisector(g_r, gradient_of(random, parameters))
                    # `descend` takes losses, so the direction is handed over as the gradient of one.
                    yield loss_with_gradient(kept + random, parameters, direction)

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


def bisector(retain: Sequence[Tensor], forget: Sequence[Tensor]) -> list[Tensor]:
    """The unit vector along equation (2), with all tensors of a gradient as one vector.

    A gradient of length 0 takes no part. For opposite gradients it is the direction of `retain`.
    """
    r, f = (_unit(gradient) for gradient in (retain, forget))
    both = [one + other for one, other in zip(r, f, strict=True)]
    length = math.sqrt(float(inner_product(both, both)))
    return _unit(both) if length > OPPOSITE else r


def _unit(gradient: Sequence[Tensor]) -> list[Tensor]:
    length = math.sqrt(float(inner_product(gradient, gradient)))
    return [tensor / length if length > 0 else tensor for tensor in gradient]
