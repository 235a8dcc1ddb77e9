"""Obliq: make quantized neural networks forget, measure how well it worked, and ship the result.

Every public name is imported on its first use, so that `import obliq` takes no time (PEP 562).
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "obliq.auditing": ("Audit", "Measurement", "Verdict"),
    "obliq.checkpoints": ("Blueprint", "Checkpoint", "Provenance"),
    "obliq.checkpoints.run_folder": ("SavedRun", "load_run", "save_run"),
    "obliq.data": (
        "Collection",
        "DataLike",
        "Examples",
        "PartitionRule",
        "Splits",
        "forget_retain_split",
        "load_dataset",
        "train_holdout_test_split",
    ),
    "obliq.errors": (
        "AuditError",
        "CertificateError",
        "DataError",
        "GateError",
        "ModelError",
        "ObliqError",
        "PatchError",
    ),
    "obliq.methods": (
        "Calibrated",
        "FineTune",
        "Method",
        "OEU",
        "ProxyMatching",
        "SFRon",
        "available_methods",
    ),
    "obliq.patch": ("PatchHead",),
    "obliq.quantization": ("IntegerTensor", "Precision", "integer_state", "quantize", "weights_digest"),
    "obliq.record.certificate.make": ("make_certificate",),
    "obliq.record.certificate.verify": ("VerifiedCertificate", "verify_certificate"),
    "obliq.run": ("Listener", "Run", "Trace"),
    "obliq.training.loop": ("Recipe",),
    "obliq.training.prediction": ("accuracy", "predict"),
    "obliq.workflow.audit_networks": ("audit",),
    "obliq.workflow.deployment": ("apply_patch", "export", "make_patch"),
    "obliq.workflow.networks": ("calibrate", "create_network", "retrain", "train", "unlearn"),
    "obliq.workflow.pipeline": ("write_report",),
}
"""The public names of each module; `__init__.pyi` has the same list for type checkers.

No name may be that of a package within `obliq`, since importing the package would replace it.
"""

_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
