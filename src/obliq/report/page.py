"""The report: one self-contained HTML page that a privacy officer can read and print."""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from obliq.auditing import Audit
from obliq.auditing.measured_values import metrics_in
from obliq.auditing.metric import Aim, Metric
from obliq.auditing.metrics import GROUPS
from obliq.errors import AuditError
from obliq.io.visible_text import visible_text
from obliq.report import first_page
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


GENERAL_TERMS = {
    "Original": "the network before the request",
    "Unlearned": "a network after the request, changed by a method instead of trained again",
    "Retrained": "the same network trained from the start without the forgotten samples: what forgetting should look "
    "like",
    "Range of retrained networks": "where one more retrained network would lie; over all statistics together, five in "
    "a hundred would not",
    "Verdict": "one word about one network; INDISTINGUISHABLE is the only one that passes",
    "Unseen samples": "samples that no network was trained on",
    "95 % interval": "where the true value lies in 95 of 100 audits like this one",
    "Digest": "a fingerprint of exact content: change one integer of a network, and its digest differs",
    "W4A4": "weights with 4 bits and activations with 4 bits; other numbers are read the same way",
}


def glossary(tables: Mapping[str, Sequence[Column]]) -> dict[str, str]:
    """Every term of the page in a few words: the general ones, then each metric that is shown."""
    shown = [column.metric for columns in tables.values() for column in columns]
    return GENERAL_TERMS | {metric.label: metric.words for metric in shown}


PNG = b"\x89PNG\r\n\x1a\n"
AUC_WORDS = (
    "In how many of 100 pairs the network is more certain of the forgotten sample (the AUC). Points are measured "
    "values and bars 95 % intervals."
)
AUC_BAND = "The band shows where one more retrained network would lie."
AUC_AIMS: Mapping[Aim, str] = {
    "retrained": "The dashed line is the value to aim at: that of the retrained network.",
    "chance": "The dashed line is the value to aim at: 50, that of unseen samples.",
    "unknown": "The value to aim at is not known without retraining: these samples may differ from unseen ones by "
    "themselves.",
}
DIGEST_NAMES = {
    "partition": "the data and their division into training, holdout and test part (SHA-256)",
    "splits": "the request: which samples to forget (HMAC-SHA-256, keyed with the request's salt)",
}


def render_audit_report(audit: Audit, context: ReportContext, shipment: Shipment | None = None) -> str:
    """The page as one HTML document without scripts and without anything to load.

    Names from outside are escaped, and control characters in them are made visible. Equal inputs give equal pages,
    byte for byte.

    Args:
        audit: the numbers.
        context: the request, the method and the time.
        shipment: what is sent to devices; without it, the page has no section on it.

    Raises:
        AuditError: when an image to embed is not a PNG file.
    """
    tables = metric_tables(audit)
    trace, training = run_figures(context.trace), training_figures(context.training)
    auc = auc_intervals(audit)
    bands = {entry.name: evidence_bands(entry) for entry in audit.unlearned}
    decided = bool(audit.unlearned and bands[audit.unlearned[0].name])  # else the first page shows the AUC
    whose = f": {audit.unlearned[0].name}" if len(audit.unlearned) > 1 else ""
    sections = {
        "numbers": "The numbers",
        "recognised": "Can the forgotten samples be recognised?" if decided or whose else "",
        "files": "What the exported file answers" if audit.artifacts else "",
        "device": "What the device answered" if audit.devices else "",
        "certainty": "How certain the networks are",
        "course": f"The course of unlearning{whose}" if trace else "",
        "training": "The training of the networks" if training else "",
        "ships": "What ships" if shipment else "",
        "settings": "Settings and digests",
        "samples": "Forgotten samples" if context.images else "",
        "glossary": "Glossary",
    }
    page = _template().render(
        audit=audit,
        context=context,
        shipment=shipment,
        parity=_parity(shipment),
        headlines=first_page.HEADLINES,
        done=first_page.what_was_done(audit, context),
        explained={entry.name: first_page.explain_separation(audit, entry) for entry in audit.unlearned},
        commands={
            entry.name: first_page.next_commands(audit, entry, context)
            for entry in audit.unlearned
            if entry.verdict
        },
        commands_explained={
            entry.name: first_page.explain_commands(audit, entry, context)
            for entry in audit.unlearned
            if entry.verdict
        },
        limits=first_page.not_claimed(audit),
        tables=tables,
        glossary=glossary(tables),
        digest_names=DIGEST_NAMES,
        bands=bands,
        auc=auc,
        auc_words=" ".join([AUC_WORDS, *[AUC_BAND] * decided, AUC_AIMS[audit.aim]]),
        contents={name: title for name, title in sections.items() if title},
        created=context.created.astimezone(UTC),
        confidence=distributions(audit, "confidence"),
        entropy=distributions(audit, "entropy"),
        trace=trace,
        training=training,
        images=[_embedded(image) for image in context.images],
    )
    return visible_text(page)


@functools.cache  # to compile the templates takes longer than to fill them in
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("obliq.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = format_number
    return environment.get_template("page.html.jinja")


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


def _embedded(image: bytes) -> str:
    if not image.startswith(PNG):
        raise AuditError(f"an image for the report begins with {image[:8]!r}; expected PNG files")
    return "data:image/png;base64," + base64.b64encode(image).decode()
