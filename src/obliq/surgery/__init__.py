"""The heart of orthogonal unlearning: pure functions on tensors."""

from obliq.surgery.calibration import matched_confidence
from obliq.surgery.distillation import divergence
from obliq.surgery.first_order import FirstOrder
from obliq.surgery.gradients import gradient_of, inner
from obliq.surgery.objectives import calibrated, entropy, negative_entropy, uniform
from obliq.surgery.projections import Scope, When, project_, remove_component, shorten_

__all__ = [
    "FirstOrder",
    "Scope",
    "When",
    "calibrated",
    "divergence",
    "entropy",
    "gradient_of",
    "inner",
    "matched_confidence",
    "negative_entropy",
    "project_",
    "remove_component",
    "shorten_",
    "uniform",
]
