"""The heart of orthogonal unlearning: pure functions on tensors."""

from obliq.surgery.calibration import Opinions, matched_confidence, shifted_confidence
from obliq.surgery.distillation import divergence
from obliq.surgery.first_order import FirstOrder
from obliq.surgery.gradients import gradient_of, inner
from obliq.surgery.objectives import calibrated, entropy, negative_entropy, uniform
from obliq.surgery.patches import patches
from obliq.surgery.projections import Scope, When, project_, remove_component, shorten_
from obliq.surgery.retain_reference import Reference, RetainReference

__all__ = [
    "FirstOrder",
    "Opinions",
    "Reference",
    "RetainReference",
    "Scope",
    "When",
    "calibrated",
    "divergence",
    "entropy",
    "gradient_of",
    "inner",
    "matched_confidence",
    "negative_entropy",
    "patches",
    "project_",
    "remove_component",
    "shifted_confidence",
    "shorten_",
    "uniform",
]
