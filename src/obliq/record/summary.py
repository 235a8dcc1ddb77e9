"""A record as values that other programs read: every case with its deadline and state, every batch, every event."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from obliq.errors import RecordError
from obliq.io.documents import DocumentType
from obliq.io.strict_json import OMITTED_BY_DEFAULT, encode
from obliq.record.cases import Case
from obliq.record.log import Entry
from obliq.record.policy import Policy
from obliq.record.state import RecordState


@dataclass(frozen=True, kw_only=True)
class CaseSummary:
    """One case.

    Attributes:
        case: its number.
        about: kind of the request.
        state: in words, such as `waiting for approval` or `patched`.
        received: day on which it arrived.
        due: day on which an answer is due.
        days_left: until then; negative when it is overdue. None for a closed case.
        overdue: whether the answer is late, or was.
        approvals: who approved it.
        approvals_missing: how many more people must.
        batch: number of the batch that answers it; None for none.
        verdict: of that batch's audit; empty without one.
        devices: how many devices confirmed that batch or a later one.
        outcome: how it was closed, or why it was rejected; empty otherwise.
        certificate: SHA-256 of its certificate; left out while none was issued.
    """

    case: str
    about: str
    state: str
    received: str
    due: str
    days_left: int | None
    overdue: bool
    approvals: tuple[str, ...]
    approvals_missing: int
    batch: int | None
    verdict: str
    devices: int
    outcome: str
    certificate: str | None = field(default=None, metadata=OMITTED_BY_DEFAULT)


@dataclass(frozen=True, kw_only=True)
class RecordSummary:
    """What `obliq record export` writes.

    Attributes:
        record: random name of the record.
        created: when it was exported.
        head: digest of the last entry of the log.
        network: weights digest of the original.
        policy: the rules.
        cases: those that are open and due first, then the closed ones.
        entries: every entry of the log.
    """

    record: str
    created: str
    head: str
    network: str
    policy: Policy
    cases: tuple[CaseSummary, ...]
    entries: tuple[dict[str, Any], ...]


SUMMARY_DOCUMENT = DocumentType(
    content=RecordSummary,
    format="obliq-record",
    version=1,
    title="export of a record",
    error=RecordError,
    largest=2**28,
)


def summarise_cases(state: RecordState, today: date) -> list[CaseSummary]:
    """Every case: open ones by the day on which an answer is due, overdue ones first; then closed ones."""
    ordered = sorted(state.cases.values(), key=lambda case: (case.closed is not None, case.due))
    return [_summary(state, case, today) for case in ordered]


def summarise_record(state: RecordState, entries: list[Entry], now: str) -> RecordSummary:
    """The whole record; `now` is the time in UTC and ISO 8601."""
    return RecordSummary(
        record=state.begun.record,
        created=now,
        head=state.head,
        network=state.begun.network,
        policy=state.begun.policy,
        cases=tuple(summarise_cases(state, date.fromisoformat(now[:10]))),
        entries=tuple(encode(entry.values()) for entry in entries),
    )


def _summary(state: RecordState, case: Case, today: date) -> CaseSummary:
    batch = case.batch
    issued = batch.certificate_of(case.number) if batch else None
    return CaseSummary(
        case=case.number,
        about=case.received.about,
        state=state.state_of(case),
        received=case.received.received,
        due=case.due.isoformat(),
        days_left=None if case.closed else (case.due - today).days,
        overdue=case.is_overdue(today),
        approvals=tuple(case.approvals),
        approvals_missing=0 if case.rejected or case.batch else state.missing_approvals(case),
        batch=None if batch is None else batch.number,
        verdict=batch.audited.verdict if batch and batch.audited else "",
        devices=state.confirmed(batch.number) if batch else 0,
        outcome=case.closed.outcome if case.closed else case.rejected,
        certificate=issued.file if issued else None,
    )
