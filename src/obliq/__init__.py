"""Obliq: make quantized neural networks forget, measure how well it worked, and ship the result.

Every public name is imported on its first use, so that `import obliq` takes no time (PEP 562).
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "obliq.auditing": ("Audit", "Measurement"),
    "obliq.checkpoints": ("Blueprint", "Provenance", "Checkpoint"),
    "obliq.checkpoints.run_folder": ("SavedRun", "load_run", "save_run"),
    "obliq.data": (
        "Collection",
        "Examples",
        "Partition",
        "PartitionRule",
        "Splits",
        "load_dataset",
        "parse_selector",
        "partition",
        "select",
    ),
    "obliq.errors": ("AuditError", "DataError", "ModelError", "ObliqError"),
    "obliq.methods": ("FineTune", "Method", "OEU", "Retrain", "available_methods"),
    "obliq.models": ("build_model", "initialise"),
    "obliq.quantization": ("IntegerTensor", "Precision", "integer_state", "quantize", "weights_digest"),
    "obliq.run": ("Run", "Trace", "device_named"),
    "obliq.training.loop": ("Recipe", "accuracy", "fit", "predict"),
    "obliq.workflow.compare_networks": ("compare_runs",),
    "obliq.workflow.pipeline": (
        "create_request",
        "unlearn_original",
        "train_original",
        "recipe_of",
        "write_report",
        "same_partition",
        "report_context",
    ),
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
