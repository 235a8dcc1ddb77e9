"""How confident an unlearned network should be on each forgotten sample, and the loss that brings it there.

Ours, not part of the OEU paper. `witness` says how hard the forgotten samples are, `matching` which
confidence that makes, `targets` puts the two together, `objective` is the loss, and `drawing` shows those samples
more often that have further to go.
"""

from obliq.calibration.matching import Opinions, matched_confidence, shifted_confidence
from obliq.calibration.reference_readers import Products, ridge_opinions, witnesses
from obliq.calibration.targets import (
    Difficulty,
    Targets,
    calibrated_targets,
    confidence,
    distance_left,
    drawn_by_distance,
)
from obliq.gradients.losses import calibrated

__all__ = [
    "Difficulty",
    "Opinions",
    "Products",
    "Targets",
    "calibrated",
    "calibrated_targets",
    "confidence",
    "distance_left",
    "drawn_by_distance",
    "matched_confidence",
    "ridge_opinions",
    "shifted_confidence",
    "witnesses",
]
