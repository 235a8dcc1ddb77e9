"""Values as lines for a terminal."""

from pathlib import Path

from obliq.auditing import Audit, Measurement
from obliq.auditing.metrics import metrics_in
from obliq.checkpoints.summary import CheckpointSummary
from obliq.exporting import CodeAgreement, ParityRecord
from obliq.report.content import format_percent
from obliq.workflow.compare_networks import DEVICE_SUMS
from obliq.workflow.release import PATCH, Release


def audit_lines(audit: Audit, report: Path) -> list[str]:
    """A table of all networks, the verdicts, and last the report with the four numbers that matter."""
    width = max(len(entry.name) for entry in audit.entries)
    referenced = audit.original.rmia_auc is not None
    columns = [
        metric
        for metric in metrics_in("terminal")
        if any(entry.values.get(metric.name) is not None for entry in audit.entries)
    ]
    lines = ["", " " * width + "".join(f"{metric.label:>10}" for metric in columns)]
    for entry in audit.entries:
        cells = (_cell(entry.values.get(metric.name), metric.digits) for metric in columns)
        lines.append(f"{entry.name:<{width}}" + "".join(f"{cell:>10}" for cell in cells))
    lines.append(
        f"percent; the target of FA, RA, TA, MIA{', AUC and RMIA' if referenced else ' and AUC'} is the retrained "
        "network's value, of Avg. Gap 0"
    )
    if DEVICE_SUMS in audit.settings:
        lines.append(f"{audit.settings[DEVICE_SUMS]}: in PyTorch with the sums and roundings of a device")
    lines += [_artifact(entry) for entry in audit.artifacts]
    for entry in audit.unlearned:
        if entry.verdict:
            lines += ["", f"{entry.name}: {entry.verdict.word}. {entry.verdict.reason}"]
    return [*lines, "", f"report: {report}", *_four_numbers(audit)]


def _artifact(entry: Measurement) -> str:
    """What ran a file, and whether it measures as its network does."""
    assert entry.artifact is not None
    found = entry.artifact
    ran = f"{entry.name}: {found.form}, {found.precision}, run by {found.runtime}"
    if found.network is None:
        return f"{ran}; no network beside it to compare with"
    if found.moved:
        return f"{ran}; MOVED from {found.network} by more than the interval: {', '.join(found.moved)}"
    return f"{ran}; every number within the intervals of {found.network}"


def _four_numbers(audit: Audit) -> list[str]:
    entry, retrained = audit.unlearned[0], audit.retrained
    if retrained is None:
        return ["no retrained network was given, so there is no gap to report"]
    return [
        f"average gap {_cell(entry.average_gap)} points (original {_cell(audit.original.average_gap)}) | "
        f"test accuracy {_against(entry, retrained, 'test_accuracy')} | "
        f"AUC {_against(entry, retrained, 'auc_forget_vs_test')} | "
        f"{_cell(entry.time_ratio, 2)} of the retraining time"
    ]


def _against(entry: Measurement, retrained: Measurement, name: str) -> str:
    return f"{getattr(entry, name):.1f} (retrained {getattr(retrained, name):.1f})"


def _cell(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def inventory_lines(found: CheckpointSummary) -> list[str]:
    """Form, sizes, digest, history, and a row a tensor."""
    blueprint, provenance = found.blueprint, found.provenance
    shape = "x".join(map(str, blueprint["input_shape"]))
    lines = [
        f"{provenance['role']} {blueprint['architecture']} {blueprint['precision']}, input {shape}, "
        f"{blueprint['classes']} classes",
        f"{found.parameters:,} parameters in {found.total_bytes:,} bytes "
        f"({found.unquantized_bytes / max(1, found.total_bytes):.1f} times smaller than float32)",
        f"weights digest {found.weights_digest}",
        f"trained on {provenance['data']}, samples {provenance['counts']}, seed {provenance['seed']}",
    ]
    if provenance["method"]:
        lines.append(f"method {provenance['method']} {provenance['method_fields']}")
    if provenance["recipe"]:
        lines.append(f"recipe {provenance['recipe']}")
    lines.append(f"made in {provenance['seconds']:.1f} s by {provenance['versions']}")
    width = max(len(row.name) for row in found.rows)
    lines += ["", f"{'tensor':<{width}}  {'kind':<10} {'bits':>4} {'shape':>16} {'bytes':>9}"]
    for row in found.rows:
        size = "x".join(map(str, row.shape)) or "-"
        lines.append(f"{row.name:<{width}}  {row.kind:<10} {row.bits:>4} {size:>16} {row.bytes:>9,}")
    return lines


def parity_lines(record: ParityRecord, file: Path) -> list[str]:
    """How a file agrees with its network, a table for each data set."""
    lines = []
    for data, found in record.checks.items():
        lines += [
            "",
            f"{found.samples:,} samples of {data}, run by {found.runtime}, against",
            f"{'':<20}{'same top-1':>12}{'largest':>10}{'mean':>10}   (of logits, in standard deviations)",
        ]
        rows = {
            f"network {record.audited}": found.network,
            "deployed network": found.deployed_network,
            "integer interpreter": found.reference,
        }
        for name, row in rows.items():
            numbers = f"{row.largest_difference:>10.2g}{row.mean_difference:>10.2g}"
            lines.append(f"{name:<20}{100 * row.same_top1:>10.2f} %{numbers}")
        lines += [
            f"integer activations equal to the interpreter's: file {_codes(found.activations)}, "
            f"deployed network {_codes(found.deployed_activations)}, "
            f"the same in a device's sums {_codes(found.exact_activations)}",
            f"rounding biases moves outputs by at most {found.largest_bias_rounding:.2g} of their steps",
        ]
    return [*lines, "", f"parity: {file}"]


def shipped_lines(shipped: Release, folder: Path) -> list[str]:
    """What devices get, how it agrees with the network, and how much of it a patch sends."""
    shipment = shipped.shipment
    lines = [
        f"ships: {folder / shipment.file}, {shipment.form}, {shipment.bytes:,} bytes, content digest "
        f"{shipment.content_digest[:12]}..."
    ]
    if shipped.missing:
        lines.append(f"no ONNX file: {shipped.missing}")
    if shipment.parity:
        found = shipment.parity
        network, reference, equal = map(
            format_percent, (found.network.same_top1, found.reference.same_top1, found.activations.equal)
        )
        lines.append(
            f"parity on {found.samples:,} test samples: {network} % same answers as the network, {reference} % as the "
            f"integer interpreter | integer activations equal: {equal} % of {found.activations.compared:,}"
        )
    if shipment.patch:
        patch = shipment.patch
        lines.append(
            f"patch: {folder / PATCH}, {patch.bytes:,} bytes, {shipment.patch_share:.1f} % of the whole file | changes "
            f"{patch.changed_codes:,} of {patch.codes:,} integer weights and {patch.changed_words:,} scales and biases"
        )
    return lines


def _codes(found: CodeAgreement) -> str:
    if not found.compared:
        return "none to compare"
    return f"{100 * found.equal:.4f} % of {found.compared:,} (at most {found.largest_step} steps off)"
