"""Random labels: teach wrong labels on the forget set, and the true ones on the rest.

Paper: the RL baseline of the field; Golatkar et al., "Eternal sunshine of the spotless net" (CVPR 2020). Reference
code: OPTML-Group/Unlearn-Saliency, `RL` (read at 3152cfe). Its two forms are a field here. `sequential` (there for
CIFAR-10 and SVHN): each epoch is a pass over the forget set with new labels for each batch, then a pass over the
retain set. `mixed` (there for CIFAR-100 and Tiny-ImageNet): labels are drawn once an epoch and both sets are
shuffled together. In both, labels come uniformly from all classes, the sample's own included.

Deviations: cosine schedule (there constant). Weight decay leaves learned steps, batch norm and biases alone.

In quantized networks every parameter is trained, learned steps included. A learned step changes by at most a tenth
in one update (`obliq.quantization.keep_steps_near_`). Batch norm normalises by each batch and follows it, forget
batches included, as in the reference, unless `batch_norm` is set otherwise. In the sequential form each epoch ends
with the retain set, so its statistics are the last to be followed.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from obliq.data import Splits
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, require_descent
from obliq.training.loop import move_to_device, require_at_least, seeded
from obliq.training.masks import Mask
from obliq.training.passes import Passes, SetSizes
from obliq.training.relabelling import (
    BatchNormMode,
    PassOrder,
    relabelled_losses,
    relabelled_steps,
    require_form,
)


@final
@dataclass(frozen=True, kw_only=True)
class RandomLabel:
    """Train on random labels for the forget set. Defaults are starting points, not tuned.

    Attributes:
        form: `sequential`: each epoch is a pass over the forget set, then one over the retain set. `mixed`: both sets
            are shuffled together.
        epochs: Passes over both sets.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied to weights only.
        batch_norm: Batch-norm statistics stay `frozen`, follow the `retain` batches (sequential form only), or follow
            `all` batches as in the reference code.
        augment: Use random crops and flips, for natural images.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.01, 0.03, 0.1), "form": ("sequential", "mixed")}

    form: PassOrder = "sequential"
    epochs: int = 5
    learning_rate: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: BatchNormMode = "all"
    augment: bool = False

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, batch_size=self.batch_size)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_form(self.form, self.batch_norm)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """Passes over both sets."""
        return Passes.exactly(self.epochs * (sizes.retain + sizes.forget))

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after training on random labels; outside `mask` it stays as it was."""
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run).train()
            losses = relabelled_losses(
                network,
                splits,
                form=self.form,
                batch_size=self.batch_size,
                batch_norm=self.batch_norm,
                augment=self.augment,
                run=run,
            )
            total = self.epochs * relabelled_steps(splits, form=self.form, batch_size=self.batch_size)
            descend(
                network,
                losses,
                epochs=self.epochs,
                total=total,
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                run=run,
                mask=mask,
            )
            return network.eval()
