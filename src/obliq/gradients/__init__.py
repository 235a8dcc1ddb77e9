"""The mathematics of unlearning on tensors: losses, projections of gradients, and a check of first-order theory."""

from obliq.gradients.first_order import FirstOrderRecord
from obliq.gradients.losses import (
    calibrated_loss,
    distillation_loss,
    entropy,
    margin_loss,
    negative_entropy,
    true_class_margin,
    uniform_loss,
)
from obliq.gradients.projection import (
    ProjectionScope,
    ProjectionWhen,
    ReferenceKind,
    RetainReference,
    clip_norm_,
    gradient_of,
    inner_product,
    project_,
    remove_component,
)
from obliq.gradients.unfold_inputs import unfold_inputs

__all__ = [
    "FirstOrderRecord",
    "ProjectionScope",
    "ProjectionWhen",
    "ReferenceKind",
    "RetainReference",
    "calibrated_loss",
    "clip_norm_",
    "distillation_loss",
    "entropy",
    "gradient_of",
    "inner_product",
    "margin_loss",
    "negative_entropy",
    "project_",
    "remove_component",
    "true_class_margin",
    "unfold_inputs",
    "uniform_loss",
]
