"""`audit.json`: an audit as text, and back. `docs/audit-format.md` describes every field."""

from typing import Any

from obliq.auditing.measured_values import metrics_in
from obliq.auditing.measurement import Audit
from obliq.errors import AuditError
from obliq.io.documents import DocumentType


def render_audit(audit: Audit) -> str:
    """The audit as JSON: fields in the order of the classes, without NaN, ending in a line feed.

    Raises:
        AuditError: when the audit does not hold together.
    """
    return AUDIT_DOCUMENT.to_text(audit)


def parse_audit(text: str) -> Audit:
    """The audit that `render_audit` wrote.

    Raises:
        AuditError: for text that is no audit, an unknown version, and missing, unknown or mistyped fields.
    """
    return AUDIT_DOCUMENT.from_text(text.encode(errors="surrogatepass"))


def _with_flat_entries(audit: dict[str, Any]) -> dict[str, Any]:
    """The fields as the file has them: metrics are fields of an entry like the others, at the place of `values`."""
    return audit | {"entries": [_flat(entry) for entry in audit["entries"]]}


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in entry.items():
        flat |= value if name == "values" else {name: value}
    return flat


def _with_nested_entries(audit: dict[str, Any]) -> dict[str, Any]:
    """The reverse of `_with_flat_entries`. What has another type is left for the decoder to refuse."""
    entries = audit.get("entries")
    if not isinstance(entries, list):
        return audit
    counts = audit.get("counts")
    tested = not isinstance(counts, dict) or counts.get("test") != 0
    return audit | {
        "entries": [
            _nested(entry, f"audit.entries[{number}]", tested=tested) for number, entry in enumerate(entries)
        ]
    }


def _nested(entry: Any, where: str, *, tested: bool) -> Any:
    if not isinstance(entry, dict):
        return entry
    rest, values = dict(entry), {}
    if "values" in rest:
        raise AuditError(f"{where} has an unknown field 'values'; expected each metric as a field")
    device = rest.get("device")
    classes_alone = isinstance(device, dict) and device.get("recorded") == "classes"
    for metric in metrics_in("audit"):
        if metric.name not in rest:
            raise AuditError(f"{where} has no field {metric.name!r}; expected every metric of an audit")
        values[metric.name] = rest.pop(metric.name)
        needed = (
            metric.required and (tested or not metric.needs_test) and (metric.of_classes or not classes_alone)
        )
        if values[metric.name] is None and needed:
            raise AuditError(f"{where}.{metric.name} is null; expected a number")
    return rest | {"values": values}


AUDIT_DOCUMENT = DocumentType(
    content=Audit,
    format="obliq.audit",
    format_field="schema",
    version=5,
    oldest=4,
    title="audit",
    error=AuditError,
    sort=False,
    to_stored=_with_flat_entries,
    from_stored=_with_nested_entries,
)
