"""How confident an unlearned network should be on each forgotten sample, and the loss that brings it there.

Ours, not part of the OEU paper. `witness` says how hard the forgotten samples are, `matching` which
confidence that makes, `targets` puts the two together, `objective` is the loss, and `drawing` shows those samples
more often that have further to go.
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
from obliq.gradients.losses import calibrated_loss

__all__ = [
    "Difficulty",
    "RidgeSums",
    "SampleScores",
    "Targets",
    "batches_by_distance",
    "calibrated_loss",
    "calibrated_targets",
    "distance_left",
    "matched_confidence",
    "reference_features",
    "ridge_margins",
    "shifted_confidence",
    "true_class_confidence",
]
