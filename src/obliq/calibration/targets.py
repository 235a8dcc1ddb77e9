"""How confident the unlearned network should be on each forgotten sample, from data that a user has."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from obliq.calibration.difficulty import Features, RidgeSums, reference_features, ridge_margins
from obliq.calibration.matching import SampleScores, matched_confidence, shifted_confidence
from obliq.data import Examples, Splits
from obliq.data.batches import numbered_cycle
from obliq.run import Run
from obliq.training.loop import predict


def batches_by_distance(
    examples: Examples,
    distances: Float[Tensor, " samples"],
    batch_size: int,
    generator: torch.Generator,
    device: torch.device,
    augment: bool = False,
) -> Iterator[tuple[Shaped[Tensor, "batch ..."], Int[Tensor, " batch"], Int[Tensor, " batch"]]]:
    """Endless batches of inputs, labels and the samples' positions, each drawn anew from the generator.

    Most of a forget set is nearly where it should be, and every pass over it in order spends most of its time there.
    The first of a batch is drawn with weights 1 + distance / mean distance: half evenly, half in proportion. As nobody
    comes twice in a batch, the favour fades the larger batches are, and is none where a batch is the whole set.

    Args:
        examples: the forget set.
        distances: how far each sample has to go, 0 or more.
        batch_size: samples a batch.
        generator: draws, and augments.
        device: where batches go; positions stay on the processor.
        augment: random crops and flips.

    Source: ours. Chosen over purely proportional draws, and over distances kept up to date as batches are seen.
    """
    mean = distances.mean()
    weights = 1 + (distances / mean if mean > 0 else torch.zeros_like(distances))
    size = min(batch_size, len(examples))
    while True:
        positions = torch.multinomial(weights, size, generator=generator)
        few = Examples(examples.collection, examples.indices[positions])
        inputs, labels, order = next(numbered_cycle(few, size, generator, device, augment))
        yield inputs, labels, positions[order]


Difficulty = Literal["average", "witness"]
"""How hard the forget set is taken to be among unseen data; see `calibrated_targets`."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Where every forget sample should go, in the order of the set; on the processor.

    Attributes:
        confidence: the probability of the true class to aim at.
        distance: by how much the original's is off.
    """

    confidence: Float[Tensor, " forget"]
    distance: Float[Tensor, " forget"]


def calibrated_targets(original: nn.Module, splits: Splits, difficulty: Difficulty, run: Run) -> Targets:
    """The probability of the true class to aim at, for every forget sample.

    Unseen data of the same class has, under the original, the confidences that its holdout samples have;
    `difficulty` decides which of them a forgotten sample gets:

    - `average`: those at its own rank, so that the forget set becomes as hard as holdout data on average.
      Right for a random share of the data; one person's samples may be much harder.
    - `witness`: those of a set as hard as witnesses find it, who have learned from the retain set alone.
      They judge forget samples against holdout samples as witnesses find these who have learned from both
      sets: so does the retrained network relate to the original, which had more data to learn from.

    Retain, forget and holdout sets are read.
    """
    labels, unseen_labels = splits.forget.labels, splits.holdout.labels
    own = true_class_confidence(original, splits.forget, run)
    unseen = true_class_confidence(original, splits.holdout, run)
    gone = splits.forgotten_classes
    if difficulty == "average":
        aim = matched_confidence(own, labels, unseen, unseen_labels, forgotten_classes=gone)
    else:
        panel = [_opinions(features, splits) for features in reference_features(splits.retain, run)]
        aim = shifted_confidence(
            SampleScores(own, unseen), panel, labels, unseen, unseen_labels, forgotten_classes=gone
        )
    return Targets(aim, (aim - own).abs())


def _opinions(features: Features, splits: Splits) -> SampleScores:
    """Of the forget set by who learned from the retain set, of the holdout set by who learned from both."""
    retained = RidgeSums.of(features, splits.retain)
    everything = retained + RidgeSums.of(features, splits.forget)
    return SampleScores(
        ridge_margins(features, retained, splits.forget),
        ridge_margins(features, everything, splits.holdout),
    )


def distance_left(model: nn.Module, forget: Examples, targets: Targets, run: Run) -> float:
    """Its mean distance to the targets as a share of the original's; 0 where the original had none."""
    started = float(targets.distance.mean())
    left = float((true_class_confidence(model, forget, run) - targets.confidence).abs().mean())
    return left / started if started > 0 else 0.0


def true_class_confidence(model: nn.Module, examples: Examples, run: Run) -> Float[Tensor, " samples"]:
    """The softmax probability of the true class, 0 to 1, in evaluation mode."""
    probabilities = predict(model, examples, run.device).softmax(dim=1)
    return probabilities.gather(1, examples.labels.unsqueeze(1)).squeeze(1)
