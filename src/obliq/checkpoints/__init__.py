"""Networks as files: safetensors and JSON, never pickle."""

from obliq.checkpoints.folder import Saved, load, save, write
from obliq.checkpoints.metadata import ROLES, Blueprint, Provenance, present_versions

__all__ = ["ROLES", "Blueprint", "Provenance", "Saved", "load", "present_versions", "save", "write"]
