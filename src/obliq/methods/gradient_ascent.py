"""Gradient ascent on the forget set: training in reverse.

Paper: the GA baseline of the field; Thudi et al., "Unrolling SGD: understanding factors influencing machine
unlearning" (EuroS&P 2022). Reference code: OPTML-Group/Unlearn-Saliency, `GA` (read at 3152cfe). Deviations: cosine
schedule (there constant). Weight decay leaves learned steps, batch norm and biases alone. Batch norm normalises by
its running statistics; the reference normalises by the forget batch and follows it (`batch_norm="forget"`).

The loss -CE(B_f) has no lower bound: too many steps, or too high a rate, destroy the network. A loss that stops
being finite is an error. The retain set is not used.

In quantized networks every parameter moves, learned steps included: ascent can shrink or stretch the grid itself. A
learned step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Following the forget
batches replaces the statistics of all the data by those of one person or class.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches
from obliq.methods.method import Access, Search
from obliq.run import Run
from obliq.training.descent import descend, require_descent, set_batch_norm_mode
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class GradientAscent:
    """Raise the loss on the forget set. Defaults are starting points for a small network, not tuned.

    Attributes:
        epochs: Passes over the forget set.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step.
        momentum: Momentum of the ascent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, or follow the `forget` batches as in the reference code.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "nothing"
    search: ClassVar[Search] = {"learning_rate": (1e-5, 2e-5, 4e-5, 6e-5, 1e-4, 2e-4)}

    epochs: int = 5
    learning_rate: float = 3e-5
    batch_size: int = 32
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: Literal["frozen", "forget"] = "frozen"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the forget set."""
        return Passes.exactly(self.epochs * sizes.forget)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after ascent on the forget set; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            order = run.generator(purpose=1)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, labels in batches(
                    splits.forget, self.batch_size, order, run.device, self.augment
                ):
                    set_batch_norm_mode(network, self.batch_norm, "forget", len(labels))
                    yield -F.cross_entropy(network(inputs), labels)

            descend(
                network,
                losses,
                epochs=self.epochs,
                total=self.epochs * steps_per_epoch(len(splits.forget), self.batch_size),
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
            )
            return network.eval()
