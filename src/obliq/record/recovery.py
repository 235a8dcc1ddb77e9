"""Going on with a log that lacks entries, after an older copy was restored and the newest one is lost.

Nobody who was forgotten is learned again: the fingerprints of every list of withheld samples that is found are kept,
also of lists that the log does not know. Lost batches keep their numbers, since devices may run their files and refuse
patches with a number that is not higher. What was requested in the lost entries must be noted again.
"""

from obliq.data import Partition
from obliq.errors import RecordError
from obliq.record.events import MOST_BATCHES, Recovered
from obliq.record.folder import Record
from obliq.record.keys_folder import keys_of, misfit
from obliq.record.present import Present
from obliq.record.state import RecordState
from obliq.record.tidying import tidy, withheld_file, write_withheld
from obliq.record.withheld import KEY_NAME, WITHHELD_DOCUMENT, Withheld, joined, sample_fingerprints


def recover(record: Record, actor: str, reason: str, parts: Partition) -> tuple[RecordState, int]:
    """Go on with a log that lacks entries.

    Args:
        record: the record.
        actor: who decides it.
        reason: why.
        parts: the data.

    Returns:
        What the record states then, and how many encrypted requests were removed because the log does not know them.

    Raises:
        RecordError: when nothing is lost, or a list of withheld samples cannot be read.
    """
    with record.appending(lost=True) as appending:
        state, present, owner = appending.state, Present.of(record), record.keys.owner()
        strange = record.keys.drawn() - keys_of(state)
        fits = owner is not None and not misfit(owner, appending.entries, state)
        if not present.beyond(state) and (fits or not (owner or strange or present.unnoted(state))):
            raise RecordError(
                "the log lacks nothing that is known; expected a record that other commands refuse"
            )
        salts = [int(name.removeprefix("batch-")) for name in strange if name.startswith("batch-")]
        batches = max([len(state.batches), *present.steps, *salts])
        if batches > MOST_BATCHES:
            raise RecordError(f"there is a batch {batches}; expected at most {MOST_BATCHES:,}")
        lost = [path for path in present.unnoted(state) if path in present.requests]
        event = Recovered(reason=reason, batches=batches, withheld=_joined_lists(record, state, parts))
        state = appending.append(actor, event)
        tidy(record, state)
        return state, len(lost)


def _joined_lists(record: Record, state: RecordState, parts: Partition) -> str | None:
    """One list of every sample that any list withholds; the digest of its file."""
    known = withheld_file(record, state)
    before = WITHHELD_DOCUMENT.read(known) if known else Withheld()
    found = [path for path in Present.of(record).unnoted(state) if path.suffix == ".json"]
    if not found:
        return state.withheld[-1] if state.withheld else None
    key = record.keys.read(KEY_NAME)
    mine = set(sample_fingerprints(parts.collection, parts.train.indices, key))
    after = before
    for path in found:
        after = joined(after, mine & set(WITHHELD_DOCUMENT.read(path).fingerprints))
    return write_withheld(record, after)
