"""Pages that only read: the cases, one case, the devices, the record, and the documents of a batch."""

import hashlib
import re
from pathlib import Path

from starlette.responses import Response

from obliq.auditing.document import AUDIT_DOCUMENT
from obliq.errors import RecordError
from obliq.io.ownership import read_recorded_file
from obliq.io.regular_file import read_regular_file
from obliq.record.cases import Batch, Case
from obliq.record.certificate.envelope import LARGEST_ENVELOPE
from obliq.record.certificate.page import render_certificate_page
from obliq.record.lookalikes import same_person
from obliq.record.server.protection import DOCUMENT_POLICY
from obliq.record.server.reader import event_words, steps_of
from obliq.record.server.rendering import TEMPLATES, page, style_sheet
from obliq.record.server.site import Site, Visit
from obliq.record.state import RecordState
from obliq.record.summary import SUMMARY_DOCUMENT, summarise_cases, summarise_record
from obliq.run import utc_now
from obliq.workflow.pipeline import AUDIT

REPORT = "report.html"
LARGEST_REPORT = 64 * 2**20
"""Bytes; forgotten samples may be pictures in it."""


def show_cases(visit: Visit) -> Response:
    """All cases, overdue ones first."""
    cases = summarise_cases(visit.snapshot().state, utc_now().date())
    still_open = [case for case in cases if case.state != "closed"]
    return page(
        visit,
        "cases",
        late=[case for case in still_open if case.overdue],
        waiting=[case for case in still_open if not case.overdue],
        closed=[case for case in cases if case.state == "closed"],
    )


def show_case(visit: Visit) -> Response:
    """One case, with its events and its documents."""
    snapshot = visit.snapshot()
    state = snapshot.state
    case = state.case(visit.query.get("number", ""))
    summary = next(one for one in summarise_cases(state, utc_now().date()) if one.case == case.number)
    entries = [
        (entry.time, event_words(entry.event), entry.actor) for entry in snapshot.entries_of(case.number)
    ]
    batch = case.batch
    return page(
        visit,
        "case",
        case=summary,
        entries=entries,
        batch=batch,
        steps=steps_of(state, batch.number) if batch else [],
        policy=state.begun.policy,
        can=_allowed(state, case, visit),
    )


def show_devices(visit: Visit) -> Response:
    """Which release how many devices confirmed."""
    state = visit.snapshot().state
    releases = [
        (batch.number, len(batch.planned.cases), state.confirmed(batch.number))
        for batch in state.batches
        if batch.patched
    ]
    return page(visit, "devices", releases=releases[::-1], policy=state.begun.policy)


def show_record(visit: Visit) -> Response:
    """What the record is about, its rules and its head."""
    snapshot = visit.snapshot()
    state = snapshot.state
    return page(
        visit,
        "record",
        begun=state.begun,
        created=snapshot.entries[0],
        count=len(snapshot.entries),
        head=state.head,
        batches=[(batch, _outcome(batch)) for batch in state.batches[::-1]],
    )


def show_report(visit: Visit) -> Response:
    """The report of a batch, as it was written."""
    batch = _audited(visit)
    content = read_recorded_file(_audit_folder(visit, batch), REPORT, LARGEST_REPORT)
    headers = {"content-security-policy": DOCUMENT_POLICY}
    if "download" in visit.query:
        headers |= _attached(f"report-of-batch-{batch.number}.html")
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def download_audit(visit: Visit) -> Response:
    """audit.json of a batch, if it is the file that the log states."""
    batch = _audited(visit)
    assert batch.audited is not None
    file = _audit_folder(visit, batch) / AUDIT
    name = f"the audit of batch {batch.number}"
    content = _read_noted(file, AUDIT_DOCUMENT.largest, batch.audited.audit, name)
    return Response(
        content, media_type="application/json", headers=_attached(f"audit-of-batch-{batch.number}.json")
    )


def show_certificate(visit: Visit) -> Response:
    """The certificate of a case as a page to read, or as a file that can be verified."""
    number = visit.query.get("number", "")
    text = certificate_of(visit.site, number)
    name = f"certificate-{re.sub('[^A-Za-z0-9-]+', '-', number)[:80]}"
    if visit.query.get("as") == "json":
        return Response(text, media_type="application/json", headers=_attached(f"{name}.cert.json"))
    headers = {"content-security-policy": DOCUMENT_POLICY}
    if visit.query.get("as") == "html":
        headers |= _attached(f"{name}.html")
    return Response(render_certificate_page(text), media_type="text/html; charset=utf-8", headers=headers)


def certificate_of(site: Site, number: str) -> bytes:
    """The certificate of a case, if it is the file that the log states.

    Raises:
        RecordError: when the case has none, or the file is another.
    """
    state = site.reader.read().state
    batch = state.case(number).batch
    issued = batch.certificate_of(number) if batch else None
    if batch is None or issued is None:
        raise RecordError(f"case {number} has no certificate; expected one whose batch was certified")
    file = site.record.certificate(batch, number)
    return _read_noted(file, LARGEST_ENVELOPE, issued.file, f"the certificate of case {number}")


def export_cases(visit: Visit) -> Response:
    """Every case and every entry, as `obliq record export` writes them."""
    snapshot = visit.snapshot()
    text = SUMMARY_DOCUMENT.to_text(summarise_record(snapshot.state, snapshot.entries, utc_now().isoformat()))
    return Response(text, media_type="application/json", headers=_attached("record.json"))


def send_style(visit: Visit) -> Response:
    """The style sheet."""
    return Response(
        style_sheet(), media_type="text/css; charset=utf-8", headers={"cache-control": "no-cache"}
    )


def send_script(visit: Visit) -> Response:
    """The script that keeps the page of the work current."""
    content = (TEMPLATES / "progress.js").read_bytes()
    return Response(
        content, media_type="text/javascript; charset=utf-8", headers={"cache-control": "no-cache"}
    )


def _allowed(state: RecordState, case: Case, visit: Visit) -> dict[str, bool]:
    """What may be done with a case now, by whoever looks at it."""
    officer = visit.role == "officer"
    still_open = officer and case.closed is None
    batch, devices = case.batch, state.begun.policy.devices
    waits = still_open and case.accepted and not case.rejected and batch is None
    confirmed = state.confirmed(batch.number) if batch else 0
    return {
        "approve": waits
        and bool(state.missing_approvals(case))
        and not any(same_person(visit.actor, one) for one in case.approvals),
        "reject": still_open and not case.rejected and batch is None,
        "reveal": still_open and case.received.encrypted is not None,
        "close": still_open and (bool(case.rejected) or (batch is not None and batch.patched is not None)),
        "close without reason": bool(case.rejected) or confirmed >= max(1, devices),
        "run": visit.role == "engineer" and state.is_due and case.closed is None,
    }


def batch_number(name: str, text: str) -> int:
    """The number of a batch in an address.

    Raises:
        RecordError: naming what was given instead.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise RecordError(f"{name} {text[:20]!r}; expected the number of a batch")
    return int(text)


def _audited(visit: Visit) -> Batch:
    batch = visit.snapshot().state.batch(batch_number("batch", visit.query.get("batch", "")))
    if batch.audited is None:
        raise RecordError(f"batch {batch.number} was not audited yet")
    return batch


def _read_noted(file: Path, largest: int, digest: str, name: str) -> bytes:
    """A file of the record, if it is the one whose SHA-256 the log states.

    Raises:
        RecordError: when it is another one.
    """
    content = read_regular_file(file, largest)
    if hashlib.sha256(content).hexdigest() != digest:
        raise RecordError(f"{name} is not the file that the log states")
    return content


def _audit_folder(visit: Visit, batch: Batch) -> Path:
    """Where the audit of a batch lies; never outside of the record.

    Raises:
        RecordError: when a link leads elsewhere.
    """
    folder = visit.site.record.batch(batch.number) / "audit"
    if not folder.resolve().is_relative_to(visit.site.record.folder.resolve()):
        raise RecordError(f"the audit of batch {batch.number} lies outside of the record; expected no links")
    return folder


def _outcome(batch: Batch) -> str:
    if batch.refusal:
        return f"refused: {batch.refusal}"
    return f"given up: {batch.abandoned}" if batch.abandoned else batch.state


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}
