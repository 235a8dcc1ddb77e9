"""One network's numbers from its signals, and what is said about it beside the retrained network."""

import math
from collections.abc import Mapping
from typing import Any

from obliq.audit import AuditedModel, ReferenceSignals, audit
from obliq.audit.measure import GAP_FIELDS
from obliq.audit.signals import RoleSignals
from obliq.audit.tug_of_war import ACCURACIES

MEASURED = (
    "unlearning_accuracy", "forget_accuracy", "retain_accuracy", "test_accuracy", "mia_svc_confidence",
    "auc_forget_vs_test", "recognised_at_one_percent", "rmia_auc", "rmia_at_one_percent",
    "entropy_forget", "entropy_test",
)  # fmt: skip


def measured(
    answers: RoleSignals, forgotten_classes: frozenset[int], references: ReferenceSignals | None
) -> dict[str, Any]:
    """The numbers of one network, by the fields of a row."""
    alone = audit(
        [AuditedModel(kind="original", answers=answers)],
        precision="",
        forgotten_classes=forgotten_classes,
        references=references,
    ).original
    return {name: getattr(alone, name) for name in MEASURED}


def average_gap(values: Mapping[str, Any], retrained: Mapping[str, Any]) -> float:
    """Avg. Gap in points, from what `measured` says about two networks on the same samples."""
    return float(sum(abs(values[name] - retrained[name]) for name in GAP_FIELDS) / len(GAP_FIELDS))


def tug_of_war(values: Mapping[str, Any], retrained: Mapping[str, Any]) -> float:
    """ToW, 0 to 1, from what `measured` says about two networks; see `obliq.audit.tug_of_war`."""
    return float(math.prod(1 - abs(values[name] - retrained[name]) / 100 for name in ACCURACIES))
