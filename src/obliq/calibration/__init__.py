"""Target confidences for forgotten samples, and how hard the forget set is among unseen data.

`matching` computes targets from confidences, `difficulty` scores samples by reference models that never saw the
forget set, and `targets` combines both for a network. The loss that trains towards targets is
`obliq.gradients.losses.calibrated_loss`.

Source: ours, not part of the OEU paper. The idea of bringing the forget set to what the original does on unseen data
has public precedents. ReGUn (arXiv 2603.11210, March 2026) distils one prediction, averaged over a batch of unseen
samples, into all forget samples. A-AMU (arXiv 2507.09786, July 2025) matches the loss distributions of forgotten and
unseen samples by maximum mean discrepancy. Ours are the target for each sample by quantiles and the reference models
that estimate difficulty; OEU adds the projection.
"""

from obliq.calibration.difficulty import RidgeSums, reference_features, ridge_margins
from obliq.calibration.matching import SampleScores, matched_confidence, shifted_confidence
from obliq.calibration.targets import (
    Difficulty,
    Targets,
    batches_by_distance,
    calibrated_targets,
    distance_left,
    true_class_confidence,
)

__all__ = [
    "Difficulty",
    "RidgeSums",
    "SampleScores",
    "Targets",
    "batches_by_distance",
    "calibrated_targets",
    "distance_left",
    "matched_confidence",
    "reference_features",
    "ridge_margins",
    "shifted_confidence",
    "true_class_confidence",
]
