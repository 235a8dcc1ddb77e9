"""Bad teacher: imitate an untrained network on the forget set, and the original on the rest.

Paper: Chundawat et al., "Can bad teaching induce forgetting? Unlearning in deep networks using an incompetent
teacher" (AAAI 2023, arXiv 2205.08096). Reference code: vikram2000b/bad-teaching-unlearning, `blindspot_unlearner`
(read at 0aab08c). The forget set and a share of the retain set are shuffled together. The student starts as a copy
of the original and descends on

    L = KL(incompetent || student) on forget samples, KL(original || student) on retain samples

Deviations: stochastic gradient descent with a cosine schedule (there Adam at a constant rate). The divergence is
averaged over samples alone (there over samples and classes) and carries the factor T^2. The student is in training
mode, so that batch norm follows the batches unless `batch_norm="frozen"`.

In quantized networks the incompetent teacher is the same network with all parameters drawn again, steps and
statistics included. Its activation steps are then set from one retain batch, because it cannot compute without a
grid. It is used in evaluation mode, like the original. Every parameter of the student is trained, learned steps
included. A learned step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.data.batches import batches, numbered_cycle
from obliq.gradients import distillation_loss
from obliq.methods.method import Search
from obliq.models import initialise
from obliq.quantization import calibrate_steps
from obliq.run import Run
from obliq.training.descent import descend, require_above, require_descent, require_share, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import WITHOUT_GRADIENTS, Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class BadTeacher:
    """Imitate a random network on the forget set, and the original elsewhere. Defaults are starting points, not tuned.

    Attributes:
        retain_share: Share of the retain set that is used together with the forget set. It is drawn once.
        temperature: Temperature that softens all predictions.
        epochs: Passes over the forget set and that share.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, or follow `all` batches.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.005, 0.015, 0.05), "retain_share": (0.3, 0.6)}

    retain_share: float = 0.3
    temperature: float = 1.0
    epochs: int = 5
    learning_rate: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: Literal["frozen", "all"] = "all"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_above(0, temperature=self.temperature)
        require_share(retain_share=self.retain_share)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The student's passes over forget set and share, and those of both teachers without gradients."""
        both = sizes.forget + int(self.retain_share * sizes.retain)
        return Passes.exactly(self.epochs * both * (1 + 2 * WITHOUT_GRADIENTS))

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The student of both teachers; outside `mask` it stays as it was."""
        with seeded(run):
            competent = move_to_device(copy.deepcopy(model), run).eval()
            incompetent = incompetent_teacher(model, splits.retain, self.batch_size, run)
            network = move_to_device(copy.deepcopy(model), run).train()
            order, draws = run.generator(purpose=1), run.generator(purpose=6)
            count = int(self.retain_share * len(splits.retain))
            chosen = splits.retain.indices[torch.randperm(len(splits.retain), generator=draws)[:count]]
            both = Examples(splits.retain.collection, torch.cat([splits.forget.indices, chosen]))
            stream = numbered_cycle(both, self.batch_size, order, run.device, self.augment)
            length = steps_per_epoch(len(both), self.batch_size)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, _, positions in islice(stream, length):
                    # the forget set stands first in `both`
                    forgotten = (positions < len(splits.forget)).to(run.device).unsqueeze(1)
                    with torch.no_grad():
                        taught = torch.where(forgotten, incompetent(inputs), competent(inputs)).float()
                    set_batch_norm_mode(network, self.batch_norm, "forget", len(positions))
                    yield distillation_loss(taught, network(inputs).float(), self.temperature)

            descend(
                network,
                losses,
                epochs=self.epochs,
                total=self.epochs * length,
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
            )
            return network.eval()


def incompetent_teacher(model: nn.Module, retain: Examples, batch_size: int, run: Run) -> nn.Module:
    """A network of the same form that has learned nothing, in evaluation mode.

    Args:
        model: left as it is.
        retain: activation steps are set from its first batch.
        batch_size: samples in that batch.
        run: its seed draws the weights.
    """
    fresh = copy.deepcopy(model)
    # Not run.seed itself: the original may have been drawn from it.
    initialise(fresh, run.generator(purpose=7).initial_seed())
    fresh = move_to_device(fresh, run).eval()
    inputs, _ = next(batches(retain, batch_size, run.generator(purpose=2), run.device))
    calibrate_steps(fresh, inputs)
    return fresh
