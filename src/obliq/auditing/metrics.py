"""The table of metrics: everything that is measured of a network, one entry per metric.

The table decides the fields of `audit.json`, the columns of a benchmark's `rows.csv`, and the tables of the HTML
report, of the terminal and of docs/audit-format.md. To add a metric, add an entry to `METRICS` and its test.
"""

from typing import Final

from obliq.auditing.comparison import average_gap, time_ratio, tug_of_war
from obliq.auditing.membership import svc_attack
from obliq.auditing.metric import NOT_KNOWN, Metric, Target
from obliq.auditing.signals import Signals

LIKE_RETRAINED = Target("like retrained", NOT_KNOWN, retrained=True)
AT_LEAST_RETRAINED = Target("like retrained or higher", "not below the original's")
FIFTY = Target("like retrained", "50", retrained=True, chance=50)
ONE_PERCENT = Target("like retrained", "1", retrained=True, chance=1)
ZERO, ONE, LOW = Target("0"), Target("1"), Target("low")


def _mean_entropy(signals: Signals | None) -> float | None:
    return None if signals is None else float(signals.entropy.mean())


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
        measure=lambda network: network.separation and network.separation.recognised_at_one_percent,
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
        measure=lambda network: network.relative and network.relative.recognised_at_one_percent,
        places=frozenset({"audit", "report", "benchmark"}),
    ),
    Metric(
        name="iam_auc",
        label="IAM",
        words="the same AUC by IAM, between retrained networks and original",
        definition="the same chance by the IAM attack (below), which measures how far each confidence has come from "
        "that of reference networks to the original's; null without them",
        group=RECOGNITION,
        target=FIFTY,
        samples=("forget", "unseen"),
        measure=lambda network: None if network.interpolated is None else network.interpolated.estimate,
        places=frozenset({"audit", "report"}),
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
        name="relearned_accuracy",
        label="FA, relearned",
        words="other forgotten samples correct after relearning some",
        definition="correct answers on forgotten samples after relearning others (below); null where that was not done",
        group=RECOGNITION,
        target=LIKE_RETRAINED,
        measure=lambda network: network.relearned,
        places=frozenset({"audit", "report"}),
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
        measure=lambda network: _mean_entropy(network.answers.holdout),
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
        measure=lambda network: _mean_entropy(network.answers.test),
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
