"""Orthogonal entropy unlearning (OEU), a reconstruction, and our calibrated objective within it.

Paper: Zhang et al., "Forget by uncertainty: orthogonal entropy unlearning for quantized neural networks", ICML 2026,
arXiv 2602.00567. Reference code: none published. Reconstructed from the abstract: the forget objective raises the
entropy of the prediction, and its gradient is projected onto the orthogonal complement of the retain gradient.
Everything else is our choice, and each open choice is a field:

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

`objective="calibrated"` is ours and no part of the paper. The network to imitate is the retrained one, and it is not
maximally uncertain on forgotten samples: it treats them as unseen. So each sample is brought to the confidence that
the original has on unseen samples that are as hard; see `obliq.calibration` for the targets. Bringing the forget set
to what the original does on unseen data has public precedents: ReGUn (arXiv 2603.11210, March 2026: one
batch-averaged reference for all forget samples) and A-AMU (arXiv 2507.09786, July 2025: loss distributions matched
by MMD). Ours are the target for each sample by quantiles, the reference models of difficulty, and the projection.

In quantized networks all parameters are trained, learned steps included unless `steps="frozen"`. One update moves a
step by at most a tenth of its value. Batch-norm statistics stay as they are unless `batch_norm="retain"`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obliq.calibration import Difficulty, Targets, batches_by_distance, calibrated_targets, distance_left
from obliq.data import Examples, Splits
from obliq.data.batches import numbered_cycle
from obliq.gradients import (
    FirstOrderRecord,
    ProjectionScope,
    ProjectionWhen,
    ReferenceKind,
    RetainReference,
    calibrated_loss,
    clip_norm_,
    gradient_of,
    negative_entropy,
    uniform_loss,
)
from obliq.methods.method import Search
from obliq.quantization import keep_steps_near_
from obliq.run import Run
from obliq.training.descent import require_descent, require_share
from obliq.training.loop import (
    cosine_schedule,
    mixed_precision,
    move_to_device,
    require_at_least,
    require_finite,
    require_finite_weights,
    seeded,
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


@final
@dataclass(frozen=True, kw_only=True)
class OEU:
    """Raise uncertainty on the forget set along directions that, to first order, leave the retain loss unchanged.

    Attributes:
        objective: L_f. `entropy`: minus the mean entropy (the reconstruction). `uniform`: KL(uniform || p), with the
            same optimum and a gradient that does not vanish on confident samples. `calibrated`: cross-entropy to a
            soft label with the confidence that the original has on unseen samples of the same class (ours).
        difficulty: under `calibrated`, how hard the forget set is assumed to be among unseen data: as hard as their
            `average`, or (`witness`) as hard as two reference models estimate that are trained on the retain set
            alone; see `obliq.calibration`.
        draw: under `calibrated`, how forget samples are drawn into batches: pass after pass (`even`), or more often
            the further they are from their target (`by_distance`); see `obliq.calibration.targets`.
        projection: `always` (the reconstruction), `on_conflict` only where <g_f, g_r> < 0, or `never`.
        scope: the inner product over all parameters (`global`), or for each tensor on its own (`per_tensor`).
        reference: the step's retain gradient (`batch`), the `span` of the last `memory` ones, or their `average`.
        memory: steps that a span or an average reaches back.
        projected: the raw forget `gradient`, or the forget part of the final `update`, momentum included.
        update: `retain+forget`, or `forget_only`, where the retain gradient only serves the projection.
        forget_weight: lambda, the weight of the forget term.
        epochs: passes over the retain set, in each round.
        rounds: under `calibrated`, at most this many, until `tolerance` is met. Momentum continues, and the learning
            rate starts again. Small retain sets and large forget sets need more than one round.
        tolerance: the share of the forget set's mean distance to its targets at which no further round begins.
        learning_rate: at the start; it falls to zero along half a cosine.
        retain_batch: retain samples a step; many short steps reach the targets sooner than few long ones.
        forget_batch: forget samples a step; 0 chooses as many as make 15 passes over the forget set in a round,
            within 32 and 128.
        retain_limit: how many retain samples are used, drawn by the run's seed; 0 for all.
        clip: the greatest length of each raw gradient; 0 for no limit.
        momentum: for both terms.
        weight_decay: on weights, as part of the retain term.
        batch_norm: statistics `frozen`, or following the `retain` batches. Forget batches are always normalised by
            the running statistics and never change them.
        steps: `learned`, or `frozen` together with batch norm's scale and shift, because the scale of a deployed
            weight is step x gamma / sigma; then only integer codes and layer biases move.
        movable: the share of all entries that may move, the most salient first, as in `Masked`; it makes patches
            smaller.
        augment: random crops and flips; for natural images.
        record_every: steps between two measurements of the first-order guarantee; 0 for none.
    """

    objective: Literal["entropy", "uniform", "calibrated"] = "entropy"
    difficulty: Difficulty = "witness"
    draw: Literal["even", "by_distance"] = "by_distance"
    projection: ProjectionWhen = "always"
    scope: ProjectionScope = "global"
    reference: ReferenceKind = "batch"
    memory: int = 8
    projected: Literal["gradient", "update"] = "gradient"
    update: Literal["retain+forget", "forget_only"] = "retain+forget"
    forget_weight: float = 1.0
    epochs: int = 3
    rounds: int = 3
    tolerance: float = 0.2
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

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.02, 0.05), "forget_weight": (0.2, 1.0, 2.0)}

    def __post_init__(self) -> None:
        require_at_least(1, epochs=self.epochs, rounds=self.rounds, memory=self.memory)
        require_at_least(1, retain_batch=self.retain_batch)
        require_at_least(0, forget_batch=self.forget_batch, retain_limit=self.retain_limit, clip=self.clip)
        require_at_least(0, forget_weight=self.forget_weight, tolerance=self.tolerance)
        require_at_least(0, record_every=self.record_every)
        require_descent(
            learning_rate=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        require_share(movable=self.movable)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on both losses, with the forget gradient projected.

        Outside `mask` it stays as it was; with a mask, `movable` has no effect.
        """
        if mask is None and self.movable < 1:
            mask = saliency_mask(model, splits.forget, share=self.movable, batch_size=SALIENCY_BATCH, run=run)
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            targets, forget_loss = self._objective(network, splits, run)
            descent = PairedDescent.start(
                network.train(), frozen_grid=self.steps == "frozen", run=run, mask=mask
            )
            order = descent.generator
            kept = self._retained(splits.retain, run)
            total = self.epochs * steps_per_epoch(len(kept), self.retain_batch)
            forget_batch = self.forget_batch or self._automatic_forget_batch(len(splits.forget), total)
            retain = numbered_cycle(kept, self.retain_batch, order, run.device, self.augment)
            forget = (
                numbered_cycle(splits.forget, forget_batch, order, run.device, self.augment)
                if targets is None or self.draw == "even"
                else batches_by_distance(
                    splits.forget, targets.distance, forget_batch, order, run.device, self.augment
                )
            )
            reference = RetainReference(self.reference, self.memory)
            rate = cosine_schedule(self.learning_rate, total)
            for end in range(total, total * self.rounds + 1, total):  # one round each
                while descent.step < end:
                    now = rate(descent.step - end + total)  # the schedule starts again with each round
                    values = self._step(descent, next(retain), next(forget), forget_loss, reference, now, run)
                    run.listen("unlearn", descent.step, end, values)
                require_finite_weights(network, self.learning_rate)
                if targets is None:  # no distance that a further round could close
                    break
                left = distance_left(network, splits.forget, targets, run)
                run.listen("unlearn", end, end, {"distance_left": left})
                if left <= self.tolerance:
                    break
            return network.eval()

    def _step(
        self,
        descent: PairedDescent,
        retain: Batch,
        forget: Batch,
        forget_loss: ForgetLoss,
        reference: RetainReference,
        rate: float,
        run: Run,
    ) -> dict[str, float]:
        """Take one step, equations (1) and (2); the values recorded in it, none between records."""
        by_batch = self.batch_norm == "retain"

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
        require_finite(float(loss_r.detach() + loss_f.detach()), descent.step, self.learning_rate)

        recorded = self.record_every > 0 and descent.step % self.record_every == 0
        record = FirstOrderRecord.before(g_r, g_f, loss_r, loss_f) if recorded else None
        if self.clip:
            if record:
                g_r = [tensor.clone() for tensor in g_r]  # the record predicts with the gradient as it is
            clip_norm_(g_r, self.clip)
            clip_norm_(g_f, self.clip)
        reference.remember(g_r)
        u = self._forget_direction(descent, g_f, reference)  # equation (1), with momentum
        v = self._retain_direction(descent, g_r)
        steps_before = [learned.detach().clone() for learned in descent.learned_steps]
        # Equation (2) in two parts, so that the change of the retain loss can be measured after each.
        descent.move_(u, rate * self.forget_weight)
        if record:
            with descent.statistics_kept(by_batch):
                record.after_forget_part(u, rate * self.forget_weight, retain_loss)
        descent.move_(v, rate)
        if record:
            with descent.statistics_kept(by_batch):
                record.after_retain_part(v, rate, retain_loss)
        keep_steps_near_(descent.learned_steps, steps_before)
        descent.step += 1
        return {**record.values, "changed_codes": descent.changed_codes()} if record else {}

    def _retained(self, retain: Examples, run: Run) -> Examples:
        """The retain samples that are used, in the order of the data."""
        if not 0 < self.retain_limit < len(retain):
            return retain
        drawn = torch.randperm(len(retain), generator=run.generator(purpose=7))[: self.retain_limit]
        return Examples(retain.collection, retain.indices[drawn.sort().values])

    @staticmethod
    def _automatic_forget_batch(forget: int, steps: int) -> int:
        """Forget samples a step for 15 passes a round, within 32 and 128: larger batches cost more than they gain."""
        return max(32, min(128, math.ceil(15 * forget / steps)))

    def _forget_direction(
        self, descent: PairedDescent, g_f: list[Tensor], reference: RetainReference
    ) -> list[Tensor]:
        """The forget part of the step: its momentum, with either the gradient or the velocity projected."""
        if self.projected == "gradient":
            reference.project_(g_f, when=self.projection, scope=self.scope)
            descent.accelerate_(descent.forget_velocity, g_f, self.momentum)
            return descent.forget_velocity
        # The velocity itself stays unprojected: only what is applied in this step loses its retain component.
        descent.accelerate_(descent.forget_velocity, g_f, self.momentum)
        applied = [velocity.clone() for velocity in descent.forget_velocity]
        reference.project_(applied, when=self.projection, scope=self.scope)
        return applied

    def _retain_direction(self, descent: PairedDescent, g_r: list[Tensor]) -> list[Tensor]:
        """The retain part of the step: its momentum and weight decay; zeros under `forget_only`."""
        if self.update == "retain+forget":
            descent.accelerate_(descent.retain_velocity, g_r, self.momentum)
            descent.decay_(self.weight_decay)
        return descent.retain_velocity

    def _objective(self, original: nn.Module, splits: Splits, run: Run) -> tuple[Targets | None, ForgetLoss]:
        """The targets of forget samples, if the objective has any, and the loss L_f."""
        if self.objective != "calibrated":
            loss = negative_entropy if self.objective == "entropy" else uniform_loss
            return None, lambda logits, labels, positions: loss(logits)
        targets = calibrated_targets(original, splits, self.difficulty, run)
        confidence = targets.confidence.to(run.device)
        return targets, lambda logits, labels, positions: calibrated_loss(
            logits, labels, confidence[positions.to(run.device)]
        )
