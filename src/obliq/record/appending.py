"""Noting events while the lock of a log is held: the keys of the record learn each time how far the log has come."""

import contextlib
import sys
from pathlib import Path

from obliq.errors import ObliqError
from obliq.io.drafts import sweep
from obliq.record.events import Event
from obliq.record.keys_folder import Keys, KeysOwner, require_own_keys, require_owner
from obliq.record.log import Entry, LogWriter, writing
from obliq.record.state import RecordState
from obliq.run import utc_now


class Appending:
    """The lock of a log, with what the log states meanwhile; use as a context manager.

    Attributes:
        state: what the log amounts to.
    """

    state: RecordState

    @property
    def entries(self) -> list[Entry]:
        """Every entry of the log."""
        return self._log.entries

    def __init__(self, log: Path, keys: Keys, *, lost: bool = False) -> None:
        """Take the lock later, when the block begins.

        Args:
            log: the file.
            keys: the folder with the keys, which states how far the log has come.
            lost: whether the log may lack entries that its keys know.
        """
        self._keys, self._held, self._lost = keys, writing(log), lost

    def __enter__(self) -> "Appending":
        self._log: LogWriter = self._held.__enter__()
        try:
            self.state = RecordState.of(self._log.entries)
            if self._lost:
                require_owner(self._keys, self.state)
                self._is_bound = self._keys.folder.is_dir()
            else:
                self._is_bound = require_own_keys(self._keys, self._log.entries, self.state)
            if self._is_bound:
                sweep(self._keys.folder)  # a process that was killed while it noted an event leaves a draft
        except BaseException:
            self._held.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *given: object) -> None:
        self._held.__exit__(*given)  # type: ignore[arg-type]

    def append(self, actor: str, *events: Event) -> RecordState:
        """Note events, which are on the disk when this returns.

        Raises:
            RecordError: when one may not follow what the log states; nothing is noted then.
        """
        time = utc_now().isoformat()
        last = self._log.entries[-1]
        tried = RecordState.of(self._log.entries)
        for event in events:
            last = Entry.after(last, time, actor, event)
            tried.apply(last)
        self._log.append(time, actor, events)
        self.state = tried
        if self._is_bound:
            with contextlib.suppress(
                ObliqError
            ):  # the events are noted; keys that know less of the log refuse nothing
                self._keys.bind(
                    KeysOwner(record=tried.begun.record, head=tried.head, entries=len(self._log.entries))
                )
        return tried
