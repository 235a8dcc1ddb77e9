"""Descent on a retain and a forget loss at once, with the forget gradient projected away from the retain gradient.

    g_r = grad CE(B_r),  g_f = grad L_f(B_f),  u = g_f - (<g_f, g_r> / ||g_r||^2) g_r        (1)
    theta <- theta - rate * (g_r + forget_weight * u)                                        (2)

The two terms have separate momentum, and each raw gradient is clipped to the length `clip`. Early forget gradients
are long: without clipping, networks with frozen batch norm collapsed to a constant answer in our trials at weights
of 2 and more.

To first order, u leaves the loss of the batch B_r unchanged. Four things limit this statement. It holds for one
batch of the retain set. Gradients pass the quantizers straight through, so they are those of a surrogate. Momentum
carries earlier u, which are orthogonal to earlier retain gradients only (`projected="update"` projects what is
applied instead). Weight decay, which belongs to the retain term, adds a change of its own. The run therefore records
both the predicted and the measured change of the retain loss.

In quantized networks all parameters are trained, learned steps included unless `steps="frozen"`. One update moves a
step by at most a tenth of its value. Batch-norm statistics stay as they are unless `batch_norm="retain"`.

Source: equations (1) and (2) are our reconstruction of orthogonal gradient projection in OEU (Zhang et al., ICML 2026,
arXiv 2602.00567) from its abstract; everything that the abstract leaves open is a field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.data.batches import numbered_cycle
from obliq.gradients import (
    FirstOrderRecord,
    ProjectionScope,
    ProjectionWhen,
    ReferenceKind,
    RetainReference,
    clip_norm_,
    gradient_of,
)
from obliq.quantization import keep_steps_near_
from obliq.run import Run
from obliq.training.descent import require_descent, require_share
from obliq.training.loop import (
    cosine_schedule,
    mixed_precision,
    require_at_least,
    require_finite,
    require_finite_weights,
    steps_per_epoch,
)
from obliq.training.masks import Mask, saliency_mask
from obliq.training.paired_descent import PairedDescent

SALIENCY_BATCH = 128
"""Forget samples a gradient of the mask for `movable`."""
Batch = tuple[Tensor, Tensor, Tensor]
"""Inputs, labels, and positions of the samples in their set."""
ForgetLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From logits, labels and positions to L_f."""


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

    def start(self, network: nn.Module, splits: Splits, mask: Mask | None, run: Run) -> OrthogonalRounds:
        """Prepare to change `network` in place, in rounds of `epochs` passes over the retain set.

        Raises:
            ModelError: when the mask does not fit the network.
        """
        descent = PairedDescent.start(network.train(), frozen_grid=self.steps == "frozen", run=run, mask=mask)
        kept = self._retained(splits.retain, run)
        steps = self.epochs * steps_per_epoch(len(kept), self.retain_batch)
        return OrthogonalRounds(
            settings=self,
            descent=descent,
            run=run,
            steps=steps,
            forget_batch=self.forget_batch or automatic_forget_batch(len(splits.forget), steps),
            retain=numbered_cycle(kept, self.retain_batch, descent.generator, run.device, self.augment),
            reference=RetainReference(self.reference, self.memory),
        )

    def _retained(self, retain: Examples, run: Run) -> Examples:
        """The retain samples that are used, in the order of the data."""
        if not 0 < self.retain_limit < len(retain):
            return retain
        drawn = torch.randperm(len(retain), generator=run.generator(purpose=7))[: self.retain_limit]
        return Examples(retain.collection, retain.indices[drawn.sort().values])


def automatic_forget_batch(forget: int, steps: int) -> int:
    """Forget samples a step for 15 passes a round, within 32 and 128: larger batches cost more than they gain."""
    return max(32, min(128, math.ceil(15 * forget / steps)))


@dataclass(kw_only=True)
class OrthogonalRounds:
    """The state of a descent, from one round to the next; momentum continues and the learning rate starts again.

    Attributes:
        settings: the hyper-parameters.
        descent: the network, its velocities and the steps taken.
        run: device, seed and listener.
        steps: of a round.
        forget_batch: Forget samples per step.
        retain: endless batches of the retain set.
        reference: the retain gradients that forget gradients are projected against.
        rate_factor: of the learning rate; halved by `go_back_`.
    """

    settings: OrthogonalDescent
    descent: PairedDescent
    run: Run
    steps: int
    forget_batch: int
    retain: Iterator[Batch]
    reference: RetainReference
    rate_factor: float = 1.0

    def go_back_(self, state: Mapping[str, Tensor]) -> None:
        """Undo the last round: take the network back to `state`, without momentum, and halve the learning rate."""
        descent = self.descent
        descent.model.load_state_dict(state)
        for velocity in (*descent.retain_velocity, *descent.forget_velocity):
            velocity.zero_()
        descent.step -= self.steps
        self.rate_factor /= 2

    def passes(self, forget: Examples) -> Iterator[Batch]:
        """Endless batches of the forget set, pass after pass."""
        return numbered_cycle(
            forget, self.forget_batch, self.descent.generator, self.run.device, self.settings.augment
        )

    def run_round(self, forget: Iterator[Batch], forget_loss: ForgetLoss) -> None:
        """Take the steps of one round.

        Raises:
            ModelError: when the loss or a weight is no longer finite.
        """
        settings, descent = self.settings, self.descent
        rate = cosine_schedule(self.rate_factor * settings.learning_rate, self.steps)
        start, end = descent.step, descent.step + self.steps
        while descent.step < end:
            now = rate(descent.step - start)
            values = self._step(next(self.retain), next(forget), forget_loss, now)
            self.run.listen("unlearn", descent.step, end, values)
        require_finite_weights(descent.model, settings.learning_rate)

    def _step(self, retain: Batch, forget: Batch, forget_loss: ForgetLoss, rate: float) -> dict[str, float]:
        """Take one step, equations (1) and (2); the values recorded in it, none between records."""
        settings, descent, run = self.settings, self.descent, self.run
        by_batch = settings.batch_norm == "retain"

        def retain_loss() -> Tensor:
            inputs, labels, _ = retain
            with mixed_precision(run):
                return F.cross_entropy(descent.model(inputs), labels)

        descent.normalise_by_batch(by_batch)
        descent.remember_random_state_()
        loss_r = retain_loss()
        g_r = gradient_of(loss_r, descent.parameters)
        # Forget batches never set the statistics: those of one person or class would replace everybody's.
        descent.normalise_by_batch(False)
        inputs, labels, positions = forget
        with mixed_precision(run):
            loss_f = forget_loss(descent.model(inputs), labels, positions)
        g_f = gradient_of(loss_f, descent.parameters)
        require_finite(float(loss_r.detach() + loss_f.detach()), descent.step, settings.learning_rate)

        recorded = settings.record_every > 0 and descent.step % settings.record_every == 0
        record = FirstOrderRecord.before(g_r, g_f, loss_r, loss_f) if recorded else None
        if settings.clip:
            if record:
                g_r = [tensor.clone() for tensor in g_r]  # the record predicts with the gradient as it is
            clip_norm_(g_r, settings.clip)
            clip_norm_(g_f, settings.clip)
        self.reference.remember(g_r)
        u = self._forget_direction(g_f)  # equation (1), with momentum
        v = self._retain_direction(g_r)
        steps_before = [learned.detach().clone() for learned in descent.learned_steps]
        # Equation (2) in two parts, so that the change of the retain loss can be measured after each.
        descent.move_(u, rate * settings.forget_weight)
        if record:
            with descent.statistics_kept(by_batch):
                record.after_forget_part(u, rate * settings.forget_weight, retain_loss)
        descent.move_(v, rate)
        if record:
            with descent.statistics_kept(by_batch):
                record.after_retain_part(v, rate, retain_loss)
        keep_steps_near_(descent.learned_steps, steps_before)
        descent.step += 1
        return {**record.values, "changed_codes": descent.changed_codes()} if record else {}

    def _forget_direction(self, g_f: list[Tensor]) -> list[Tensor]:
        """The forget part of the step: its momentum, with either the gradient or the velocity projected."""
        settings, descent = self.settings, self.descent
        if settings.projected == "gradient":
            self.reference.project_(g_f, when=settings.projection, scope=settings.scope)
            descent.accelerate_(descent.forget_velocity, g_f, settings.momentum)
            return descent.forget_velocity
        # The velocity itself stays unprojected: only what is applied in this step loses its retain component.
        descent.accelerate_(descent.forget_velocity, g_f, settings.momentum)
        applied = [velocity.clone() for velocity in descent.forget_velocity]
        self.reference.project_(applied, when=settings.projection, scope=settings.scope)
        return applied

    def _retain_direction(self, g_r: list[Tensor]) -> list[Tensor]:
        """The retain part of the step: its momentum and weight decay; zeros under `forget_only`."""
        settings, descent = self.settings, self.descent
        if settings.update == "retain+forget":
            descent.accelerate_(descent.retain_velocity, g_r, settings.momentum)
            descent.decay_(settings.weight_decay)
        return descent.retain_velocity
