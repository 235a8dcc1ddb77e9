"""What lies in the folder of a record, next to what its log knows: more is a sign that entries were lost."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from obliq.errors import RecordError
from obliq.record.cases import Batch
from obliq.record.folder import BATCHES, REQUESTS, WITHHELD, Record
from obliq.record.state import RecordState
from obliq.record.withheld import withheld_name


@dataclass(frozen=True)
class Present:
    """Files and folders of a record.

    Attributes:
        requests: encrypted requests.
        withheld: lists of withheld samples.
        steps: by the number of a batch, what lies in its folder.
        folder: of the record.
    """

    requests: tuple[Path, ...]
    withheld: tuple[Path, ...]
    steps: dict[int, frozenset[str]]
    folder: Path

    @classmethod
    def of(cls, record: Record) -> "Present":
        """What is there now."""
        batches = record.folder / BATCHES
        numbered = [path for path in _in(batches) if path.name.isdecimal() and path.name.isascii()]
        return cls(
            requests=tuple(path for path in _in(record.folder / REQUESTS) if path.suffix == ".encrypted"),
            withheld=tuple(path for path in _in(record.folder / WITHHELD) if path.suffix == ".json"),
            steps={int(path.name): frozenset(one.name for one in _in(path)) for path in numbered},
            folder=record.folder,
        )

    def beyond(self, state: RecordState) -> tuple[Path, ...]:
        """Batches and steps that no process could have begun after this log: entries are missing at its end."""
        batches = self.folder / BATCHES
        found = [batches / str(number) for number in sorted(self.steps) if number > len(state.batches)]
        for batch in (one for one in state.batches if not one.abandoned):
            steps = _steps(batch, state.begun.policy.references)
            missing = [name for name, done in steps if not done]
            late = self.steps.get(batch.number, frozenset()) & set(missing[1:])
            found += [batches / str(batch.number) / name for name in missing if name in late]
        return tuple(found)

    def unnoted(self, state: RecordState) -> tuple[Path, ...]:
        """Requests and lists of withheld samples that the log does not know; a killed process leaves them, too."""
        known = {f"{case.received.request}.encrypted" for case in state.cases.values()}
        known |= {withheld_name(digest) for digest in state.withheld}
        return tuple(path for path in (*self.requests, *self.withheld) if path.name not in known)


def require_nothing_beyond(record: Record, state: RecordState) -> None:
    """Refuse to go on with a log that lacks entries, since their results would be taken for those of others.

    Raises:
        RecordError: naming the first result that the log does not know.
    """
    if found := Present.of(record).beyond(state):
        raise RecordError(
            f"{found[0]} is beyond the log: entries are missing at its end, or it was restored from an older copy. "
            "Expected the newest log; if it is lost, `obliq record recover` goes on from this one"
        )


def _steps(batch: Batch, references: int) -> list[tuple[str, bool]]:
    """The folders of a batch in the order in which they appear, and whether the log knows each."""
    retrained = [(f"retrained-{number}", number in batch.retrained) for number in range(1, references + 1)]
    return [
        ("unlearned", batch.unlearned is not None),
        *retrained,
        ("exported", batch.exported is not None),
        ("audit", batch.audited is not None),
        ("patches", batch.patched is not None),
    ]


def _in(folder: Path) -> Iterable[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
