"""What verbs print of the values that the library returns: lines for people, and plain values for JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from obliq.auditing import Audit, Measurement
from obliq.auditing.measured_values import metrics_in
from obliq.auditing.measurement import AIMS
from obliq.auditing.metrics import METRICS
from obliq.auditing.statistics import EVERY_STATISTIC
from obliq.auditing.verdict import range_in_words
from obliq.checkpoints.run_folder import SavedRun
from obliq.cli.requirements import Requirement, check_requirements, requirement_lines, unmet
from obliq.cli.tables import fields, number, table
from obliq.cli.verbs import VerbOutput
from obliq.exporting import CodeAgreement, ParityRecord
from obliq.io.strict_json import encode
from obliq.quantization import weights_digest
from obliq.report.content import format_percent
from obliq.workflow.compare_runs import DEVICE_SUMS, REFERENCE
from obliq.workflow.pipeline import AUDIT, REPORT
from obliq.workflow.release import PATCH, Release


def saved_run_values(saved: SavedRun, folder: Path) -> dict[str, Any]:
    """What a new network's folder holds."""
    provenance = saved.checkpoint.provenance
    return {
        "folder": str(folder),
        "role": provenance.role,
        "counts": provenance.counts,
        "seconds": round(provenance.seconds, 3),
        "weights_digest": weights_digest(saved.checkpoint.model),
    }


def audit_output(
    measured: Audit,
    folder: Path,
    next_command: Sequence[str | Path],
    required: Sequence[Requirement] = (),
) -> VerbOutput:
    """An audit that was written to a folder, and whether it is as required."""
    results = check_requirements(required, measured)
    entries = [
        {
            "name": entry.name,
            "kind": entry.kind,
            **entry.values,
            "verdict": entry.verdict and entry.verdict.word,
            "artifact": encode(entry.artifact),
            "device": encode(entry.device),
            "exposure": encode(entry.exposure),
        }
        for entry in measured.entries
    ]
    return VerbOutput(
        lines=[*audit_lines(measured, folder / REPORT), *requirement_lines(results)],
        values={
            "report": str(folder / REPORT),
            "audit": str(folder / AUDIT),
            "aim": measured.aim,
            "entries": entries,
            "requirements": encode(results),
        },
        next_command=next_command,
        unmet=unmet(results),
    )


def audit_lines(audit: Audit, report: Path) -> list[str]:
    """A table of all networks, the verdicts, the numbers that matter most, and the report."""
    columns = [
        metric
        for metric in metrics_in("terminal")
        if any(entry.values.get(metric.name) is not None for entry in audit.entries)
    ]
    lines = table(
        ["", *(metric.label for metric in columns)],
        [
            [entry.name, *(number(entry.values.get(metric.name), metric.digits) for metric in columns)]
            for entry in audit.entries
        ],
    )
    lines.append(f"Percent. {AIMS[audit.aim]}")
    if audit.counts.test:
        lines.append(f"Answering always with the most frequent class: TA {audit.counts.baseline:.1f}")
    lines += [f"WARNING: {warning}" for warning in audit.warnings]
    if REFERENCE in audit.settings:
        lines.append(f"{REFERENCE}: {audit.settings[REFERENCE]}")
    if DEVICE_SUMS in audit.settings:
        lines.append(f"{audit.settings[DEVICE_SUMS]}: in PyTorch with the sums and roundings of a device")
    lines += [_artifact(entry) for entry in audit.artifacts]
    lines += [line for entry in audit.devices for line in _device(entry)]
    for entry in audit.unlearned:
        if entry.verdict:
            lines += ["", f"{entry.name}: {entry.verdict.word}. {entry.verdict.reason}", *_evidence(entry)]
            lines += [f"What to do next: {entry.verdict.advice}"]
    lines += _exposures(audit)
    return [*lines, "", *_most_important(audit), f"report: {report}"]


def _exposures(audit: Audit) -> list[str]:
    """What the old network and a patch reveal, in a line for each network."""
    found = [entry for entry in audit.unlearned if entry.exposure is not None]
    if not found:
        return []
    ranks = (f"{entry.name}: {entry.exposure} (1: the forgotten ones stand out most)" for entry in found)
    return [
        "",
        "What the old network and a patch reveal: the forgotten samples, ranked by the rise of their loss",
        *ranks,
    ]


def _evidence(entry: Measurement) -> list[str]:
    """Each statistic of a verdict with both ranges of the retrained networks, and what its marks mean."""
    assert entry.verdict is not None
    rows, marks = [], set[str]()
    for one in entry.verdict.comparisons:
        digits = EVERY_STATISTIC[one.name].digits
        label, ends, passing = EVERY_STATISTIC[one.name].label, (one.low, one.high), one.passing
        values: tuple[float | None, ...] = (one.original, one.value)
        if one.name == "forget_accuracy":  # the table of networks shows its complement
            label = f"{METRICS['unlearning_accuracy'].label}, %"
            ends, passing = (_rest(ends[1]), _rest(ends[0])), (_rest(passing[1]), _rest(passing[0]))
            values = tuple(_rest(value) for value in values)
        mark = "*" if one.outside(one.value) else "?" if one.is_undecided else ""
        marks.add(mark)
        original, value, low, high = (number(each, digits) for each in (*values, *ends))
        rows.append([label, original, f"{value} {mark or ' '}", low, high, range_in_words(*passing, digits)])
    if not rows:
        return []
    words = {mark: text for mark, text in _MARKS.items() if mark in marks}
    return [
        *table(["", "original", "value  ", "low", "high", "to pass"], rows),
        "low, high: the range of retrained networks. To pass, a narrower range counts.",
        "The verdict uses these statistics alone, and no other column of the first table.",
        *(f"{mark} {text}" for mark, text in words.items()),
    ]


_MARKS = {
    "*": "outside the range of retrained networks",
    "?": "within it, but too far from their mean to pass",
}


def _rest(percent: float | None) -> float | None:
    return None if percent is None else 100 - percent


def _artifact(entry: Measurement) -> str:
    """What ran a file, and whether it measures as its network does."""
    assert entry.artifact is not None
    found = entry.artifact
    ran = f"{entry.name}: {found.form}, {found.precision}, run by {found.runtime}"
    if found.network is None:
        return f"{ran}; measured alone, without a network that it was exported from"
    if found.moved:
        return f"{ran}; MOVED from {found.network} by more than the interval: {', '.join(found.moved)}"
    return f"{ran}; every number within the intervals of {found.network}"


def _device(entry: Measurement) -> list[str]:
    """How a device agrees with the network that it runs, and whether it measures alike."""
    assert entry.device is not None
    found = entry.device
    largest = ""
    if found.largest_difference is not None:
        unit = "logit" if found.recorded == "logits" else "probability"
        largest = f", largest {unit} difference {found.largest_difference:.2g}"
    alike = "every number that was measured is within its intervals"
    if found.moved:
        alike = f"MOVED from it by more than the interval: {', '.join(found.moved)}"
    return [
        f"{entry.name}: {found.recorded} recorded; {found.same_classes:.2f} % same classes as {found.network} "
        f"({found.interval.low:.2f} to {found.interval.high:.2f}){largest}; {alike}",
        *(f"WARNING: {warning}." for warning in found.warnings),
    ]


def _most_important(audit: Audit) -> list[str]:
    entry, retrained = audit.unlearned[0], audit.retrained
    if retrained is None:
        return ["no retrained network was given, so there is no gap to report"]
    found = {
        "average gap": f"{number(entry.average_gap)} points{_aim(audit)} (original "
        f"{number(audit.original.average_gap)})",
        "test accuracy": _against(entry, retrained, "test_accuracy"),
        "AUC": _against(entry, retrained, "auc_forget_vs_test"),
        "time": f"{number(entry.time_ratio, 2)} times as long as retraining",
    }
    unknown = {"average gap": entry.average_gap, "time": entry.time_ratio}
    lines = fields({name: text for name, text in found.items() if text and unknown.get(name, 0) is not None})
    several = entry.verdict is not None and entry.verdict.comparisons
    return [
        *lines,
        *["The verdict decides, and the gap does not: chance moves the gap, too."] * bool(several),
    ]


def _aim(audit: Audit) -> str:
    """What the gap is measured from, where there is a choice."""
    several = audit.counts.retrained
    return f" to the first of {several} retrained networks" if several > 1 else ""


def _against(entry: Measurement, retrained: Measurement, name: str) -> str:
    """Both values; nothing where they are not known."""
    mine, theirs = getattr(entry, name), getattr(retrained, name)
    return "" if mine is None or theirs is None else f"{mine:.1f} % (retrained {theirs:.1f} %)"


def parity_lines(record: ParityRecord, file: Path) -> list[str]:
    """How a file agrees with its network, a table for each data set."""
    lines = []
    for data, found in record.checks.items():
        rows = {
            f"network {record.audited}": found.network,
            "deployed network": found.deployed_network,
            "integer interpreter": found.reference,
        }
        lines += [
            "",
            f"{found.samples:,} samples of {data}, run by {found.runtime}, compared with the",
            *table(
                ["", "same top-1", "largest", "mean"],
                [
                    [
                        name,
                        f"{100 * row.same_top1:.2f} %",
                        f"{row.largest_difference:.2g}",
                        f"{row.mean_difference:.2g}",
                    ]
                    for name, row in rows.items()
                ],
            ),
            "(largest and mean difference of logits, in standard deviations)",
            "integer activations equal to the interpreter's:",
            *fields(
                {
                    "  file": _codes(found.activations),
                    "  deployed network": _codes(found.deployed_activations),
                    "  deployed, device sums": _codes(found.exact_activations),
                }
            ),
            f"rounding biases moves outputs by at most {found.largest_bias_rounding:.2g} of their steps",
        ]
    return [*lines, "", f"parity: {file}"]


def _codes(found: CodeAgreement) -> str:
    if not found.compared:
        return "none to compare"
    steps = "1 step" if found.largest_step == 1 else f"{found.largest_step} steps"
    return f"{100 * found.equal:.4f} % of {found.compared:,} (at most {steps} off)"


def release_lines(release: Release, folder: Path) -> list[str]:
    """What devices get, how it agrees with the network, and how much of it a patch sends."""
    shipment = release.shipment
    lines = [
        f"ships: {folder / shipment.file}, {shipment.form}, {shipment.bytes:,} bytes",
        f"content digest {shipment.content_digest}",
    ]
    if release.missing:
        lines.append(f"no ONNX file: {release.missing}")
    if shipment.parity:
        found = shipment.parity
        lines += [
            f"parity on {found.samples:,} test samples:",
            f"  {format_percent(found.network.same_top1)} % same answers as the network",
            f"  {format_percent(found.reference.same_top1)} % same answers as the integer interpreter",
            f"  {format_percent(found.activations.equal)} % of {found.activations.compared:,} integer activations "
            "are equal",
        ]
    if shipment.patch:
        patch = shipment.patch
        lines += [
            f"patch: {folder / PATCH}, {patch.bytes:,} bytes, {shipment.patch_share:.1f} % of the whole file",
            f"  changes {patch.changed_codes:,} of {patch.codes:,} integer weights",
            f"  and {patch.changed_words:,} scales and biases",
        ]
    return lines
