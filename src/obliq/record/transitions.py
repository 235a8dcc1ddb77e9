"""Which event may follow which state of a record, and what it changes."""

from datetime import date
from typing import TYPE_CHECKING

from obliq.errors import RecordError
from obliq.record.batch_events import (
    Abandoned,
    Audited,
    Certified,
    Exported,
    Patched,
    Planned,
    Retrained,
    Tolerated,
    Unlearned,
)
from obliq.record.cases import Batch, Case, lost_plan
from obliq.record.events import (
    Accepted,
    Approved,
    Begun,
    Closed,
    Confirmed,
    Event,
    Received,
    Recovered,
    Rejected,
)
from obliq.record.log import Entry
from obliq.record.lookalikes import same_name

if TYPE_CHECKING:
    from obliq.record.state import RecordState


def apply_event(state: "RecordState", entry: Entry) -> None:
    """Change a state by the next entry.

    Raises:
        RecordError: when its event may not follow.
    """
    event = entry.event
    match event:
        case Received():
            if event.case in state.cases:
                raise RecordError(f"case {event.case} exists already; expected a new number")
            state.cases[event.case] = Case(event)
        case Accepted():
            _undecided(state, event.case).accepted = True
        case Rejected():
            case = _open(state, event.case)
            if case.batch is not None:
                raise RecordError(
                    f"case {event.case} is part of batch {case.batch.number}; expected one of none"
                )
            case.rejected = event.reason
        case Approved():
            _approve(state, event, entry.actor)
        case Confirmed():
            _confirm(state, event)
        case Closed():
            case = _open(state, event.case)
            case.closed, case.closed_on = event, date.fromisoformat(entry.time[:10])
            state.withheld += [event.withheld] if event.withheld else []
        case Recovered():
            _recover(state, event)
        case Planned():
            _plan(state, event)
        case Certified():
            _certify(state, event)
        case Begun():
            raise RecordError("a record begins once")
        case _:
            _apply_to_batch(state, event)


def _recover(state: "RecordState", event: Recovered) -> None:
    if state.batches and not state.batches[-1].patched:
        _give_up(state, state.batches[-1], event.reason)
    for number in range(len(state.batches) + 1, event.batches + 1):
        state.batches.append(Batch(lost_plan(number), abandoned=event.reason))
    state.withheld += [event.withheld] if event.withheld else []


def _give_up(state: "RecordState", batch: Batch, reason: str) -> None:
    batch.abandoned = batch.abandoned or reason
    for number in batch.planned.cases:
        if state.cases[number].batch is batch:
            state.cases[number].batch = None


def _undecided(state: "RecordState", number: str) -> Case:
    case = _open(state, number)
    if case.accepted or case.rejected:
        raise RecordError(f"case {number} was decided before; expected one that was not")
    return case


def _open(state: "RecordState", number: str) -> Case:
    case = state.case(number)
    if case.closed:
        raise RecordError(f"case {number} is closed; expected an open one")
    return case


def _approve(state: "RecordState", event: Approved, actor: str) -> None:
    case = _open(state, event.case)
    if case.rejected or not case.accepted or case.batch:
        raise RecordError(
            f"case {event.case} is {state.state_of(case)}; expected one that waits for approval"
        )
    if event.digest != case.received.digest:
        raise RecordError(f"the approval of case {event.case} is for another request; expected its digest")
    # not `same_person`, which new approvals must pass: logs in which it was not asked are still read
    if any(same_name(actor, before) for before in case.approvals):
        raise RecordError(f"{actor} approved case {event.case} before; expected another person")
    case.approvals.append(actor)


def _confirm(state: "RecordState", event: Confirmed) -> None:
    if event.floor not in state.released[1:]:
        known = ", ".join(map(str, state.released[1:])) or "none yet"
        raise RecordError(f"floor {event.floor}; expected the number of a batch that was patched ({known})")
    policy = state.begun.policy
    if policy.devices and event.devices > policy.devices:
        raise RecordError(
            f"{event.devices} devices; expected at most {policy.devices}, which the record states"
        )
    state.floors[event.floor] = event.devices


def _plan(state: "RecordState", event: Planned) -> None:
    last = state.last_batch
    if event.batch != len(state.batches) + 1 or (last and not (last.patched or last.abandoned)):
        raise RecordError(f"batch {event.batch} is planned before the one before is complete")
    waiting = {case.number for case in state.waiting()}
    if not event.cases or not set(event.cases) <= waiting or len(set(event.cases)) < len(event.cases):
        raise RecordError(
            f"batch {event.batch} has cases that do not wait for one; expected approved requests"
        )
    batch = Batch(event)
    for number in event.cases:
        state.cases[number].batch = batch
    state.batches.append(batch)


def _certify(state: "RecordState", event: Certified) -> None:
    """Certificates may be issued long after the patches, when there are later batches and the cases are closed."""
    batch = state.batch(event.batch)
    if batch.patched is None or batch.certified:
        raise RecordError(
            f"batch {batch.number} is {batch.state}; expected one with patches and no certificates"
        )
    if tuple(one.case for one in event.certificates) != batch.planned.cases:
        raise RecordError(
            f"these are not the certificates of batch {batch.number}; expected one for each case"
        )
    batch.certified = event


def _apply_to_batch(state: "RecordState", event: Event) -> None:
    batch = state.batch(event.batch)  # type: ignore[attr-defined]
    if batch is not state.last_batch or batch.patched or batch.abandoned:
        raise RecordError(f"batch {batch.number} is {batch.state} already")
    if not isinstance(event, Tolerated | Abandoned) and batch.refusal:
        raise RecordError(f"batch {batch.number} must not go on: {batch.refusal}")
    match event:
        case Tolerated():
            if not batch.refusal:
                raise RecordError(f"batch {batch.number} was not refused; expected one that was")
            batch.tolerated["audit" if batch.audited else "gate"] = event.reason
        case Abandoned():
            _give_up(state, batch, event.reason)
        case Unlearned() if batch.unlearned is None:
            batch.unlearned = event
        case Retrained() if batch.unlearned and event.number not in batch.retrained:
            batch.retrained[event.number] = event
        case Exported() if batch.unlearned and batch.exported is None:
            batch.exported = event
        case Audited() if batch.exported and batch.audited is None:
            batch.audited = event
        case Patched() if batch.audited and batch.patched is None:
            batch.patched = event
        case _:
            raise RecordError(f"it does not follow the state of batch {batch.number}, which is {batch.state}")
