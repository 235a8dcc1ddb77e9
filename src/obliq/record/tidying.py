"""What a killed process leaves of a record, and what is no longer needed: found by the log, and removed."""

import contextlib
import hashlib
from pathlib import Path

from obliq.errors import RecordError
from obliq.io.atomic import write_file
from obliq.io.drafts import remove_tree, sweep
from obliq.io.ownership import digest_of_file
from obliq.record.folder import TRAININGS, WITHHELD, Record
from obliq.record.present import require_nothing_beyond
from obliq.record.state import RecordState
from obliq.record.withheld import WITHHELD_DOCUMENT, Withheld, withheld_name


def tidy(record: Record, state: RecordState) -> None:
    """Remove what a killed process left, while the lock of the log is held.

    That is: unfinished files, keys and encrypted requests of cases that were never noted or are closed, salts of
    batches that are over, unfinished trainings of batches that were given up or patched, and older lists of withheld
    samples. A key goes before the request that it encrypts, since its end makes every copy unreadable. Nothing is
    removed without the keys of the record, which show that the log is not an older one: what it does not know could be
    evidence of lost entries.

    Raises:
        RecordError: when a key cannot be destroyed, or the log lacks entries.
    """
    require_nothing_beyond(record, state)
    if record.keys.owner() is None:
        return
    for folder in (record.encrypted("").parent, record.folder / WITHHELD, record.keys.folder):
        sweep(folder)
    open_requests = {case.received.request for case in state.cases.values() if not case.closed}
    open_batches = {
        f"batch-{batch.number}"
        for batch in state.batches
        if not batch.abandoned and not all(state.cases[number].closed for number in batch.planned.cases)
    }
    for name in record.keys.drawn() - open_requests - open_batches:
        record.keys.destroy(name)
    for file in record.encrypted("").parent.glob("*.encrypted"):
        if file.stem not in open_requests:
            with contextlib.suppress(OSError):  # nobody can read it any more; the next command tries again
                file.unlink(missing_ok=True)
    for batch in state.batches:
        if batch.abandoned or batch.patched:
            remove_tree(record.batch(batch.number) / TRAININGS)
    current = withheld_file(record, state)
    for file in (record.folder / WITHHELD).glob("*.json"):
        if file != current:
            file.unlink(missing_ok=True)


def withheld_file(record: Record, state: RecordState) -> Path | None:
    """The file with the fingerprints of closed cases, after its digest was checked; None while there is none.

    Raises:
        RecordError: when it is not the file that the log states.
    """
    if not state.withheld:
        return None
    digest = state.withheld[-1]
    file = record.folder / WITHHELD / withheld_name(digest)
    if not file.is_file() or digest_of_file(file) != digest:
        raise RecordError(f"{file} is not the file that the log states; expected it unchanged")
    return file


def write_withheld(record: Record, withheld: Withheld) -> str:
    """Write a list of withheld samples, which holds once it is noted; its SHA-256."""
    text = WITHHELD_DOCUMENT.to_text(withheld)
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_file(record.folder / WITHHELD / withheld_name(digest), text, overwrite=True, private=True)
    return digest
