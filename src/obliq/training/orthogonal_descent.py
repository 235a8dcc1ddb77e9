"""Descent on a retain and a forget loss at once, with the forget gradient projected away from the retain gradient.

    g_r = grad L_r(B_r),  g_f = grad L_f(B_f),  u = g_f - (<g_f, g_r> / ||g_r||^2) g_r        (1)
    theta <- theta - rate * (g_r + forget_weight * u)                                        (2)

The two terms have separate momentum, and each raw gradient is clipped to the length `clip`. Early forget gradients
are long: without clipping, networks with frozen batch norm collapsed to a constant answer in our trials at weights
of 2 and more.

To first order, u leaves the loss of the batch B_r unchanged. Four things limit this statement. It holds for one
batch of the retain set. Gradients pass the quantizers straight through, so they are those of a surrogate. Momentum
carries earlier u, which are orthogonal to earlier retain gradients only (`projected="update"` projects what is
applied instead). Weight decay, which belongs to the retain term, adds a change of its own. The run therefore records
both the predicted and the measured change of the retain loss.

In quantized networks all parameters are trained, learned steps included, unless `steps="frozen"`. A learned step
changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Batch-norm statistics stay as they
are unless `batch_norm="retain"`.

Source: equations (1) and (2) are our reconstruction of orthogonal gradient projection in OEU (Zhang et al., ICML 2026,
arXiv 2602.00567) from its abstract; everything that the abstract leaves open is a field.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from obliq.data import Examples
from obliq.gradients import ProjectionScope, ProjectionWhen, ReferenceKind
from obliq.run import Run
from obliq.training.descent import require_descent, require_share
from obliq.training.loop import require_at_least, steps_per_epoch
from obliq.training.masks import Mask, saliency_mask
from obliq.training.passes import Passes, mean_batch

SALIENCY_BATCH = 128
"""Forget samples a gradient of the mask for `movable`."""


@dataclass(frozen=True, kw_only=True)
class OrthogonalDescent:
    """The hyper-parameters of the descent.

    Attributes:
        projection: When to project the forget gradient g_f against the retain gradient g_r: `always`, `on_conflict`
            (only if <g_f, g_r> < 0), or `never`.
        scope: Compute the inner product of both gradients over all parameters (`global`), or for each tensor separately
            (`per_tensor`).
        reference: What the forget gradient is projected against: the retain gradient of this step (`batch`), the `span`
            of the last `memory` retain gradients, or their `average`.
        memory: Number of retain gradients in a `span` or an `average`.
        projected: Project the raw forget `gradient`, or the forget part of the final `update`, momentum included.
        update: `retain+forget` descends on both losses. `forget_only` uses the retain gradient for the projection only.
        forget_weight: Weight lambda of the forget term.
        epochs: Passes over the retain set, in each round.
        learning_rate: Learning rate at the start. It falls to zero along half a cosine.
        retain_batch: Retain samples per step. Many steps on small batches reach the targets sooner than few on large
            ones.
        forget_batch: Forget samples per step. 0 chooses a number from 32 to 128 that makes about 15 passes over the
            forget set in a round.
        retain_limit: Use only this many retain samples, drawn by the run's seed. 0 uses all.
        clip: Largest length of each raw gradient. 0 sets no limit.
        momentum: Momentum of both terms.
        weight_decay: Weight decay, applied to weights only, as part of the retain term.
        batch_norm: Batch-norm statistics stay `frozen`, or follow the `retain` batches. Forget batches are always
            normalised by the running statistics and never change them.
        steps: Train the learned steps (`learned`), or keep them and batch norm's scale and shift (`frozen`). With
            `frozen`, only integer codes and layer biases change: the scale of a deployed weight is step x gamma /
            sigma.
        movable: Share of all parameter entries that may change, the most salient first. A small share makes patches
            smaller.
        augment: Use random crops and flips, for natural images.
        record_every: Steps between two measurements of the first-order guarantee. 0 measures none.
    """

    projection: ProjectionWhen = "always"
    scope: ProjectionScope = "global"
    reference: ReferenceKind = "batch"
    memory: int = 8
    projected: Literal["gradient", "update"] = "gradient"
    update: Literal["retain+forget", "forget_only"] = "retain+forget"
    forget_weight: float = 1.0
    epochs: int = 3
    learning_rate: float = 0.03
    retain_batch: int = 32
    forget_batch: int = 0
    retain_limit: int = 0
    clip: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_norm: Literal["frozen", "retain"] = "frozen"
    steps: Literal["learned", "frozen"] = "learned"
    movable: float = 1.0
    augment: bool = False
    record_every: int = 10

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, memory=self.memory, retain_batch=self.retain_batch)
        require_at_least(0, forget_batch=self.forget_batch, retain_limit=self.retain_limit, clip=self.clip)
        require_at_least(0, forget_weight=self.forget_weight, record_every=self.record_every)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_share(movable=self.movable)

    def mask(self, model: nn.Module, forget: Examples, run: Run) -> Mask | None:
        """The entries that may move, the most salient `movable` of all; None when all may."""
        if self.movable == 1:
            return None
        return saliency_mask(model, forget, share=self.movable, batch_size=SALIENCY_BATCH, run=run)

    def steps_of_round(self, retain: int) -> int:
        """How many steps `epochs` passes over the retain samples in use take, of a retain set of that size."""
        return self.epochs * steps_per_epoch(min(retain, self.retain_limit or retain), self.retain_batch)

    def forget_batch_of_round(self, forget: int, steps: int) -> int:
        """Forget samples per step of a round of so many steps."""
        return self.forget_batch or automatic_forget_batch(forget, steps)

    def passes_of_rounds(self, forget: int, retain: int, rounds: int = 1, *, even: bool = True) -> Passes:
        """Passes from one round to all of them, and that of the mask for `movable`.

        Args:
            forget: samples of the forget set.
            retain: samples of the retain set.
            rounds: at most, without those that are undone.
            even: forget batches come from passes over the set, of which the last batch may be smaller.
        """
        steps = self.steps_of_round(retain)
        batch = self.forget_batch_of_round(forget, steps)
        of_forget = mean_batch(forget, batch) if even else min(batch, forget)
        one = self.epochs * min(retain, self.retain_limit or retain) + steps * of_forget
        mask = 0 if self.movable == 1 else forget
        return Passes(mask + one, mask + rounds * one)

    def retained(self, retain: Examples, run: Run) -> Examples:
        """The retain samples that are used, in the order of the data."""
        if not 0 < self.retain_limit < len(retain):
            return retain
        drawn = torch.randperm(len(retain), generator=run.generator(purpose=7))[: self.retain_limit]
        return Examples(retain.collection, retain.indices[drawn.sort().values])


def automatic_forget_batch(forget: int, steps: int) -> int:
    """Forget samples a step for 15 passes a round, within 32 and 128: larger batches cost more than they gain."""
    return max(32, min(128, math.ceil(15 * forget / steps)))
