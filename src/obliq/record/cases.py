"""Cases and batches, as the entries of a log leave them."""

import calendar
from dataclasses import dataclass, field
from datetime import date

from obliq.record.batch_events import (
    Audited,
    Certified,
    Exported,
    IssuedCertificate,
    Patched,
    Planned,
    Retrained,
    Unlearned,
)
from obliq.record.events import Closed, Received
from obliq.record.values import parse_day

REFUSED = ("REMEMBERED", "OVER-FORGOTTEN", "DAMAGED")
"""Verdicts with which a batch goes on only if somebody tolerates it."""


@dataclass
class Batch:
    """Requests that are answered together.

    Attributes:
        planned: what was planned.
        unlearned: the event of this step, once it is done; likewise the others.
        retrained: those of the references, by number.
        tolerated: what somebody tolerates, the failed gate or the verdict, with their reason.
        certified: the certificates of its cases, where they were issued.
        abandoned: why it was given up; empty where it was not.
    """

    planned: Planned
    unlearned: Unlearned | None = None
    retrained: dict[int, Retrained] = field(default_factory=dict)
    exported: Exported | None = None
    audited: Audited | None = None
    patched: Patched | None = None
    certified: Certified | None = None
    tolerated: dict[str, str] = field(default_factory=dict)
    abandoned: str = ""

    @property
    def number(self) -> int:
        """Its number from 1."""
        return self.planned.batch

    def certificate_of(self, case: str) -> IssuedCertificate | None:
        """The certificate of one of its cases; None where none was issued."""
        issued = self.certified.certificates if self.certified else ()
        return next((one for one in issued if one.case == case), None)

    @property
    def refusal(self) -> str:
        """Why it must not go on; empty where it may."""
        found = {}
        if self.unlearned and self.unlearned.failures:
            found["gate"] = f"the unlearned network failed its gate: {'; '.join(self.unlearned.failures)}"
        if self.audited and self.audited.verdict in REFUSED:
            found["audit"] = f"the audit found {self.audited.verdict}"
        return next((reason for step, reason in found.items() if step not in self.tolerated), "")

    @property
    def state(self) -> str:
        """The last step that is done."""
        if self.abandoned:
            return "abandoned"
        steps = (self.patched, self.audited, self.exported, self.unlearned, self.planned)
        return next(event.kind for event in steps if event is not None)


def lost_plan(number: int) -> Planned:
    """The plan of a batch whose entries are lost: of no case."""
    return Planned(batch=number, cases=(), splits="0" * 64, samples=0, method="unknown", settings={}, seed=0)


@dataclass
class Case:
    """One request.

    Attributes:
        received: the event with which it began.
        accepted: whether it fits the data and is within the limits.
        rejected: why not; empty where it was not rejected.
        approvals: who approved it.
        batch: the batch that answers it.
        closed: how it ended; None while it is open.
        closed_on: day on which it was closed.
    """

    received: Received
    accepted: bool = False
    rejected: str = ""
    approvals: list[str] = field(default_factory=list)
    batch: Batch | None = None
    closed: Closed | None = None
    closed_on: date | None = None

    @property
    def number(self) -> str:
        """Number of the case."""
        return self.received.case

    @property
    def due(self) -> date:
        """The day on which an answer is due: one month after the request arrived.

        Source: Article 12(3) GDPR; a month ends on the day with the same number, or on the last day of a shorter month
        (Regulation 1182/71, Article 3(2)(c)). It is not moved to the next working day.
        """
        came = parse_day("received", self.received.received)
        year, month = came.year + came.month // 12, came.month % 12 + 1
        return date(year, month, min(came.day, calendar.monthrange(year, month)[1]))

    def is_overdue(self, today: date) -> bool:
        """Whether the answer is late."""
        return (self.closed_on or today) > self.due
