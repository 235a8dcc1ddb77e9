"""What a killed process leaves of a record, and what is no longer needed: found by the log, and removed."""

from pathlib import Path

from obliq.errors import RecordError
from obliq.io.drafts import remove_tree, sweep
from obliq.io.ownership import digest_of_file
from obliq.record.cases import Case
from obliq.record.encryption import FLEET_KEY
from obliq.record.folder import TRAININGS, WITHHELD, Record
from obliq.record.state import RecordState
from obliq.record.withheld import KEY_NAME


def tidy(record: Record, state: RecordState) -> None:
    """Remove what a killed process left, while the lock of the log is held.

    That is: unfinished files, keys and encrypted requests of cases that were never noted, keys of closed cases, salts
    of batches that are over, unfinished trainings of batches that were given up or patched, and older lists of withheld
    samples.

    Raises:
        RecordError: when a key cannot be destroyed.
    """
    for folder in (record.encrypted("").parent, record.folder / WITHHELD, record.keys.folder):
        sweep(folder)
    open_requests = {case.received.request for case in state.cases.values() if not case.closed}
    noted = {case.received.request for case in state.cases.values()}
    open_batches = {
        f"batch-{batch.number}"
        for batch in state.batches
        if not batch.abandoned and not all(state.cases[number].closed for number in batch.planned.cases)
    }
    for name in record.keys.names() - open_requests - open_batches - {KEY_NAME, FLEET_KEY}:
        record.keys.destroy(name)
    for file in record.encrypted("").parent.glob("*.encrypted"):
        if file.stem not in noted:
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
    digest = next((one.closed.withheld for one in reversed(_by_closing(state)) if one.closed), None)
    if digest is None:
        return None
    file = record.folder / WITHHELD / f"{digest[:16]}.json"
    if not file.is_file() or digest_of_file(file) != digest:
        raise RecordError(f"{file} is not the file that the log states; expected it unchanged")
    return file


def _by_closing(state: RecordState) -> list[Case]:
    return sorted((case for case in state.cases.values() if case.closed), key=lambda case: case.closed_as)
