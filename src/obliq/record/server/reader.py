"""What a record states, for many readers at once: its log is read again only when it has grown."""

import threading
from dataclasses import dataclass

from obliq.record.events import Event
from obliq.record.folder import Record
from obliq.record.log import LOG_FILE, Entry
from obliq.record.state import RecordState


@dataclass(frozen=True)
class Snapshot:
    """A record at one moment; nobody may change it.

    Attributes:
        entries: every entry of the log.
        state: what they amount to.
    """

    entries: list[Entry]
    state: RecordState

    def entries_of(self, case: str) -> list[Entry]:
        """The entries about a case, about the batches that it was or is part of, and what devices confirmed of them."""
        batches = {batch.number for batch in self.state.batches if case in batch.planned.cases}
        return [
            entry
            for entry in self.entries
            if getattr(entry.event, "case", None) == case
            or getattr(entry.event, "batch", None) in batches
            or (batches and getattr(entry.event, "floor", 0) >= max(batches))
        ]


class RecordReader:
    """Reads the log of a record when it has changed.

    Args:
        record: the record.
    """

    def __init__(self, record: Record) -> None:
        self._record, self._lock = record, threading.Lock()
        self._read_at: tuple[int, int, int] | None = None
        self._snapshot: Snapshot | None = None

    def read(self) -> Snapshot:
        """The record as it is now.

        Raises:
            RecordError: when its log cannot be read, or was changed.
        """
        with self._lock:
            status = (self._record.folder / LOG_FILE).stat()
            now = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._snapshot is None or now != self._read_at:
                entries = self._record.entries()
                self._snapshot, self._read_at = Snapshot(entries, RecordState.of(entries)), now
            return self._snapshot


EVENT_WORDS = {
    "begun": "The record was created",
    "received": "Request received",
    "accepted": "It fits the data and is within the limits",
    "rejected": "Rejected",
    "approved": "Approved",
    "planned": "Batch {batch} planned",
    "unlearned": "Network unlearned",
    "retrained": "Reference {number} retrained",
    "exported": "File for devices exported",
    "audited": "Audited: {verdict}",
    "patched": "Patches made",
    "certified": "Certificates signed for batch {batch}",
    "tolerated": "Batch {batch} goes on although it was refused",
    "abandoned": "Batch {batch} given up",
    "confirmed": "{devices} devices confirmed batch {floor}",
    "closed": "Closed: {outcome}",
    "recovered": "Went on although entries of the log are lost",
}


def event_words(event: Event) -> str:
    """An event in words, with the reason that somebody gave."""
    words = EVENT_WORDS.get(event.kind, event.kind).format(**vars(event))
    reason = getattr(event, "reason", "") or "; ".join(getattr(event, "failures", ()))
    return f"{words}: {reason}" if reason else words


def steps_of(state: RecordState, number: int) -> list[tuple[str, bool]]:
    """The steps of a batch in words, and whether each is done."""
    batch, policy = state.batch(number), state.begun.policy
    references = [
        (f"Retrain reference {one} of {policy.references}", one in batch.retrained)
        for one in range(1, policy.references + 1)
    ]
    devices = f"{state.confirmed(number):,}" + (f" of {policy.devices:,}" if policy.devices else "")
    confirmed = state.confirmed(number) >= max(1, policy.devices)
    return [
        ("Plan", True),
        ("Unlearn", batch.unlearned is not None),
        *references,
        ("Export the file for devices", batch.exported is not None),
        ("Audit network and file", batch.audited is not None),
        ("Make patches", batch.patched is not None),
        (f"Devices confirm: {devices}", confirmed),
    ]
