"""The heart of orthogonal unlearning: pure functions on tensors."""

from obliq.gradients.first_order import FirstOrder
from obliq.gradients.losses import divergence, entropy, negative_entropy, uniform
from obliq.gradients.patches import patches
from obliq.gradients.projection import (
    Reference,
    RetainReference,
    Scope,
    When,
    gradient_of,
    inner,
    project_,
    remove_component,
    shorten_,
)

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
