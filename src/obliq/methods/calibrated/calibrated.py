"""Calibrated unlearning: treat every forgotten sample as the original treats unseen samples that are as hard.

The network to imitate is the retrained one, and it is not maximally uncertain on forgotten samples: it treats them as
unseen. So each sample is brought to the confidence that the original has on unseen samples that are as hard, along
the directions of `obliq.training.orthogonal_descent`. Targets are computed in `obliq.methods.calibrated.targets`.

Source: ours, and no part of the OEU paper. The idea of bringing the forget set to what the original does on unseen
data has public precedents. ReGUn (arXiv 2603.11210, March 2026) distils one prediction, averaged over a batch of
unseen samples, into all forget samples. A-AMU (arXiv 2507.09786, July 2025) matches the loss distributions of
forgotten and unseen samples by maximum mean discrepancy. Ours are the target for each sample by quantiles, the
reference models that estimate difficulty, and the projection.

In quantized networks all parameters are trained, learned steps included, unless `steps="frozen"`. A learned step
changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Batch-norm statistics stay as they
are unless `batch_norm="retain"`.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import nn

from obliq.data import Splits
from obliq.data.batches import batches_by_distance
from obliq.gradients import ProjectionWhen
from obliq.methods.calibrated.targets import (
    Difficulty,
    calibrated_targets,
    distance_left,
)
from obliq.methods.method import Search, keeps_accuracy
from obliq.run import Run
from obliq.training.loop import move_to_device, require_at_least, seeded
from obliq.training.masks import Mask
from obliq.training.orthogonal_descent import OrthogonalDescent
from obliq.training.orthogonal_rounds import start_rounds
from obliq.training.passes import Passes, SetSizes


@final
@dataclass(frozen=True, kw_only=True)
class Calibrated(OrthogonalDescent):
    """Bring each forgotten sample to the confidence that the original has on equally difficult unseen samples.

    Attributes:
        difficulty: How difficult the forget set is, compared with unseen data. `average`: as difficult as unseen data
            on average. `estimated`: as difficult as two reference models, trained on the retain set only, estimate.
        draw: How forget samples are drawn into batches. `even`: pass after pass. `by_distance`: more often the further
            they are from their target.
        rounds: Largest number of rounds. A new round begins until `tolerance` is met. Momentum continues, and the
            learning rate starts again. Small retain sets and large forget sets need more than one round.
        tolerance: Stop when the forget set's mean distance to its targets is at most this share of its value at the
            start.
        restarts: How many rounds may be undone and repeated at half the learning rate. A round is undone when accuracy
            on retained samples falls more than 5 points below the original's.
        projection: When to project the forget gradient g_f against the retain gradient g_r: `always`, `on_conflict`
            (only if <g_f, g_r> < 0), or `never`.
    """

    difficulty: Difficulty = "estimated"
    draw: Literal["even", "by_distance"] = "by_distance"
    rounds: int = 3
    tolerance: float = 0.2
    restarts: int = 3
    projection: ProjectionWhen = "on_conflict"

    version: ClassVar[int] = 1
    search: ClassVar[Search] = {"learning_rate": (0.02, 0.05), "forget_weight": (0.2, 1.0, 2.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, rounds=self.rounds)
        require_at_least(0, tolerance=self.tolerance, restarts=self.restarts)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """From one round to all of them, without those that are undone."""
        return self.passes_of_rounds(sizes.forget, sizes.retain, self.rounds, even=self.draw == "even")

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on both losses, with the forget gradient projected.

        Outside `mask` it stays as it was; with a mask, `movable` has no effect.
        """
        mask = mask or self.mask(model, splits.forget, run)
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            targets = calibrated_targets(network, splits, self.difficulty, run)
            rounds = start_rounds(self, network, splits.forget, splits.retain, mask, run)
            forget = (
                rounds.passes(splits.forget)
                if self.draw == "even"
                else batches_by_distance(
                    splits.forget,
                    targets.distance,
                    rounds.forget_batch,
                    rounds.descent.generator,
                    run.device,
                    self.augment,
                )
            )
            rounds.run_until_near(
                forget,
                targets.loss_on(run.device),
                lambda: distance_left(network, splits.forget, targets, run),
                rounds=self.rounds,
                tolerance=self.tolerance,
                is_sound=keeps_accuracy(network, splits.retain, run) if self.restarts else lambda: True,
                restarts=self.restarts,
            )
            return network.eval()
