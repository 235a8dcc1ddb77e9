"""The table of metrics: everything that is measured of a network, one entry per metric.

The table decides the fields of `audit.json`, the columns of a benchmark's `rows.csv`, and the tables of the HTML
report, of the terminal and of docs/audit-format.md. To add a metric, add an entry to `METRICS` and its test.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

from obliq.auditing.accuracy import Utility, measure_utility
from obliq.auditing.intervals import Estimate
from obliq.auditing.membership import Separation, confidence_separation, svc_attack
from obliq.auditing.reference_attacks import ReferenceSignals, rmia_separation
from obliq.auditing.signals import RoleSignals

Unit = Literal["%", "points", "share", "nats", "s", "MB", "codes", ""]
Place = Literal["audit", "report", "terminal", "benchmark"]
Role = Literal["forget", "retain", "holdout", "test", "test_scored", "unseen"]
Values = Mapping[str, float | None]
"""Numbers of one network by the name of their metric; None where a number does not exist."""

DIGITS = 4  # decimals that are kept: far below what any number of samples resolves


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What the metrics of one network are computed from, before any comparison with the retrained one.

    Attributes:
        answers: the network's signals in every role.
        forgotten_classes: classes of which nothing is retained; see `measure_utility`.
        references: answers of reference networks to the same samples; None without reference networks.
        seconds: wall time that producing the network took; None when unknown.
        changed_codes_percent: integer weight codes that differ from the original's; None when not counted.
    """

    answers: RoleSignals
    forgotten_classes: frozenset[int] = frozenset()
    references: ReferenceSignals | None = None
    seconds: float | None = None
    changed_codes_percent: float | None = None

    @cached_property
    def utility(self) -> Utility:
        """Accuracy in every role."""
        return measure_utility(self.answers, self.forgotten_classes)

    @cached_property
    def separation(self) -> Separation:
        """Forget samples against unseen ones by confidence."""
        return confidence_separation(self.answers)

    @cached_property
    def relative(self) -> Separation | None:
        """The same by RMIA's likelihood ratio; None without reference networks."""
        return None if self.references is None else rmia_separation(self.answers, self.references)


@dataclass(frozen=True)
class Target:
    """The value to wish for.

    Attributes:
        text: in words, where a retrained network was measured too.
        alone: in words, where none was; the same as `text` when empty.
        retrained: whether the retrained network's value is the aim, so that neither high nor low is good.
        chance: the value for a network that never saw the forget set, if that is a random share of the data; None
            where there is no such value.
    """

    text: str
    alone: str = ""
    _: KW_ONLY
    retrained: bool = False
    chance: float | None = None

    @property
    def described(self) -> str:
        """Both texts in one, as docs/audit-format.md prints them."""
        return f"{self.text}; {self.alone} without one" if self.chance is not None else self.text


LIKE_RETRAINED = Target("like retrained", "like retraining", retrained=True)
AT_LEAST_RETRAINED = Target("like retrained or higher", "high", retrained=True)
FIFTY = Target("like retrained", "50", retrained=True, chance=50)
ONE_PERCENT = Target("like retrained", "1", retrained=True, chance=1)
ZERO, ONE, LOW = Target("0"), Target("1"), Target("low")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One entry of the table. `measure` or `compare` computes the value; a benchmark records the rest itself.

    Attributes:
        name: field of `audit.json`, column of `rows.csv`, and attribute of `Measurement` and `Row`.
        label: the field's abbreviation, for instance UA; heads columns.
        words: the label in a few plain words.
        definition: one sentence, as docs/audit-format.md prints it.
        group: heading of the table that it stands in, one of `GROUPS`.
        target: the value to wish for.
        unit: of the value.
        digits: decimals to show.
        samples: roles whose smallest count is the n behind the number; empty where samples do not matter.
        measure: the value from one network's signals; None where there is none.
        compare: the value from this network's values and the retrained network's.
        whole: whether values are whole numbers.
        required: whether every audit has a value. A file without it is refused.
        places: where it is shown or stored.
    """

    name: str
    label: str
    words: str
    definition: str
    group: str
    target: Target
    unit: Unit = "%"
    digits: int = 1
    samples: tuple[Role, ...] = ()
    measure: Callable[[Evidence], Estimate | float | None] | None = None
    compare: Callable[[Values, Values], float | None] | None = None
    whole: bool = False
    required: bool = False
    places: frozenset[Place] = field(default=frozenset({"audit", "report", "terminal", "benchmark"}))

    def wanted(self, *, retrained: bool) -> str:
        """The target in words, with or without a retrained network to compare with."""
        return self.target.text if retrained or not self.target.alone else self.target.alone


GAP_OVER: Final = ("unlearning_accuracy", "retain_accuracy", "test_accuracy", "mia_svc_confidence")
TOW_OVER: Final = ("forget_accuracy", "retain_accuracy", "test_accuracy")


def average_gap(values: Values, retrained: Values) -> float | None:
    """Avg. Gap: mean absolute difference to the retrained network in UA, RA, TA and MIA, in points. Target 0."""
    differences = _differences(values, retrained, GAP_OVER)
    return None if differences is None else sum(map(abs, differences)) / len(differences)


def tug_of_war(values: Values, retrained: Values) -> float | None:
    """ToW: the product of 1 - abs(difference to the retrained network) over FA, RA and TA as shares. Target 1, worst 0.

    Source: Zhao et al., "What makes unlearning hard and what to do about it" (RUM), NeurIPS 2024.
    """
    differences = _differences(values, retrained, TOW_OVER)
    return None if differences is None else math.prod(1 - abs(points) / 100 for points in differences)


def time_ratio(values: Values, retrained: Values) -> float | None:
    """Seconds over the retrained network's seconds."""
    mine, theirs = values.get("seconds"), retrained.get("seconds")
    return mine / theirs if mine is not None and theirs else None


def _differences(values: Values, retrained: Values, names: Sequence[str]) -> list[float] | None:
    """This network minus the retrained one, in points; None where one number is missing."""
    pairs = [(values.get(name), retrained.get(name)) for name in names]
    known = [mine - theirs for mine, theirs in pairs if mine is not None and theirs is not None]
    return known if len(known) == len(names) else None


def _at_one_percent(apart: Separation | None) -> Estimate | None:
    return None if apart is None else apart.recognised_at_one_percent


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
    ),
    Metric(
        name="test_accuracy",
        label="TA",
        words="correct answers on unseen samples",
        definition="TA, correct answers on the test set without forgotten classes",
        group=UTILITY,
        target=AT_LEAST_RETRAINED,
        samples=("test_scored",),
        measure=lambda network: network.utility.test,
        required=True,
    ),
    Metric(
        name="mia_svc_confidence",
        label="MIA",
        words="forgotten samples taken for unseen ones",
        definition="the field's MIA: share of forget samples that an SVC takes for non-members",
        group=UTILITY,
        target=LIKE_RETRAINED,
        samples=("forget",),
        measure=lambda network: svc_attack(network.answers),
        required=True,
    ),
    Metric(
        name="auc_forget_vs_test",
        label="AUC",
        words="forgotten against unseen samples, by confidence",
        definition="chance that a forget sample has more confidence than an unseen one of the same classes, ties half",
        group=RECOGNITION,
        target=FIFTY,
        samples=("forget", "unseen"),
        measure=lambda network: network.separation.estimate,
        required=True,
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
        target=Target("like unseen"),
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
        definition="mean entropy of the prediction on the holdout set",
        group=RECOGNITION,
        target=Target("unchanged"),
        unit="nats",
        digits=2,
        samples=("holdout",),
        measure=lambda network: float(network.answers.holdout.entropy.mean()),
        required=True,
        places=frozenset({"audit", "report"}),
    ),
    Metric(
        name="entropy_test",
        label="Entropy, test",
        words="mean entropy of answers on test samples, nats",
        definition="mean entropy of the prediction on the test set",
        group=RECOGNITION,
        target=Target("unchanged"),
        unit="nats",
        digits=2,
        samples=("test",),
        measure=lambda network: float(network.answers.test.entropy.mean()),
        required=True,
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
        value = None if metric.measure is None else metric.measure(network)
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
