"""Which event may follow which, what is due when, and who must approve."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from obliq.errors import RecordError
from obliq.record.batch_events import Abandoned, Retrained, Tolerated
from obliq.record.batches import chosen_expiry
from obliq.record.events import Accepted, Approved, Closed, Confirmed, Event, Rejected
from obliq.record.summary import summarise_cases
from tests.record.events import (
    DIGEST,
    WHOLE,
    audited,
    begun,
    chained,
    exported,
    patched,
    planned,
    received,
    state_after,
    unlearned,
)

APPROVED: tuple[Event, ...] = (received(), Accepted(case="C-1"), Approved(case="C-1", digest=DIGEST))
ANSWERED: tuple[Event, ...] = (begun(), *APPROVED, planned(), unlearned(), exported(), audited(), patched())


def test_the_whole_way_has_a_state_at_every_step() -> None:
    states = []
    for count in range(2, len(WHOLE) + 1):
        state = state_after(*WHOLE[:count])
        states.append(state.state_of(state.case("C-1")))
    assert list(dict.fromkeys(states)) == [
        "received",
        "waiting for approval",
        "approved",
        "planned",
        "unlearned",
        "exported",
        "audited",
        "patched",
        "confirmed",
        "closed",
    ]


@pytest.mark.parametrize(
    ("received_on", "due"),
    [
        ("2026-01-31", "2026-02-28"),
        ("2028-01-30", "2028-02-29"),
        ("2026-12-15", "2027-01-15"),
        ("2026-03-31", "2026-04-30"),
        ("2026-04-30", "2026-05-30"),
    ],
)
def test_an_answer_is_due_after_one_month(received_on: str, due: str) -> None:
    state = state_after(begun(), received(day=received_on))
    case = state.case("C-1")
    assert case.due == date.fromisoformat(due)
    assert not case.is_overdue(case.due)


def test_overdue_cases_come_first_and_closed_ones_last() -> None:
    events = (
        received("C-late", "2026-01-01"),
        received("C-new", "2026-02-20"),
        received("C-over", "2025-12-01"),
        Rejected(case="C-over", reason="not in training"),
        Closed(case="C-over", outcome="rejected", withheld=None),
    )
    found = summarise_cases(state_after(begun(), *events), date(2026, 2, 21))
    assert [case.case for case in found] == ["C-late", "C-new", "C-over"]
    assert [case.days_left for case in found] == [-20, 27, None]


@pytest.mark.parametrize(
    ("approvers", "waits"),
    [((), True), (("A",), True), (("A", "B"), False)],
)
def test_a_policy_of_two_needs_two_people(approvers: tuple[str, ...], waits: bool) -> None:
    events: list[Event] = [begun(approvals=2), received(), Accepted(case="C-1")]
    actors = ("A. Example",) * 3 + approvers
    state = state_after(*events, *(Approved(case="C-1", digest=DIGEST) for _ in approvers), actors=actors)
    assert (state.waiting() == []) == waits
    if waits:
        with pytest.raises(RecordError, match="do not wait"):
            state_after(
                *events, *(Approved(case="C-1", digest=DIGEST) for _ in approvers), planned(), actors=actors
            )


@pytest.mark.parametrize("second", ["A. Example", "a.  example", " A. Example "])
def test_one_person_does_not_approve_twice(second: str) -> None:
    events = (begun(approvals=2), *APPROVED, Approved(case="C-1", digest=DIGEST))
    with pytest.raises(RecordError, match="approved case C-1 before"):
        state_after(*events, actors=("A. Example",) * 4 + (second,))


def test_an_approval_is_for_the_request_that_was_noted() -> None:
    with pytest.raises(RecordError, match="another request"):
        state_after(begun(), received(), Accepted(case="C-1"), Approved(case="C-1", digest="b" * 64))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ((begun(), begun()), "begins once"),
        ((received(),), "does not begin"),
        ((begun(), received(), received()), "exists already"),
        ((begun(), received(), Accepted(case="C-2")), "no case C-2"),
        ((begun(), *APPROVED, Accepted(case="C-1")), "decided before"),
        ((begun(), received(), planned()), "do not wait"),
        ((begun(), *APPROVED, planned(2)), "before the one before"),
        ((begun(), *APPROVED, planned(), planned(2)), "before the one before"),
        ((begun(), *APPROVED, planned(), exported()), "does not follow"),
        ((begun(), *APPROVED, planned(), unlearned(), unlearned()), "does not follow"),
        ((begun(), *APPROVED, planned(), unlearned(), patched()), "does not follow"),
        ((begun(), *APPROVED, planned(), unlearned(1, "ruined"), exported()), "must not go on"),
        ((*ANSWERED[:-2], audited(verdict="REMEMBERED"), patched()), "must not go on"),
        ((*ANSWERED, audited()), "patched already"),
        ((*ANSWERED, Abandoned(batch=1, reason="x")), "patched already"),
        ((*ANSWERED, Rejected(case="C-1", reason="x")), "part of batch 1"),
        ((begun(), *APPROVED, planned(), Tolerated(batch=1, reason="x")), "was not refused"),
        ((begun(), *APPROVED, planned(), Confirmed(floor=1, devices=1)), "expected the number of a batch"),
        ((*ANSWERED, Confirmed(floor=1, devices=11)), "at most 10"),
        ((*WHOLE, Rejected(case="C-1", reason="x")), "is closed"),
        ((begun(), Retrained(batch=1, number=1, network=DIGEST)), "no batch 1"),
    ],
    ids=str,
)
def test_events_that_may_not_follow(events: tuple[Event, ...], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        state_after(*events)


def test_what_is_tolerated_is_one_refusal() -> None:
    failed = (begun(), *APPROVED, planned(), unlearned(1, "ruined"), Tolerated(batch=1, reason="needed"))
    state = state_after(*failed, exported(), audited(verdict="DAMAGED"))
    assert state.batches[0].refusal == "the audit found DAMAGED"
    state = state_after(
        *failed, exported(), audited(verdict="DAMAGED"), Tolerated(batch=1, reason="too"), patched()
    )
    assert state.batches[0].refusal == ""
    assert state.state_of(state.case("C-1")) == "patched"


def test_requests_of_an_abandoned_batch_wait_again() -> None:
    state = state_after(begun(), *APPROVED, planned(), Abandoned(batch=1, reason="other method"))
    assert [case.number for case in state.waiting()] == ["C-1"]
    assert state_after(begun(), *APPROVED, planned(), Abandoned(batch=1, reason="x"), planned(2)).batches[1]


def test_a_later_floor_confirms_earlier_batches() -> None:
    second = (
        received("C-2"),
        Accepted(case="C-2"),
        Approved(case="C-2", digest=DIGEST),
        planned(2, "C-2"),
        unlearned(2),
        exported(2),
        audited(2),
        patched(2),
    )
    state = state_after(*ANSWERED, *second, Confirmed(floor=1, devices=4), Confirmed(floor=2, devices=7))
    assert (state.confirmed(1), state.confirmed(2)) == (7, 7)
    assert state.released == [0, 1, 2]


def test_the_head_is_the_last_digest() -> None:
    entries = chained(*ANSWERED)
    assert state_after(*ANSWERED).head == entries[-1].digest


def test_a_batch_keeps_the_expiry_of_its_plan() -> None:
    """Through kills, decisions and another batch in its place; and only once it has passed is another one taken."""
    early, end, late = (datetime(year, 1, 31, tzinfo=UTC) for year in (2027, 2030, 2040))
    with_expiry = replace(planned(), expires="2030-01-31T00:00:00Z")
    begin, way = state_after(begun(), *APPROVED), state_after(begun(), *APPROVED, with_expiry)
    plain = state_after(begun(), *APPROVED, planned())
    given_up = state_after(begun(), *APPROVED, with_expiry, Abandoned(batch=1, reason="x"))
    done = state_after(
        begun(), *APPROVED, with_expiry, unlearned(), exported(), audited(), patched(), received("C-2")
    )
    for state, given, again, expected in (
        *((state, given, False, given) for state in (begin, done) for given in (None, late)),
        *((way, given, again, end) for given in (None, end) for again in (False, True)),
        *((given_up, given, False, given or end) for given in (None, late)),
        *((way, late, True, late), (plain, None, False, None), (plain, late, True, late)),
    ):
        assert chosen_expiry(state, given, early, again=again) == expected
    for state, words in (
        (way, "expire at 2030-01-31T00:00:00Z, and 2040"),
        (plain, "expire never, and 2040"),
    ):
        with pytest.raises(RecordError, match=words):
            chosen_expiry(state, late, early, again=False)
    for state, again in ((way, False), (way, True), (given_up, False)):
        assert chosen_expiry(state, late, end, again=again) == late
        with pytest.raises(RecordError, match="has passed; expected --expires with a later time"):
            chosen_expiry(state, None, end, again=again)
    for wrong in ("", "2030-01-31", "2030-02-30T00:00:00Z"):
        with pytest.raises(RecordError, match="expected a time such as"):
            replace(planned(), expires=wrong)
