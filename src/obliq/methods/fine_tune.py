"""Fine-tuning: train on the retain set alone, so that the rest fades.

Source: the FT baseline of the field; Warnecke et al., "Machine unlearning of features and labels"
(NDSS 2023); reference code: OPTML-Group/Unlearn-Saliency, `FT`.
Deviations: cosine schedule (there constant). Weight decay leaves learned steps, batch norm and biases alone.

In a quantized network every parameter is trained, learned steps included, and batch-norm statistics follow the
retain set. A learned step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Splits
from obliq.data.batches import batches
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, require_descent
from obliq.training.loop import move_to_device, require_at_least, seeded, steps_per_epoch
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class FineTune:
    """Continue training on the retain set.

    Attributes:
        epochs: Passes over the retain set.
        learning_rate: Learning rate at the start.
        batch_size: Samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.03, 0.1, 0.2, 0.4, 0.6, 0.9)}

    epochs: int = 5
    learning_rate: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over the retain set."""
        return Passes.exactly(self.epochs * sizes.retain)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after more training on the retain set; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            order = run.generator(purpose=1)

            def losses(epoch: int) -> Iterator[Tensor]:
                for inputs, labels in batches(
                    splits.retain, self.batch_size, order, run.device, self.augment
                ):
                    yield F.cross_entropy(network(inputs), labels)

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
