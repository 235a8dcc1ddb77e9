"""The heart of orthogonal unlearning: pure functions on tensors."""

from obliq.surgery.distillation import divergence
from obliq.surgery.first_order import FirstOrder
from obliq.surgery.gradients import gradient_of, inner
from obliq.surgery.objectives import entropy, negative_entropy, uniform
from obliq.surgery.patches import patches
from obliq.surgery.projections import Scope, When, project_, remove_component, shorten_
from obliq.surgery.retain_reference import Reference, RetainReference

__all__ = [
    "FirstOrder",
    "Reference",
    "RetainReference",
    "Scope",
    "When",
    "divergence",
    "entropy",
    "gradient_of",
    "inner",
    "negative_entropy",
    "patches",
    "project_",
    "remove_component",
    "shorten_",
    "uniform",
]
