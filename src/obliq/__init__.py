"""Obliq: make quantized neural networks forget, measure how well it worked, and ship the result.

Start with `README.md`; `obliq.workflow.pipeline` is the whole way in one file.
"""

from obliq.auditing import Audit, Measurement
from obliq.checkpoints import Blueprint, Provenance, Saved
from obliq.checkpoints.run_folder import Made, find, keep
from obliq.data import (
    Collection,
    Examples,
    Partition,
    PartitionRule,
    Splits,
    load,
    parse_selector,
    partition,
    select,
)
from obliq.errors import AuditError, DataError, ModelError, ObliqError
from obliq.methods import OEU, FineTune, Method, Retrain, available
from obliq.models import build, initialise
from obliq.quantization import IntegerTensor, Precision, integer_state, quantize, weights_digest
from obliq.run import Run, Trace, device_named
from obliq.training.loop import Recipe, accuracy, predict, train
from obliq.workflow.compare_networks import compare
from obliq.workflow.pipeline import ask, forget, make_original, own_recipe, publish, same_division, tell

__all__ = [
    "OEU",
    "Audit",
    "AuditError",
    "Blueprint",
    "Collection",
    "DataError",
    "Examples",
    "FineTune",
    "IntegerTensor",
    "Made",
    "Measurement",
    "Method",
    "ModelError",
    "ObliqError",
    "Partition",
    "PartitionRule",
    "Precision",
    "Provenance",
    "Recipe",
    "Retrain",
    "Run",
    "Saved",
    "Splits",
    "Trace",
    "accuracy",
    "ask",
    "available",
    "build",
    "compare",
    "device_named",
    "find",
    "forget",
    "initialise",
    "integer_state",
    "keep",
    "load",
    "make_original",
    "own_recipe",
    "parse_selector",
    "partition",
    "predict",
    "publish",
    "quantize",
    "same_division",
    "select",
    "tell",
    "train",
    "weights_digest",
]
