"""The steps of an orthogonal descent, equations (1) and (2) of `obliq.training.orthogonal_descent`, in rounds."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from obliq.data import Examples
from obliq.data.batches import numbered_cycle
from obliq.gradients import FirstOrderRecord, RetainReference, clip_norm_, gradient_of
from obliq.quantization import keep_steps_near_
from obliq.run import Run
from obliq.training.loop import (
    cosine_schedule,
    mixed_precision,
    require_finite_weights,
)
from obliq.training.masks import Mask
from obliq.training.orthogonal_descent import OrthogonalDescent
from obliq.training.paired_descent import PairedDescent
from obliq.training.step_losses import require_finite

Batch = tuple[Tensor, Tensor, Tensor]
"""Inputs, labels, and positions of the samples in their set."""
BatchLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From logits, labels and positions to the mean loss of a batch."""


def label_loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
    """Cross-entropy to the labels, in nats."""
    return F.cross_entropy(logits, labels)


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
        retain_loss: the loss L_r.
        rate_factor: of the learning rate; halved by `go_back_`.
    """

    settings: OrthogonalDescent
    descent: PairedDescent
    run: Run
    steps: int
    forget_batch: int
    retain: Iterator[Batch]
    reference: RetainReference
    retain_loss: BatchLoss
    rate_factor: float = 1.0

    def go_back_(self, state: Mapping[str, Tensor]) -> None:
        """Undo the last round: take the network back to `state`, without momentum, and halve the learning rate."""
        descent = self.descent
        descent.model.load_state_dict(state)
        for velocity in (*descent.retain_velocity, *descent.forget_velocity):
            velocity.zero_()
        descent.step -= self.steps
        self.rate_factor /= 2

    def run_until_near(
        self,
        forget: Iterator[Batch],
        forget_loss: BatchLoss,
        distance_left: Callable[[], Mapping[str, float]],
        *,
        rounds: int,
        tolerance: float,
        is_sound: Callable[[], bool],
        restarts: int,
    ) -> None:
        """Take rounds until the forget set is near its targets. One that damages is repeated at half the rate.

        Args:
            forget: endless batches of the forget set.
            forget_loss: L_f.
            distance_left: measures the network as it is; reported after each round. `distance_left` of the result is
                the share of the first distance that is left.
            rounds: how many at most.
            tolerance: the share at which no further round begins.
            is_sound: whether the network, as it is, has lost no more than it may; not called without restarts.
            restarts: how many rounds may be undone.

        Raises:
            ModelError: when the loss or a weight is no longer finite.
        """
        for _ in range(rounds):
            before = copy.deepcopy(self.descent.model.state_dict()) if restarts else {}
            self.run_round(forget, forget_loss)
            while restarts and not is_sound():
                restarts -= 1
                self.go_back_(before)
                self.run_round(forget, forget_loss)
            left = distance_left()
            self.run.listen("unlearn", self.descent.step, self.descent.step, left)
            if left["distance_left"] <= tolerance:
                break

    def passes(self, forget: Examples) -> Iterator[Batch]:
        """Endless batches of the forget set, pass after pass."""
        return numbered_cycle(
            forget, self.forget_batch, self.descent.generator, self.run.device, self.settings.augment
        )

    def run_round(self, forget: Iterator[Batch], forget_loss: BatchLoss) -> None:
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

    def _step(self, retain: Batch, forget: Batch, forget_loss: BatchLoss, rate: float) -> dict[str, float]:
        """Take one step, equations (1) and (2); the values recorded in it, none between records."""
        settings, descent, run = self.settings, self.descent, self.run
        by_batch = settings.batch_norm == "retain"

        def retain_loss() -> Tensor:
            inputs, labels, positions = retain
            with mixed_precision(run):
                return self.retain_loss(descent.model(inputs), labels, positions)

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


def start_rounds(
    settings: OrthogonalDescent,
    network: nn.Module,
    forget: Examples,
    retain: Examples,
    mask: Mask | None,
    run: Run,
    retain_loss: BatchLoss = label_loss,
) -> OrthogonalRounds:
    """Prepare to change `network` in place, in rounds of `epochs` passes over the retain set.

    Args:
        settings: the hyper-parameters.
        network: on the run's device.
        forget: the samples to forget.
        retain: those whose loss is L_r; the retain set, or what stands for it.
        mask: the entries that may move; None for all.
        run: device, seed and listener.
        retain_loss: the loss L_r whose gradient is g_r. Positions count within `settings.retained`.

    Raises:
        ModelError: when the mask does not fit the network.
    """
    descent = PairedDescent.start(network.train(), frozen_grid=settings.steps == "frozen", run=run, mask=mask)
    kept = settings.retained(retain, run)
    steps = settings.steps_of_round(len(kept))
    return OrthogonalRounds(
        settings=settings,
        descent=descent,
        run=run,
        steps=steps,
        forget_batch=settings.forget_batch_of_round(len(forget), steps),
        retain=numbered_cycle(kept, settings.retain_batch, descent.generator, run.device, settings.augment),
        reference=RetainReference(settings.reference, settings.memory),
        retain_loss=retain_loss,
    )
