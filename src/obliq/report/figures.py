"""Which charts a report shows of an audit, and the words around them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from obliq.auditing import Audit, Measurement
from obliq.auditing.metric import NOT_KNOWN, Aim
from obliq.auditing.statistics import EVERY_STATISTIC
from obliq.auditing.verdict import interval_in_words, passing_in_words, value_in_words
from obliq.report import charts
from obliq.report.content import Row


@dataclass(frozen=True)
class Figure:
    """A chart with the words around it.

    Attributes:
        heading: above it or next to it.
        drawing: the chart.
        note: the numbers in it.
        outside: `above` or `below`, where what it shows is not as in retrained networks.
        undecided: whether what it shows is as in retrained networks, but too far from their mean to pass.
    """

    heading: str
    drawing: Markup
    note: str = ""
    outside: str = ""
    undecided: bool = False


@dataclass(frozen=True)
class IntervalFigure:
    """The AUC of every network on one axis.

    Attributes:
        rows: one per network.
        ticks: the number of each tick by its place on the axis, in percent of the axis.
    """

    rows: Sequence[Figure]
    ticks: Mapping[float, str]


def auc_intervals(audit: Audit) -> IntervalFigure:
    """The AUC of every network as a point with its interval, and the value to aim at; nothing without test samples."""
    if not audit.counts.test:
        return IntervalFigure([], {})
    known: Mapping[Aim, float | None] = {
        "retrained": audit.retrained.auc_forget_vs_test if audit.retrained else None,
        "chance": 50.0,
        "unknown": None,
    }
    aim = known[audit.aim]
    entries = [entry for entry in audit.entries if "auc_forget_vs_test" in entry.intervals]
    intervals = [entry.intervals["auc_forget_vs_test"] for entry in entries]
    band = _retrained_range(audit)
    shown = [
        50.0,
        50.0 if aim is None else aim,
        *(band or ()),
        *(end for interval in intervals for end in (interval.low, interval.high)),
    ]
    low, high = (
        5 * math.floor(min(shown) / 5 - 0.4),
        5 * math.ceil(max(shown) / 5 + 0.4),
    )  # some room at the ends
    step = 5 if high - low <= 30 else 10 if high - low <= 60 else 20
    ticks = [tick for tick in range(0, 101, step) if low < tick < high]
    rows = []
    for entry, interval in zip(entries, intervals, strict=True):
        value = entry.auc_forget_vs_test
        note = f"{value:.1f} ({interval.low:.1f} to {interval.high:.1f})"
        wanted = f"wanted: {NOT_KNOWN if aim is None else f'{aim:.1f}'}"
        words = f"{entry.name}: AUC and 95 % interval {note}, {wanted}"
        drawing = charts.interval_chart(value, interval, aim, (low, high), ticks, words, entry.kind, band)
        rows.append(Figure(entry.name, drawing, note))
    return IntervalFigure(rows, {100 * (tick - low) / (high - low): str(tick) for tick in ticks})


def _retrained_range(audit: Audit) -> tuple[float, float] | None:
    """Where the AUC of one more retrained network would lie, by the first verdict that knows."""
    for entry in audit.unlearned:
        for one in entry.verdict.comparisons if entry.verdict else ():
            if one.name == "auc_forget_vs_test" and one.low is not None and one.high is not None:
                return one.low, one.high
    return None


def evidence_bands(entry: Measurement) -> Sequence[Figure]:
    """Each statistic of a verdict, with the band of the retrained networks; none without a verdict that has them."""
    if entry.verdict is None:
        return []
    figures = []
    for one in entry.verdict.comparisons:
        statistic = EVERY_STATISTIC[one.name]
        before = f"before: {one.original:.{statistic.digits}f}"
        ranges = [passing_in_words(one)] * one.is_undecided + [interval_in_words(one, one.value)]
        note = f"{value_in_words(one, one.value)} ({'; '.join([*ranges, before])})"
        outside = ("above" if one.value > one.centre else "below") if one.outside(one.value) else ""
        words = f"{entry.name}, {statistic.words}: {note}{f', {outside} the range' if outside else ''}"
        words += ", too far from the mean to pass" if one.is_undecided else ""
        heading = f"{statistic.words[0].upper()}{statistic.words[1:]}"
        figures.append(Figure(heading, charts.band_chart(one, words), note, outside, one.is_undecided))
    return figures


def distributions(audit: Audit, measure: str) -> Sequence[Figure]:
    """The histograms of `confidence` or `entropy` of every network, with axes that can be compared."""
    classes_alone = [entry for entry in audit.devices if entry.device and entry.device.recorded == "classes"]
    entries = [entry for entry in audit.entries if entry not in classes_alone]
    histograms = [getattr(entry, measure) for entry in entries]
    highest = max(
        (share for roles in histograms for one in roles.values() for share in one.shares), default=1.0
    )
    figures = []
    for entry, roles in zip(entries, histograms, strict=True):
        missing = [role for role in ("forget", "test", "retain") if role not in roles]
        note = (
            f"too few {' and '.join(missing)} samples: their shares would point at people" if missing else ""
        )
        title = f"Distribution of {measure} for {entry.name}"
        drawing = charts.distribution_chart(roles, measure, title, highest)
        figures.append(Figure(_captioned(entry), drawing, note))
    return figures


def _captioned(entry: Measurement) -> str:
    when = {"original": "before", "unlearned": "after", "retrained": "for comparison"}[entry.kind]
    return f"{entry.name} ({when})"


def run_figures(rows: Sequence[Row]) -> Sequence[Figure]:
    """The record of an unlearning run: whatever of it was measured."""
    recorded = {name for row in rows for name in row}
    figures = []
    if "angle" in recorded:
        drawing = charts.trace_chart(
            {"angle": rows}, "angle", "Angle between forget and retain gradient", level=90
        )
        figures.append(
            Figure("Angle between the two gradients, in degrees", drawing, "above 90: they conflict")
        )
    changes = ("predicted_forget_change", "measured_forget_change", "predicted_change", "measured_change")
    found = [float(row[name]) for row in rows for name in changes if name in row]
    room = 0.05 * (max(found, default=0.0) - min(found, default=0.0)) or 1.0
    limits = (min(found, default=0.0) - room, max(found, default=0.0) + room)
    for part, prefix in (("the forgetting part of a step", "_forget"), ("the whole step", "")):
        predicted, measured = f"predicted{prefix}_change", f"measured{prefix}_change"
        if {predicted, measured} <= recorded:
            title = f"Change of the retain loss by {part}, in nats"
            drawing = charts.prediction_chart(rows, predicted, measured, title, limits)
            figures.append(Figure(title, drawing, "solid: measured; dashed: predicted"))
    if "retain_loss" in recorded:
        drawing = charts.trace_chart({"retain": rows}, "retain_loss", "Retain loss before each recorded step")
        figures.append(Figure("Retain loss before the step, in nats", drawing))
    if "changed_codes" in recorded:
        drawing = charts.trace_chart(
            {"codes": rows}, "changed_codes", "Share of integer weights that changed", scale=100
        )
        figures.append(Figure("Integer weights that have changed, in percent", drawing))
    return figures


def training_figures(rows_by_name: Mapping[str, Sequence[Row]]) -> Sequence[Figure]:
    """Loss and accuracy of each network over the epochs of its training, as far as they were recorded."""
    recorded = {name for rows in rows_by_name.values() for row in rows for name in row}
    styles = ("solid", "dashed", "dotted", "dash-dotted")
    key = "; ".join(f"{styles[number % 4]}: {name}" for number, name in enumerate(rows_by_name))
    figures = []
    for value, words in (("loss", "Training loss, in nats"), ("accuracy", "Training accuracy, in percent")):
        if value in recorded:
            drawing = charts.trace_chart(rows_by_name, value, f"{words}, by epoch")
            figures.append(Figure(f"{words}, by epoch", drawing, key))
    return figures
