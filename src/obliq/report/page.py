"""The report: one self-contained HTML page that a privacy officer can read and print."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from obliq.auditing import Audit, Measurement
from obliq.auditing.metrics import COST, GROUPS, Metric, metrics_in
from obliq.errors import AuditError
from obliq.report import charts
from obliq.report.content import ReportContext, Row, Shipment, format_percent


@dataclass(frozen=True)
class Column:
    """A metric as the head of a column: what is wanted of it, and on how many samples it rests (None: not on any)."""

    metric: Metric
    wanted: str
    samples: int | None


def metric_tables(audit: Audit) -> dict[str, list[Column]]:
    """The columns of each table by its heading. A metric that no network has a value for is left out."""
    tables: dict[str, list[Column]] = {}
    for metric in metrics_in("report"):
        if any(entry.values.get(metric.name) is not None for entry in audit.entries):
            tables.setdefault(metric.group, []).append(
                Column(
                    metric,
                    metric.wanted(retrained=audit.retrained is not None),
                    min((getattr(audit.counts, role) for role in metric.samples), default=None),
                )
            )
    return {group: tables[group] for group in GROUPS if group in tables}


PNG = b"\x89PNG\r\n\x1a\n"
HEADLINES = {
    "INDISTINGUISHABLE": "The attacks tried here can no longer tell the forgotten samples from unseen ones.",
    "REMEMBERED": "The network still recognises samples that it was asked to forget.",
    "OVER-FORGOTTEN": "The network treats forgotten samples worse than unseen ones, which gives them away.",
    "INCONCLUSIVE": "These measurements cannot settle whether the samples were forgotten.",
}


@dataclass(frozen=True)
class Figure:
    """A picture with the words around it."""

    heading: str
    drawing: Markup
    note: str = ""


def render_report(audit: Audit, story: ReportContext, shipment: Shipment | None = None) -> str:
    """The page as one HTML document without scripts and without anything to fetch.

    Names from outside are escaped. Equal inputs give equal pages, byte for byte.

    Args:
        audit: the numbers.
        story: what is told around them.
        shipment: what leaves for devices; nothing is said about it when it is None.

    Raises:
        AuditError: when an image to embed is not a PNG file.
    """
    environment = Environment(
        loader=PackageLoader("obliq.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = format_number
    return environment.get_template("page.html.jinja").render(
        audit=audit,
        story=story,
        shipment=shipment,
        parity=_parity(shipment),
        headlines=HEADLINES,
        tables=metric_tables(audit),
        cost=COST,
        strips=_strips(audit),
        confidence=_distributions(audit, "confidence"),
        entropy=_distributions(audit, "entropy"),
        trace=_trace(story.trace),
        training=_training(story.training),
        images=[_embedded(image) for image in story.images],
    )


def format_number(value: float | None, digits: int = 1) -> str:
    """A number as people read it; a long dash for None."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}").replace(",", "\N{NO-BREAK SPACE}")


def _parity(shipment: Shipment | None) -> Mapping[str, str]:
    """What ran a shipped file, and how far it agrees with its network, in percent."""
    if shipment is None or shipment.parity is None:
        return {}
    found = shipment.parity
    shares = {
        "same answer as the network audited": found.network.same_top1,
        "same answer as that network with a device's biases": found.deployed_network.same_top1,
        "same answer as the integer interpreter": found.reference.same_top1,
    }
    if found.activations.compared:
        shares["integer activations equal to the interpreter's"] = found.activations.equal
    return {"run by": found.runtime} | {name: f"{format_percent(share)} %" for name, share in shares.items()}


def _strips(audit: Audit) -> Sequence[Figure]:
    """The AUC of every network as a point with its interval, on one scale."""
    aim = audit.retrained.auc_forget_vs_test if audit.retrained else 50.0
    intervals = [entry.intervals["auc_forget_vs_test"] for entry in audit.entries]
    reach = (
        max(10.0, *(abs(end - 50) for own in intervals for end in (own.low, own.high)), abs(aim - 50)) * 1.06
    )
    figures = []
    for entry, interval in zip(audit.entries, intervals, strict=True):
        value = entry.auc_forget_vs_test
        note = f"{value:.1f} ({interval.low:.1f} to {interval.high:.1f})"
        words = f"{entry.name}: AUC and 95 % interval {note}, aim {aim:.1f}"
        drawing = charts.interval_chart(value, interval, aim, (50 - reach, 50 + reach), words, entry.kind)
        figures.append(Figure(entry.name, drawing, note))
    return figures


def _distributions(audit: Audit, measure: str) -> Sequence[Figure]:
    figures = []
    for entry in audit.entries:
        histograms = getattr(entry, measure)
        missing = [role for role in ("forget", "test", "retain") if role not in histograms]
        note = (
            f"too few {' and '.join(missing)} samples to show without pointing at people" if missing else ""
        )
        drawing = charts.distribution_chart(
            histograms, measure, f"Distribution of {measure} for {entry.name}"
        )
        figures.append(Figure(_captioned(entry), drawing, note))
    return figures


def _captioned(entry: Measurement) -> str:
    when = {"original": "before", "unlearned": "after", "retrained": "reference"}[entry.kind]
    return f"{entry.name} ({when})" if entry.name == entry.kind else f"{entry.name} ({entry.kind})"


def _trace(rows: Sequence[Row]) -> Sequence[Figure]:
    """The record of the unlearning run: whatever of it was measured."""
    recorded = {name for row in rows for name in row}
    figures = []
    if "angle" in recorded:
        drawing = charts.line_chart(
            {"angle": rows}, "angle", "Angle between forget and retain gradient", level=90
        )
        figures.append(
            Figure("Angle between the two gradients, in degrees", drawing, "above 90: in conflict")
        )
    for part, prefix in (("the forgetting part of a step", "_forget"), ("the whole step", "")):
        predicted, measured = f"predicted{prefix}_change", f"measured{prefix}_change"
        if {predicted, measured} <= recorded:
            title = f"Change of the retain loss by {part}, in nats"
            drawing = charts.prediction_chart(rows, predicted, measured, title)
            figures.append(Figure(title, drawing, "solid: measured; dashed: predicted"))
    if "retain_loss" in recorded:
        drawing = charts.line_chart({"retain": rows}, "retain_loss", "Retain loss before each recorded step")
        figures.append(Figure("Retain loss before the step, in nats", drawing))
    if "changed_codes" in recorded:
        drawing = charts.line_chart(
            {"codes": rows}, "changed_codes", "Share of integer weights that changed", scale=100
        )
        figures.append(Figure("Integer weights that have changed, in percent", drawing))
    return figures


def _training(rows_by_name: Mapping[str, Sequence[Row]]) -> Sequence[Figure]:
    recorded = {name for rows in rows_by_name.values() for row in rows for name in row}
    styles = ("solid", "dashed", "dotted", "dash-dotted")
    key = "; ".join(f"{styles[number % 4]}: {name}" for number, name in enumerate(rows_by_name))
    figures = []
    for value, words in (("loss", "Training loss, in nats"), ("accuracy", "Training accuracy, in percent")):
        if value in recorded:
            drawing = charts.line_chart(rows_by_name, value, f"{words}, by epoch")
            figures.append(Figure(f"{words}, by epoch", drawing, key))
    return figures


def _embedded(image: bytes) -> str:
    if not image.startswith(PNG):
        raise AuditError(f"an image for the report begins with {image[:8]!r}; expected PNG files")
    return "data:image/png;base64," + base64.b64encode(image).decode()
