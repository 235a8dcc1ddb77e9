"""What a log amounts to: cases, batches and devices, from its entries in their order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from obliq.errors import RecordError
from obliq.record.cases import Batch, Case
from obliq.record.events import Begun
from obliq.record.log import Entry
from obliq.record.transitions import apply_event


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
        apply_event(self, entry)
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
