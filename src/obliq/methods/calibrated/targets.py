"""The target confidence of every forgotten sample, and the distance that is left to it."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from obliq.data import Examples, Splits
from obliq.gradients import calibrated_loss
from obliq.methods.calibrated.difficulty import Features, RidgeSums, reference_features, ridge_margins
from obliq.methods.calibrated.matching import SampleScores, matched_confidence, shifted_confidence
from obliq.run import Run
from obliq.training.orthogonal_rounds import BatchLoss
from obliq.training.prediction import predict

Difficulty = Literal["average", "estimated"]
"""How hard the forget set is assumed to be among unseen data; see `calibrated_targets`."""


@dataclass(frozen=True, eq=False)
class Targets:
    """The target of every forget sample, in the order of the set, on the processor.

    Attributes:
        confidence: the target probability of the true class, 0 to 1.
        distance: the absolute difference of the original's confidence from it.
    """

    confidence: Float[Tensor, " forget"]
    distance: Float[Tensor, " forget"]

    def loss_on(self, device: torch.device) -> BatchLoss:
        """The mean loss of a batch of forget samples, by their positions in the set."""
        confidence = self.confidence.to(device)

        def loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
            return calibrated_loss(logits, labels, confidence[positions.to(device)])

        return loss


def calibrated_targets(original: nn.Module, splits: Splits, difficulty: Difficulty, run: Run) -> Targets:
    """The target probability of the true class for every forget sample.

    Under the original, unseen data of a class has the confidences of its holdout samples. `difficulty` decides which
    of them a forgotten sample gets:

    - `average`: the one at its own rank, so that the forget set becomes as hard as holdout data on average. This is
      right for a random share of the data; the samples of one person may be much harder.
    - `estimated`: the forget set becomes as hard as two small reference models estimate, which are trained on the
      retain set alone. For holdout samples, the reference models are trained on retain and forget set together: the
      original, too, had more data to learn from than the retrained network.

    Forget and holdout sets are read, and the retain set for `estimated`.
    """
    labels, unseen_labels = splits.forget.labels, splits.holdout.labels
    own = true_class_confidence(original, splits.forget, run)
    unseen = true_class_confidence(original, splits.holdout, run)
    gone = splits.forgotten_classes
    if difficulty == "average":
        aim = matched_confidence(own, labels, unseen, unseen_labels, forgotten_classes=gone)
    else:
        panel = [_reference_scores(features, splits) for features in reference_features(splits.retain, run)]
        aim = shifted_confidence(
            SampleScores(own, unseen), panel, labels, unseen, unseen_labels, forgotten_classes=gone
        )
    return Targets(aim, (aim - own).abs())


def _reference_scores(features: Features, splits: Splits) -> SampleScores:
    """Forget samples scored by training on the retain set, holdout samples by training on retain and forget set."""
    retained = RidgeSums.of(features, splits.retain)
    everything = retained + RidgeSums.of(features, splits.forget)
    return SampleScores(
        ridge_margins(features, retained, splits.forget),
        ridge_margins(features, everything, splits.holdout),
    )


def distance_left(model: nn.Module, forget: Examples, targets: Targets, run: Run) -> dict[str, float]:
    """The mean `distance` to the targets, 0 to 1, and `distance_left`: as a share of the original network's.

    The share is 0 where the original was at every target.
    """
    started = float(targets.distance.mean())
    distance = float((true_class_confidence(model, forget, run) - targets.confidence).abs().mean())
    return {"distance": distance, "distance_left": distance / started if started > 0 else 0.0}


def true_class_confidence(model: nn.Module, examples: Examples, run: Run) -> Float[Tensor, " samples"]:
    """The softmax probability of the true class, 0 to 1, in evaluation mode."""
    probabilities = predict(model, examples, run.device).softmax(dim=1)
    return probabilities.gather(1, examples.labels.unsqueeze(1)).squeeze(1)
