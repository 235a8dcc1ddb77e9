"""The report: one self-contained HTML page that a privacy officer can read and print."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from obliq.auditing import Audit, Measurement
from obliq.auditing.metric import Metric
from obliq.auditing.metrics import GROUPS, metrics_in
from obliq.errors import AuditError
from obliq.report.content import ReportContext, Shipment, format_number, format_percent
from obliq.report.figures import auc_intervals, distributions, evidence_bands, run_figures, training_figures


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
                    metric.wanted(audit.aim),
                    min((getattr(audit.counts, role) for role in metric.samples), default=None),
                )
            )
    return {group: tables[group] for group in GROUPS if group in tables}


PNG = b"\x89PNG\r\n\x1a\n"
HEADLINES = {
    "INDISTINGUISHABLE": "The attacks tried here cannot tell this network from one retrained without the samples.",
    "REMEMBERED": "The network still recognises samples that it should have forgotten.",
    "OVER-FORGOTTEN": "The network treats the forgotten samples worse than a network would that never saw them.",
    "DAMAGED": "The network does worse on other samples than retrained networks do.",
    "NOTHING TO MEASURE": "These attacks saw no trace of the samples even before unlearning.",
    "INCONCLUSIVE": "These measurements cannot decide whether the samples were forgotten.",
}
DIGEST_NAMES = {
    "partition": "the data and their division into training, holdout and test part (SHA-256)",
    "splits": "the request: which samples to forget (HMAC-SHA-256, keyed with the request's salt)",
}


def render_audit_report(audit: Audit, context: ReportContext, shipment: Shipment | None = None) -> str:
    """The page as one HTML document without scripts and without anything to load.

    Names from outside are escaped. Equal inputs give equal pages, byte for byte.

    Args:
        audit: the numbers.
        context: the request, the method and the time.
        shipment: what is sent to devices; without it, the page has no section on it.

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
        context=context,
        shipment=shipment,
        parity=_parity(shipment),
        headlines=HEADLINES,
        tables=metric_tables(audit),
        explained={entry.name: _explained(audit, entry) for entry in audit.unlearned},
        digest_names=DIGEST_NAMES,
        bands={entry.name: evidence_bands(entry) for entry in audit.unlearned},
        auc=auc_intervals(audit),
        confidence=distributions(audit, "confidence"),
        entropy=distributions(audit, "entropy"),
        trace=run_figures(context.trace),
        training=training_figures(context.training),
        images=[_embedded(image) for image in context.images],
    )


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


def _explained(audit: Audit, entry: Measurement) -> str:
    """The AUC of a network without jargon, with the values to compare it with; nothing without test samples."""
    if entry.auc_forget_vs_test is None:
        return ""
    retrained = audit.retrained
    sentences = [
        "Take pairs of a forgotten sample and an unseen one of the same classes. In "
        f"{entry.auc_forget_vs_test:.0f} of 100 pairs, the network is more certain of the forgotten sample.",
        f"Before unlearning, it was {audit.original.auc_forget_vs_test:.0f} of 100.",
    ]
    if retrained is not None:
        sentences.append(
            f"For a network that never saw the forgotten samples, it is {retrained.auc_forget_vs_test:.0f} of 100: "
            "that is the value to aim at."
        )
    return " ".join(sentences)


def _embedded(image: bytes) -> str:
    if not image.startswith(PNG):
        raise AuditError(f"an image for the report begins with {image[:8]!r}; expected PNG files")
    return "data:image/png;base64," + base64.b64encode(image).decode()
