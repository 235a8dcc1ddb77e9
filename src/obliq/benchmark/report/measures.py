"""The columns of a report: the metrics of benchmarks, and what is derived from them and the retrained network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from obliq.auditing.measured_values import metrics_in
from obliq.auditing.metric import Metric
from obliq.auditing.metrics import GROUPS, METRICS
from obliq.benchmark.rows import ResultRow

Reading = Callable[[ResultRow, ResultRow | None], float | None]
"""From a row, and the retrained network's row of the same seed (None where it is missing), to a number."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of numbers.

    Attributes:
        key: unique among all measures; the metric's name where it is one.
        label: the field's abbreviation.
        words: the label in a few plain words.
        target: the value to wish for.
        read: the number of a row.
        digits: decimals to show.
        signed: whether to show a plus before positive numbers.
    """

    key: str
    label: str
    words: str
    target: str
    read: Reading
    digits: int = 1
    signed: bool = False


def difference(name: str) -> Reading:
    """A metric of this network minus the retrained network's."""

    def read(row: ResultRow, retrained: ResultRow | None) -> float | None:
        mine = row.values.get(name)
        theirs = None if retrained is None else retrained.values.get(name)
        return None if mine is None or theirs is None else float(mine - theirs)

    return read


def distance(name: str) -> Reading:
    """The absolute value of `difference`."""

    def read(row: ResultRow, retrained: ResultRow | None) -> float | None:
        found = difference(name)(row, retrained)
        return None if found is None else abs(found)

    return read


def mean_distance(*names: str) -> Reading:
    """The mean of several distances; None where one is missing."""

    def read(row: ResultRow, retrained: ResultRow | None) -> float | None:
        found = [distance(name)(row, retrained) for name in names]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if len(known) == len(names) else None

    return read


def _distance_from_chance(row: ResultRow, _: ResultRow | None) -> float | None:
    auc = row.values.get(AUC)
    return None if auc is None else abs(auc - 50)


MEAN_DIGITS: Mapping[str, int] = {"average_gap": 2, "tow": 3}
"""Decimals where a mean over seeds resolves more than the single audit that a metric's own `digits` are for."""


def _plain(metric: Metric) -> Measure:
    """A metric as it is in the rows."""
    wanted = metric.wanted("retrained").replace("retrained", "Retrain")  # as tables call that network
    chance = "" if metric.target.chance is None else f"; {metric.target.chance:g} is chance"
    return Measure(
        key=metric.name,
        label=metric.label,
        words=metric.words,
        target=f"target: {wanted}{chance}",
        digits=MEAN_DIGITS.get(metric.name, metric.digits),
        read=lambda row, _: row.values.get(metric.name),
    )


AUC = "auc_forget_vs_test"
GAP, TIME = _plain(METRICS["average_gap"]), _plain(METRICS["time_ratio"])
AUC_DIFFERENCE = Measure(
    key="auc_difference",
    label="AUC \N{MINUS SIGN} Retrain",
    words="with its sign",
    target="target: 0; + under-forgot, \N{MINUS SIGN} over-forgot",
    read=difference(AUC),
    signed=True,
)
DERIVED: Mapping[str, Sequence[Measure]] = {
    AUC: (
        AUC_DIFFERENCE,
        # the mean of a signed difference over seeds can cancel, these cannot
        Measure(
            key="auc_distance",
            label="|AUC \N{MINUS SIGN} Retrain|",
            words="to either side",
            target="target: 0",
            read=distance(AUC),
        ),
        Measure(
            key="auc_from_chance",
            label="|AUC \N{MINUS SIGN} 50|",
            words="to either side of chance",
            target="target: like Retrain; 0 is chance",
            read=_distance_from_chance,
        ),
    )
}
"""Columns that follow a metric's own."""
FORGET_SIDE = mean_distance("unlearning_accuracy", "mia_svc_confidence")
RETAIN_SIDE = mean_distance("retain_accuracy", "test_accuracy")


def measure_groups() -> dict[str, list[Measure]]:
    """The columns of each table by its heading; Avg. Gap, by which tables are sorted, is the first."""
    groups: dict[str, list[Measure]] = {group: [] for group in GROUPS}
    for metric in metrics_in("benchmark"):
        measure = {GAP.key: GAP, TIME.key: TIME}.get(metric.name) or _plain(metric)
        groups[metric.group] += [measure, *DERIVED.get(metric.name, ())]
    for measures in groups.values():
        measures.sort(key=lambda measure: measure is not GAP)
    return groups
