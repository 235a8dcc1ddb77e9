"""The table of metrics: everything that is measured of a network, one entry per metric.

The table decides the fields of `audit.json`, the columns of a benchmark's `rows.csv`, and the tables of the HTML
report, of the terminal and of docs/audit-format.md. To add a metric, add an entry to `METRICS` and its test.
"""

from collections.abc import Sequence
from typing import Any, Final

from obliq.auditing.comparison import average_gap, time_ratio, tug_of_war
from obliq.auditing.intervals import Estimate
from obliq.auditing.membership import Separation, svc_attack
from obliq.auditing.metric import NOT_KNOWN, Evidence, Metric, Place, Target, Values

DIGITS = 4  # decimals that are kept: far below what any number of samples resolves

LIKE_RETRAINED = Target("like retrained", NOT_KNOWN, retrained=True)
AT_LEAST_RETRAINED = Target("like retrained or higher", "not below the original's")
FIFTY = Target("like retrained", "50", retrained=True, chance=50)
ONE_PERCENT = Target("like retrained", "1", retrained=True, chance=1)
ZERO, ONE, LOW = Target("0"), Target("1"), Target("low")


def _at_one_percent(apart: Separation | None) -> Estimate | None:
    return None if apart is None else apart.recognised_at_one_percent


def _holdout_entropy(network: Evidence) -> float | None:
    holdout = network.answers.holdout
    return None if holdout is None else float(holdout.entropy.mean())


def _test_entropy(network: Evidence) -> float | None:
    test = network.answers.test
    return None if test is None else float(test.entropy.mean())


UTILITY, RECOGNITION, COST = (
    "Forgetting and what is left",
    "Can the forgotten samples be recognised?",
    "Time and change",
)
GROUPS: Final = (UTILITY, RECOGNITION, COST)

_ENTRIES = (
    Metric(
        name="unlearning_accuracy",
        label="UA",
        words="wrong answers on forgotten samples",
        definition="UA = 100 - forget accuracy",
        group=UTILITY,
        target=LIKE_RETRAINED,
        samples=("forget",),
        measure=lambda network: network.utility.unlearning,
        required=True,
        of_classes=True,
    ),
    Metric(
        name="forget_accuracy",
        label="FA",
        words="correct answers on forgotten samples",
        definition="FA, correct answers on the forget set",
        group=UTILITY,
        target=LIKE_RETRAINED,
        samples=("forget",),
        measure=lambda network: network.utility.forget,
        required=True,
        of_classes=True,
        places=frozenset({"audit", "benchmark"}),  # report and terminal show its complement, UA
    ),
    Metric(
        name="retain_accuracy",
        label="RA",
        words="correct answers on retained samples",
        definition="RA, correct answers on the retain set",
        group=UTILITY,
        target=AT_LEAST_RETRAINED,
        samples=("retain",),
        measure=lambda network: network.utility.retain,
        required=True,
        of_classes=True,
    ),
    Metric(
        name="test_accuracy",
        label="TA",
        words="correct answers on unseen samples",
        definition="TA, correct answers on the test set without forgotten classes; null without one",
        group=UTILITY,
        target=AT_LEAST_RETRAINED,
        samples=("test_scored",),
        measure=lambda network: network.utility.test,
        required=True,
        of_classes=True,
        needs_test=True,
    ),
    Metric(
        name="mia_svc_confidence",
        label="MIA",
        words="forgotten samples taken for unseen ones",
        definition="the field's MIA: share of forget samples that an SVC takes for non-members; null without a test "
        "set",
        group=UTILITY,
        target=LIKE_RETRAINED,
        samples=("forget",),
        measure=lambda network: None if network.answers.test is None else svc_attack(network.answers),
        required=True,
        needs_test=True,
    ),
    Metric(
        name="auc_forget_vs_test",
        label="AUC",
        words="forgotten against unseen samples, by confidence",
        definition="chance that a forget sample has more confidence than an unseen one of the same classes, ties half; "
        "null without a test set",
        group=RECOGNITION,
        target=FIFTY,
        samples=("forget", "unseen"),
        measure=lambda network: None if network.separation is None else network.separation.estimate,
        required=True,
        needs_test=True,
    ),
    Metric(
        name="recognised_at_one_percent",
        label="TPR at 1 %",
        words="forgotten samples recognised at 1 % false alarms",
        definition="share of forget samples above a threshold that at most 1 % of the unseen exceed; null for fewer "
        "than 100 unseen samples",
        group=RECOGNITION,
        target=ONE_PERCENT,
        samples=("forget",),
        measure=lambda network: _at_one_percent(network.separation),
        places=frozenset({"audit", "report", "benchmark"}),
    ),
    Metric(
        name="rmia_auc",
        label="RMIA",
        words="the same AUC by RMIA, against reference networks",
        definition="the same chance by the RMIA attack (below), which weighs confidence against that of reference "
        "networks; null without them",
        group=RECOGNITION,
        target=FIFTY,
        samples=("forget", "unseen"),
        measure=lambda network: None if network.relative is None else network.relative.estimate,
    ),
    Metric(
        name="rmia_at_one_percent",
        label="RMIA at 1 %",
        words="recognised by RMIA at 1 % false alarms",
        definition="`recognised_at_one_percent` by RMIA; null without reference networks or for fewer than 100 unseen "
        "samples",
        group=RECOGNITION,
        target=ONE_PERCENT,
        samples=("forget",),
        measure=lambda network: _at_one_percent(network.relative),
        places=frozenset({"audit", "report", "benchmark"}),
    ),
    Metric(
        name="tow",
        label="ToW",
        words="likeness to retraining in FA, RA and TA, 0 to 1",
        definition="ToW (Zhao et al., NeurIPS 2024): the product of 1 minus the absolute difference to the retrained "
        "network over FA, RA and TA as shares, 0 to 1; null without a retrained network",
        group=UTILITY,
        target=ONE,
        unit="share",
        digits=2,
        compare=tug_of_war,
        places=frozenset({"audit", "report", "benchmark"}),
    ),
    Metric(
        name="entropy_forget",
        label="Entropy, forget",
        words="mean entropy of answers on forgotten samples, nats",
        definition="mean entropy of the prediction on the forget set",
        group=RECOGNITION,
        target=Target("like unseen", retrained=True),
        unit="nats",
        digits=2,
        samples=("forget",),
        measure=lambda network: float(network.answers.forget.entropy.mean()),
        required=True,
        places=frozenset({"audit", "report", "benchmark"}),
    ),
    Metric(
        name="entropy_retain",
        label="Entropy, retain",
        words="mean entropy of answers on retained samples, nats",
        definition="mean entropy of the prediction on the retain set",
        group=RECOGNITION,
        target=Target("unchanged"),
        unit="nats",
        digits=2,
        samples=("retain",),
        measure=lambda network: float(network.answers.retain.entropy.mean()),
        required=True,
        places=frozenset({"audit"}),
    ),
    Metric(
        name="entropy_holdout",
        label="Entropy, holdout",
        words="mean entropy of answers on held-out samples, nats",
        definition="mean entropy of the prediction on the holdout set; null without one",
        group=RECOGNITION,
        target=Target("unchanged"),
        unit="nats",
        digits=2,
        samples=("holdout",),
        measure=_holdout_entropy,
        places=frozenset({"audit", "report"}),
    ),
    Metric(
        name="entropy_test",
        label="Entropy, test",
        words="mean entropy of answers on test samples, nats",
        definition="mean entropy of the prediction on the test set; null without one",
        group=RECOGNITION,
        target=Target("unchanged"),
        unit="nats",
        digits=2,
        samples=("test",),
        measure=_test_entropy,
        required=True,
        needs_test=True,
        places=frozenset({"audit", "report", "benchmark"}),
    ),
    Metric(
        name="average_gap",
        label="Avg. Gap",
        words="mean distance to retraining in UA, RA, TA and MIA, points",
        definition="mean of the absolute differences to the retrained network in UA, RA, TA and `mia_svc_confidence`, "
        "in points; null without a retrained network",
        group=UTILITY,
        target=ZERO,
        unit="points",
        compare=average_gap,
    ),
    Metric(
        name="seconds",
        label="Seconds",
        words="time to produce the network",
        definition="wall time that producing the network took, or null",
        group=COST,
        target=LOW,
        unit="s",
        measure=lambda network: network.seconds,
        of_classes=True,
    ),
    Metric(
        name="time_ratio",
        label="Time ratio",
        words="time over retraining's time",
        definition="`seconds` over those of the retrained network; null without one",
        group=COST,
        target=Target("far below 1"),
        unit="",
        digits=2,
        compare=time_ratio,
        places=frozenset({"audit", "report", "benchmark"}),
    ),
    Metric(
        name="peak_memory_mb",
        label="Memory",
        words="peak memory above that at the start, MB",
        definition="by how much resident memory (on CUDA: allocated memory) rose while the method ran",
        group=COST,
        target=LOW,
        unit="MB",
        digits=0,
        places=frozenset({"benchmark"}),  # measured by `obliq.benchmark.execute`, not from answers
    ),
    Metric(
        name="changed_codes",
        label="Codes",
        words="integer weights that changed",
        definition="integer weight codes that differ from the original's",
        group=COST,
        target=LOW,
        unit="codes",
        digits=0,
        whole=True,
        places=frozenset({"benchmark"}),
    ),
    Metric(
        name="changed_codes_percent",
        label="Codes, %",
        words="integer weights that changed, %",
        definition="integer weight codes that differ from the original's, or null",
        group=COST,
        target=LOW,
        digits=2,
        measure=lambda network: network.changed_codes_percent,
        of_classes=True,
    ),
)
METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _ENTRIES}
"""The table, by name; its order is that of the fields and columns."""


def metrics_in(place: Place) -> tuple[Metric, ...]:
    """The metrics that a place shows or stores, in the order of the table."""
    return tuple(metric for metric in METRICS.values() if place in metric.places)


def measure_alone(network: Evidence) -> dict[str, Estimate]:
    """Every metric that needs no retrained network and has a value, rounded to `DIGITS` decimals."""
    found = {}
    for metric in METRICS.values():
        measure = metric.measure if metric.of_classes or not network.answers.classes_alone else None
        value = None if measure is None else measure(network)
        if value is not None:
            found[metric.name] = (value if isinstance(value, Estimate) else Estimate(float(value))).rounded(
                DIGITS
            )
    return found


def compare_with_retrained(values: Values, retrained: Values) -> dict[str, float]:
    """Every metric that is measured from the retrained network and has a value, rounded to `DIGITS` decimals."""
    found = {
        metric.name: metric.compare(values, retrained)
        for metric in METRICS.values()
        if metric.compare is not None
    }
    return {name: round(float(value), DIGITS) for name, value in found.items() if value is not None}


class HasMetrics:
    """Gives values as attributes: `entry.average_gap` reads `entry.values["average_gap"]`."""

    values: Values

    def __getattr__(self, name: str) -> Any:
        """The value of the metric of this name; None where the network has none."""
        if name.startswith("_") or name not in METRICS:
            raise AttributeError(f"{type(self).__name__} has no attribute or metric {name!r}")
        return self.values.get(name)

    def __dir__(self) -> Sequence[str]:
        return [*super().__dir__(), *METRICS]
