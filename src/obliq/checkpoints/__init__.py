"""Networks as files: safetensors and JSON, never pickle."""

from obliq.checkpoints.folder import Checkpoint, load_checkpoint, save_checkpoint, write_checkpoint
from obliq.checkpoints.metadata import ROLES, Blueprint, Provenance, present_versions

__all__ = [
    "ROLES",
    "Blueprint",
    "Checkpoint",
    "Provenance",
    "load_checkpoint",
    "present_versions",
    "save_checkpoint",
    "write_checkpoint",
]
