"""SalUn: random labels, taught only to the parameters on which the forget loss depends most.

Paper: Fan et al., "SalUn: empowering machine unlearning via gradient-based weight saliency in both image
classification and generation" (ICLR 2024, arXiv 2310.12508). Reference code: OPTML-Group/Unlearn-Saliency,
`generate_mask` (read at ac880a2) and `RL` with a mask (read at 3152cfe, which freezes masked weights in
full; earlier versions masked gradients alone, so that weight decay and momentum still moved them).

As in the reference, the mask is computed once, at the original weights and in evaluation mode. It comes from the
absolute value of the summed forget gradient, ranked over all parameters together. Then random labels are taught, and
every entry outside the mask is restored after every step.

As in the reference code, a random label may be the true one, and the retain loss has no weight. The paper's objective
has another label than the true one, and a weight alpha of the retain loss.

Deviations: cosine schedule (there constant). Weight decay leaves learned steps, batch norm and biases alone. The
mask's batches are in the order of the data, not shuffled.

In quantized networks learned steps are ranked and frozen like every other parameter. A frozen latent weight keeps its
value bit for bit, but its integer code can still change when the mask lets the step of its channel move. A learned
step changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Batch-norm statistics are no
parameters: no mask holds them, and `batch_norm` decides.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from obliq.data import Splits
from obliq.methods.method import Search
from obliq.run import Run
from obliq.training.descent import descend, require_descent, require_share
from obliq.training.loop import move_to_device, require_at_least, seeded
from obliq.training.masks import saliency_mask
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
class SalUn:
    """Train on random labels, and change only salient parameters. Defaults follow the reference code, not tuned.

    Attributes:
        share: Share of all parameter entries that may change, the most salient first.
        form: `sequential`: each epoch is a pass over the forget set, then one over the retain set. `mixed`: both sets
            are shuffled together.
        epochs: Passes over both sets.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        batch_size: Samples per step, and per gradient from which the mask is computed.
        momentum: Momentum of the descent.
        weight_decay: Weight decay, applied only to weights that may change.
        batch_norm: Batch-norm statistics stay `frozen`, follow the `retain` batches (sequential form only), or follow
            `all` batches as in the reference code.
        augment: Use random crops and flips in training, for natural images. The mask is computed without them.
    """

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.01, 0.03, 0.1), "share": (0.3, 0.6)}

    share: float = 0.5
    form: PassOrder = "sequential"
    epochs: int = 5
    learning_rate: float = 0.013
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
        require_share(share=self.share)
        require_form(self.form, self.batch_norm)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """The mask's pass over the forget set, and passes over both sets."""
        return Passes.exactly(sizes.forget + self.epochs * (sizes.retain + sizes.forget))

    def unlearn(self, model: nn.Module, splits: Splits, run: Run) -> nn.Module:
        """The network after its salient parameters were trained on random labels."""
        mask = saliency_mask(model, splits.forget, share=self.share, batch_size=self.batch_size, run=run)
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
