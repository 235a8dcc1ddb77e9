"""What a log amounts to: cases, batches and devices, from its entries in their order; and which may come next."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

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


@dataclass
class RecordState:
    """Everything that a log states.

    Attributes:
        begun: the event with which the record began.
        cases: every case by its number, in the order in which they came.
        batches: in the order of their numbers.
        floors: how many devices confirmed which batch, from the newest report of each.
        withheld: SHA-256 of every list of withheld samples so far; the last one holds.
        head: digest of the last entry.
    """

    begun: Begun
    cases: dict[str, Case] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    floors: dict[int, int] = field(default_factory=dict)
    withheld: list[str] = field(default_factory=list)
    head: str = ""

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "RecordState":
        """What a log amounts to.

        Raises:
            RecordError: when an event may not follow those before it.
        """
        if not entries or not isinstance(entries[0].event, Begun):
            raise RecordError(
                "the log does not begin with the event of a new record; expected one of `obliq record`"
            )
        state = cls(begun=entries[0].event, head=entries[0].digest)
        state.follow(entries[1:])
        return state

    def follow(self, entries: Iterable[Entry]) -> None:
        """Go on with more entries.

        Raises:
            RecordError: when one may not follow.
        """
        for entry in entries:
            try:
                self.apply(entry)
            except RecordError as error:
                raise RecordError(f"entry {entry.number} ({entry.event.kind}): {error}") from error

    def apply(self, entry: Entry) -> None:
        """Go on with one more entry.

        Raises:
            RecordError: when it may not follow.
        """
        self._apply(entry.event, entry)
        self.head = entry.digest

    @property
    def last_batch(self) -> Batch | None:
        """The newest batch; None where there is none."""
        return self.batches[-1] if self.batches else None

    @property
    def released(self) -> list[int]:
        """Numbers of the files that devices may run, 0 for that of the original."""
        return [0, *(batch.number for batch in self.batches if batch.patched)]

    @property
    def uncertified(self) -> list[Batch]:
        """Batches whose patches are made and whose cases have no certificates."""
        return [batch for batch in self.batches if batch.patched and not batch.certified]

    def case(self, number: str) -> Case:
        """A case by its number.

        Raises:
            RecordError: when there is none.
        """
        if number not in self.cases:
            raise RecordError(f"there is no case {number}; `obliq record list` shows all")
        return self.cases[number]

    def batch(self, number: int) -> Batch:
        """A batch by its number.

        Raises:
            RecordError: when there is none.
        """
        if not 1 <= number <= len(self.batches):
            raise RecordError(f"there is no batch {number}; the record has {len(self.batches)}")
        return self.batches[number - 1]

    def confirmed(self, batch: int) -> int:
        """How many devices confirmed a batch or a later one."""
        return max((count for floor, count in self.floors.items() if floor >= batch), default=0)

    def missing_approvals(self, case: Case) -> int:
        """How many more people must approve a request."""
        return max(0, self.begun.policy.approvals - len(case.approvals))

    def waiting(self) -> list[Case]:
        """Requests that a new batch would answer: accepted and approved, in no batch."""
        return [
            case
            for case in self.cases.values()
            if case.accepted
            and not (case.rejected or case.batch or case.closed or self.missing_approvals(case))
        ]

    @property
    def under_way(self) -> Batch | None:
        """The batch whose steps are not all done; None where there is none."""
        last = self.last_batch
        return None if last is None or last.patched or last.abandoned else last

    @property
    def is_due(self) -> bool:
        """Whether a batch is under way, or a request waits for one."""
        return self.under_way is not None or bool(self.waiting())

    def state_of(self, case: Case) -> str:
        """The state of a case in words."""
        if case.closed:
            return "closed"
        if case.rejected:
            return "rejected"
        if case.batch:
            confirmed, policy = self.confirmed(case.batch.number), self.begun.policy
            if case.batch.refusal:
                return "refused"
            if case.batch.patched and policy.devices and confirmed >= policy.devices:
                return "confirmed"
            return case.batch.state
        if not case.accepted:
            return "received"
        return "waiting for approval" if self.missing_approvals(case) else "approved"

    def _apply(self, event: Event, entry: Entry) -> None:
        match event:
            case Received():
                if event.case in self.cases:
                    raise RecordError(f"case {event.case} exists already; expected a new number")
                self.cases[event.case] = Case(event)
            case Accepted():
                self._undecided(event.case).accepted = True
            case Rejected():
                case = self._open(event.case)
                if case.batch is not None:
                    raise RecordError(
                        f"case {event.case} is part of batch {case.batch.number}; expected one of none"
                    )
                case.rejected = event.reason
            case Approved():
                self._approve(event, entry.actor)
            case Confirmed():
                self._confirm(event)
            case Closed():
                case = self._open(event.case)
                case.closed, case.closed_on = event, date.fromisoformat(entry.time[:10])
                self.withheld += [event.withheld] if event.withheld else []
            case Recovered():
                self._recover(event)
            case Planned():
                self._plan(event)
            case Certified():
                self._certify(event)
            case Begun():
                raise RecordError("a record begins once")
            case _:
                self._apply_to_batch(event)

    def _recover(self, event: Recovered) -> None:
        if self.batches and not self.batches[-1].patched:
            self._give_up(self.batches[-1], event.reason)
        for number in range(len(self.batches) + 1, event.batches + 1):
            self.batches.append(Batch(lost_plan(number), abandoned=event.reason))
        self.withheld += [event.withheld] if event.withheld else []

    def _give_up(self, batch: Batch, reason: str) -> None:
        batch.abandoned = batch.abandoned or reason
        for number in batch.planned.cases:
            if self.cases[number].batch is batch:
                self.cases[number].batch = None

    def _undecided(self, number: str) -> Case:
        case = self._open(number)
        if case.accepted or case.rejected:
            raise RecordError(f"case {number} was decided before; expected one that was not")
        return case

    def _open(self, number: str) -> Case:
        case = self.case(number)
        if case.closed:
            raise RecordError(f"case {number} is closed; expected an open one")
        return case

    def _approve(self, event: Approved, actor: str) -> None:
        case = self._open(event.case)
        if case.rejected or not case.accepted or case.batch:
            raise RecordError(
                f"case {event.case} is {self.state_of(case)}; expected one that waits for approval"
            )
        if event.digest != case.received.digest:
            raise RecordError(
                f"the approval of case {event.case} is for another request; expected its digest"
            )
        # not `same_person`, which new approvals must pass: logs in which it was not asked are still read
        if any(same_name(actor, before) for before in case.approvals):
            raise RecordError(f"{actor} approved case {event.case} before; expected another person")
        case.approvals.append(actor)

    def _confirm(self, event: Confirmed) -> None:
        if event.floor not in self.released[1:]:
            known = ", ".join(map(str, self.released[1:])) or "none yet"
            raise RecordError(
                f"floor {event.floor}; expected the number of a batch that was patched ({known})"
            )
        policy = self.begun.policy
        if policy.devices and event.devices > policy.devices:
            raise RecordError(
                f"{event.devices} devices; expected at most {policy.devices}, which the record states"
            )
        self.floors[event.floor] = event.devices

    def _plan(self, event: Planned) -> None:
        last = self.last_batch
        if event.batch != len(self.batches) + 1 or (last and not (last.patched or last.abandoned)):
            raise RecordError(f"batch {event.batch} is planned before the one before is complete")
        waiting = {case.number for case in self.waiting()}
        if not event.cases or not set(event.cases) <= waiting or len(set(event.cases)) < len(event.cases):
            raise RecordError(
                f"batch {event.batch} has cases that do not wait for one; expected approved requests"
            )
        batch = Batch(event)
        for number in event.cases:
            self.cases[number].batch = batch
        self.batches.append(batch)

    def _certify(self, event: Certified) -> None:
        """Certificates may be issued long after the patches, when there are later batches and the cases are closed."""
        batch = self.batch(event.batch)
        if batch.patched is None or batch.certified:
            raise RecordError(
                f"batch {batch.number} is {batch.state}; expected one with patches and no certificates"
            )
        if tuple(one.case for one in event.certificates) != batch.planned.cases:
            raise RecordError(
                f"these are not the certificates of batch {batch.number}; expected one for each case"
            )
        batch.certified = event

    def _apply_to_batch(self, event: Event) -> None:
        batch = self.batch(event.batch)  # type: ignore[attr-defined]
        if batch is not self.last_batch or batch.patched or batch.abandoned:
            raise RecordError(f"batch {batch.number} is {batch.state} already")
        if not isinstance(event, Tolerated | Abandoned) and batch.refusal:
            raise RecordError(f"batch {batch.number} must not go on: {batch.refusal}")
        match event:
            case Tolerated():
                if not batch.refusal:
                    raise RecordError(f"batch {batch.number} was not refused; expected one that was")
                batch.tolerated["audit" if batch.audited else "gate"] = event.reason
            case Abandoned():
                self._give_up(batch, event.reason)
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
                raise RecordError(
                    f"it does not follow the state of batch {batch.number}, which is {batch.state}"
                )
