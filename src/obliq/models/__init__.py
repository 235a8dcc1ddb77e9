"""The field's small networks, as ordinary modules with PyTorch's own initialisation."""

from obliq.models.architectures import ARCHITECTURES, Architecture, build_model, choose_architecture
from obliq.models.initialisation import initialise, require_drawn_weights

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "build_model",
    "choose_architecture",
    "initialise",
    "require_drawn_weights",
]
