"""Networks as files: safetensors and JSON, never pickle."""

from obliq.checkpoints.blueprint import Blueprint
from obliq.checkpoints.folder import Saved, load, save, write
from obliq.checkpoints.provenance import ROLES, Provenance, present_versions

__all__ = ["ROLES", "Blueprint", "Provenance", "Saved", "load", "present_versions", "save", "write"]
