"""The log of a record: a file of JSON lines that only grows, each line chained to the one before by its digest.

A line is on the disk before `append` returns. A process that is killed while it writes leaves at most a last line
without its line feed: that event was never acknowledged, readers leave it out, and the next writer removes it.

Source of the chain: each line holds the SHA-256 of the line before (`previous`) and of its own other fields
(`digest`), so an edited, removed, repeated or moved line is found. The chain has no key: anyone who can write the
file can write another chain. A digest of the last line that is kept elsewhere (the head) shows that, and shows that
lines are missing at the end.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obliq.errors import ObliqError, RecordError
from obliq.io.durable import sync
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import decode, encode, parse_json
from obliq.record.batch_events import EVENTS
from obliq.record.events import Event
from obliq.record.lookalikes import require_one_alphabet
from obliq.record.values import require_text

LOG_FILE, LOCK_FILE = "log.jsonl", ".log-lock"
LARGEST_LOG = 2**28  # bytes; some 500,000 events
NOTHING = "0" * 64
"""What the first line states as the digest of the line before."""
PATIENCE = 30.0
"""Seconds to wait for another process that writes; it holds the lock for milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a log.

    Attributes:
        number: from 1.
        time: in UTC and ISO 8601.
        actor: who did it, as they gave their name; nobody checks it.
        event: what was done.
        previous: digest of the entry before.
        digest: SHA-256 of the other fields.
    """

    number: int
    time: str
    actor: str
    event: Event
    previous: str
    digest: str

    @classmethod
    def after(cls, last: "Entry | None", time: str, actor: str, event: Event) -> "Entry":
        """The entry of an event that follows another one."""
        require_text(name=actor)
        require_one_alphabet(name=actor)
        number, previous = (last.number + 1, last.digest) if last else (1, NOTHING)
        entry = cls(number=number, time=time, actor=actor, event=event, previous=previous, digest="")
        return cls(**{**vars(entry), "digest": entry.computed_digest()})

    def computed_digest(self) -> str:
        """The digest that belongs to the other fields."""
        return hashlib.sha256(_text(self._values())).hexdigest()

    def values(self) -> dict[str, Any]:
        """The entry as one JSON object, as the line holds it."""
        return {**self._values(), "digest": self.digest}

    def line(self) -> bytes:
        """The line of the log, with its line feed."""
        return _text(self.values()) + b"\n"

    def _values(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "time": self.time,
            "actor": self.actor,
            "event": self.event.kind,
            "facts": encode(self.event),
            "previous": self.previous,
        }


def _text(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def read_log(file: Path) -> list[Entry]:
    """Every entry, after the chain was checked.

    Raises:
        RecordError: naming the line that is not as it should be.
    """
    try:
        content = read_regular_file(file, LARGEST_LOG)
    except ObliqError as error:
        raise RecordError(f"{file}: {error}") from error
    entries: list[Entry] = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            entry = _parse(line)
            _require_next(entry, line, number, entries[-1] if entries else None)
        except ObliqError as error:
            raise RecordError(f"{file}, line {number}: {error}") from error
        entries.append(entry)
    return entries


def is_unfinished(file: Path) -> bool:
    """Whether a log ends in a line without its line feed, which no reader counts."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - 1))
        return opened.read(1) not in (b"", b"\n")


def _parse(line: bytes) -> Entry:
    values = parse_json(line)
    name, facts = values.get("event"), values.get("facts")
    if not isinstance(name, str) or name not in EVENTS:
        raise RecordError(f"event {str(name)[:40]!r}; expected one of {', '.join(EVENTS)}")
    plain = decode(_Line, values, "the entry")
    event: Event = decode(EVENTS[name], facts, "facts")
    return Entry(
        number=plain.number,
        time=plain.time,
        actor=plain.actor,
        event=event,
        previous=plain.previous,
        digest=plain.digest,
    )


@dataclass(frozen=True, kw_only=True)
class _Line:
    number: int
    time: str
    actor: str
    event: str
    facts: Any
    previous: str
    digest: str


def _require_next(entry: Entry, line: bytes, number: int, last: Entry | None) -> None:
    if entry.number != number:
        raise RecordError(
            f"entry {entry.number} stands here; expected {number}. Lines were removed, added or moved"
        )
    if entry.previous != (last.digest if last else NOTHING):
        raise RecordError("it does not continue the line before; expected the line that was written after it")
    if entry.digest != entry.computed_digest() or line + b"\n" != entry.line():
        raise RecordError("it was changed: its content does not have the digest that it states")


@contextlib.contextmanager
def writing(file: Path) -> Iterator["LogWriter"]:
    """Hold the lock of a log, which the system releases when the process ends, however it ends.

    Yields:
        What appends entries.

    Raises:
        RecordError: when another process holds it for too long, or the log cannot be read.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(file.with_name(LOCK_FILE)).acquire(timeout=PATIENCE):
            yield LogWriter(file)
    except Timeout as error:
        raise RecordError(
            f"{file} is being written by another process; expected it to end within {PATIENCE:.0f} s"
        ) from error


class LogWriter:
    """Appends to a log while its lock is held.

    Attributes:
        entries: everything that the log holds.
    """

    def __init__(self, file: Path) -> None:
        self.entries = read_log(file) if file.exists() or file.is_symlink() else []
        self._file = file

    def append(self, time: str, actor: str, events: Sequence[Event]) -> list[Entry]:
        """Append events, on the disk when this returns.

        Raises:
            RecordError: when the disk refuses; nothing is acknowledged then.
        """
        added: list[Entry] = []
        last = self.entries[-1] if self.entries else None
        for event in events:
            last = Entry.after(last, time, actor, event)
            added.append(last)
        complete = sum(len(entry.line()) for entry in self.entries)
        is_new = not self._file.exists()
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            with os.fdopen(descriptor, "wb") as opened:
                opened.truncate(complete)  # removes a line that a killed process began
                opened.seek(complete)
                opened.write(b"".join(entry.line() for entry in added))
                opened.flush()
                os.fsync(descriptor)
            if is_new:
                sync(self._file.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self._file, complete)  # what was not acknowledged must not appear later
            raise RecordError(f"cannot write {self._file}: {error.strerror or error}") from error
        self.entries += added
        return added
