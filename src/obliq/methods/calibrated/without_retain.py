"""Calibrated unlearning where no retain data are left: holdout samples stand for the retain set.

Forgotten samples are brought to the confidences that the original has on holdout samples, as by `calibrated` with
`difficulty="average"`. Reference models, which estimate how hard the forgotten samples are, would need the retain set.
What the network is to keep are its own answers on holdout samples:

    L_r = mean over B_h of KL(softmax(original) || softmax(network))         (1)

No label of a holdout sample is taught, so that holdout samples remain unseen ones. The gradient of L_r is zero at the
original. It grows as answers change, and the forget gradient is projected against it from then on: by default always,
where `calibrated` projects on conflict. Forget samples are drawn evenly, where `calibrated` draws by distance.

Source: ours; see `obliq.methods.calibrated.calibrated` for precedents. MU-Mis and JiT, which read the forget set alone,
are the published methods for this case.

In quantized networks all parameters are trained, learned steps included, unless `steps="frozen"`. A learned step
changes by at most a tenth in one update (`obliq.quantization.keep_steps_near_`). Batch-norm statistics stay as they
are unless `batch_norm="retain"`.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.errors import DataError
from obliq.gradients import distillation_loss
from obliq.methods.calibrated.matching import FEWEST_HOLDOUT_SAMPLES
from obliq.methods.calibrated.targets import calibrated_targets, distance_left
from obliq.methods.method import Access, Search, keeps_accuracy
from obliq.run import Run
from obliq.training.loop import move_to_device, require_at_least, seeded
from obliq.training.masks import Mask
from obliq.training.orthogonal_descent import OrthogonalDescent
from obliq.training.orthogonal_rounds import start_rounds
from obliq.training.passes import Passes, SetSizes
from obliq.training.prediction import predict


@final
@dataclass(frozen=True, kw_only=True)
class CalibratedHoldout(OrthogonalDescent):
    """Bring forgotten samples to confidences on holdout samples, and keep the answers on these, without a retain set.

    Attributes:
        rounds: Largest number of rounds. A new round begins until `tolerance` is met. Momentum continues, and the
            learning rate starts again. A round is short where there are few holdout samples, so that many may be
            needed.
        tolerance: Stop when the forget set's mean distance to its targets is at most this share of its value at the
            start.
        restarts: How many rounds may be undone and repeated at half the learning rate. A round is undone when accuracy
            on holdout samples falls more than 5 points below the original's.
        learning_rate: Learning rate at the start of each round. It falls to zero along half a cosine. Higher ones lose
            answers on what remains, which holdout samples do not show in full.
        epochs: Passes over the holdout samples, in each round.
        retain_batch: Holdout samples per step.
        retain_limit: Use only this many holdout samples, drawn by the run's seed. 0 uses all.
    """

    rounds: int = 10
    tolerance: float = 0.2
    restarts: int = 3
    learning_rate: float = 0.01

    version: ClassVar[int] = 1
    access: ClassVar[Access] = "nothing"
    search: ClassVar[Search] = {"learning_rate": (0.003, 0.01, 0.03), "forget_weight": (0.3, 1.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, rounds=self.rounds)
        require_at_least(0, tolerance=self.tolerance, restarts=self.restarts)

    def count_passes(self, sizes: SetSizes) -> Passes:
        """From one round to all of them, without those that are undone."""
        return self.passes_of_rounds(sizes.forget, sizes.kept_holdout, self.rounds)

    def unlearn(self, model: nn.Module, splits: Splits, run: Run, *, mask: Mask | None = None) -> nn.Module:
        """The network after descending on both losses, with the forget gradient projected.

        Outside `mask` it stays as it was; with a mask, `movable` has no effect.

        Raises:
            DataError: for fewer than five holdout samples that the network is to keep answering.
        """
        mask = mask or self.mask(model, splits.forget, run)
        kept = kept_samples(splits.holdout, splits.forgotten_classes)
        with seeded(run):
            network = move_to_device(copy.deepcopy(model), run)
            targets = calibrated_targets(network, splits, "average", run)
            answers = predict(network, self.retained(kept, run), run.device).to(run.device)

            def retain_loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:  # equation (1)
                return distillation_loss(answers[positions.to(run.device)], logits)

            rounds = start_rounds(self, network, splits.forget, kept, mask, run, retain_loss)
            rounds.run_until_near(
                rounds.passes(splits.forget),
                targets.loss_on(run.device),
                lambda: distance_left(network, splits.forget, targets, run),
                rounds=self.rounds,
                tolerance=self.tolerance,
                is_sound=keeps_accuracy(network, kept, run) if self.restarts else lambda: True,
                restarts=self.restarts,
            )
            return network.eval()


def kept_samples(holdout: Examples, gone: frozenset[int]) -> Examples:
    """The holdout samples that the network is to keep answering: those of classes that are not forgotten as a whole.

    Raises:
        DataError: for fewer than five.
    """
    kept = holdout.where(~torch.isin(holdout.labels, torch.tensor(sorted(gone), dtype=holdout.labels.dtype)))
    if len(kept) < FEWEST_HOLDOUT_SAMPLES:
        raise DataError(
            f"{len(holdout):,} holdout samples, {len(kept):,} of them of classes to keep; expected at least "
            f"{FEWEST_HOLDOUT_SAMPLES} of these, whose answers calibrated-holdout keeps in place of the retain set's"
        )
    return kept
