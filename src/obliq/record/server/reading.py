"""Pages that only read: the cases, one case, the devices, the record, and the documents of a batch."""

from starlette.responses import Response

from obliq.auditing.document import AUDIT_DOCUMENT
from obliq.errors import RecordError
from obliq.io.ownership import digest_of_file
from obliq.io.regular_file import read_regular_file
from obliq.record.cases import Batch
from obliq.record.server.protection import DOCUMENT_POLICY
from obliq.record.server.reader import event_words, steps_of
from obliq.record.server.rendering import page, style_sheet
from obliq.record.server.site import Visit
from obliq.record.summary import SUMMARY_DOCUMENT, CaseSummary, summarise_cases, summarise_record
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
        confirmed=state.confirmed(batch.number) if batch else 0,
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
    content = read_regular_file(visit.site.record.batch(batch.number) / "audit" / REPORT, LARGEST_REPORT)
    headers = {"content-security-policy": DOCUMENT_POLICY}
    if "download" in visit.query:
        headers |= _attached(f"report-of-batch-{batch.number}.html")
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def download_audit(visit: Visit) -> Response:
    """audit.json of a batch, if it is the file that the log states."""
    batch = _audited(visit)
    assert batch.audited is not None
    file = visit.site.record.batch(batch.number) / "audit" / AUDIT
    if digest_of_file(file) != batch.audited.audit:
        raise RecordError(f"the audit of batch {batch.number} is not the file that the log states")
    content = read_regular_file(file, AUDIT_DOCUMENT.largest)
    return Response(
        content, media_type="application/json", headers=_attached(f"audit-of-batch-{batch.number}.json")
    )


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


def case_named(visit: Visit, number: str) -> CaseSummary:
    """The summary of a case.

    Raises:
        RecordError: when there is none.
    """
    state = visit.snapshot().state
    state.case(number)
    return next(one for one in summarise_cases(state, utc_now().date()) if one.case == number)


def _audited(visit: Visit) -> Batch:
    text = visit.query.get("batch", "")
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise RecordError(f"batch {text[:20]!r}; expected the number of a batch")
    batch = visit.snapshot().state.batch(int(text))
    if batch.audited is None:
        raise RecordError(f"batch {batch.number} was not audited yet")
    return batch


def _outcome(batch: Batch) -> str:
    if batch.refusal:
        return f"refused: {batch.refusal}"
    return f"given up: {batch.abandoned}" if batch.abandoned else batch.state


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}
