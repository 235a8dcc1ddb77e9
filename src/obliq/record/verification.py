"""Does a record hold what its log states, and is the log the one that was written?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from obliq.checkpoints import load_checkpoint
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT
from obliq.errors import ObliqError
from obliq.io.ownership import digest_of_file
from obliq.io.regular_file import size_of
from obliq.quantization import weights_digest
from obliq.record.cases import Batch, Case
from obliq.record.certificate.make import summary_file
from obliq.record.folder import ORIGINAL, REQUESTS, Record
from obliq.record.jobs import patch_name
from obliq.record.log import LOG_FILE, Entry
from obliq.record.state import RecordState
from obliq.record.tidying import withheld_file
from obliq.workflow.pipeline import AUDIT


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found.

    Attributes:
        entries: events in the log; 0 where it cannot be read.
        head: digest of the last one; empty likewise.
        problems: what is not as the log states it, in words; none for a record that is whole.
        notes: what is worth knowing and no problem.
    """

    entries: int
    head: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def verify_record(record: Record, head: str | None = None, architecture: str | None = None) -> Verification:
    """Check the chain of the log, every file that the log names, and which keys are there.

    Args:
        record: the record.
        head: digest of a last entry that was kept elsewhere, which the log must still hold. Without it, entries that
            are missing at the end are not found.
        architecture: see `obliq.checkpoints.load_checkpoint`.
    """
    try:
        entries = record.entries()
        state = RecordState.of(entries)
    except ObliqError as error:
        return Verification(entries=0, head="", problems=(str(error),), notes=())
    return Verification(
        entries=len(entries),
        head=state.head,
        problems=(
            *_of_head(entries, head),
            *_of_network(record.folder / ORIGINAL, state.begun.network, architecture),
            *_of_file(record.released(0), state.begun.released),
            *(problem for case in state.cases.values() for problem in _of_case(record, case)),
            *_of_withheld(record, state),
            *(problem for batch in state.batches for problem in _of_batch(record, batch, architecture)),
        ),
        notes=(*_unchecked(record, architecture), *_notes(record, state, entries, head)),
    )


def _of_head(entries: list[Entry], head: str | None) -> Iterator[str]:
    if head is not None and head not in {entry.digest for entry in entries}:
        yield (
            f"the log has no entry {head[:12]}..., which was kept elsewhere: entries are missing at its end, or it was "
            "replaced"
        )


def _of_case(record: Record, case: Case) -> Iterator[str]:
    received = case.received
    if received.encrypted is None:
        return
    yield from _of_file(record.encrypted(received.request), received.encrypted)
    key = record.keys.file(received.request)
    if case.closed and key.exists():
        yield f"{key} still exists, although case {case.number} is closed; the next `obliq record close` destroys it"
    if not case.closed and record.keys.folder.is_dir() and not key.exists():
        yield f"{key} is missing, so that the request of case {case.number} cannot be read"


def _of_withheld(record: Record, state: RecordState) -> Iterator[str]:
    try:
        withheld_file(record, state)
    except ObliqError as error:
        yield str(error)


def _of_batch(record: Record, batch: Batch, architecture: str | None) -> Iterator[str]:
    folder = record.batch(batch.number)
    if batch.unlearned:
        yield from _of_network(folder / "unlearned", batch.unlearned.network, architecture)
    for number, event in batch.retrained.items():
        yield from _of_network(folder / f"retrained-{number}", event.network, architecture)
    if batch.exported:
        yield from _of_file(record.released(batch.number), batch.exported.file)
    if batch.audited:
        yield from _of_file(folder / "audit" / AUDIT, batch.audited.audit)
    if batch.patched:
        for made in batch.patched.patches:
            yield from _of_file(folder / "patches" / patch_name(made.base), made.file)
    for issued in batch.certified.certificates if batch.certified else ():
        file = record.certificate(batch, issued.case)
        yield from _of_file(file, issued.file)
        if issued.summary is not None:
            yield from _of_file(summary_file(file), issued.summary)


def _of_file(file: Path, digest: str) -> Iterator[str]:
    if file.is_symlink() or not file.is_file():
        yield f"{file} is missing"
    elif digest_of_file(file) != digest:
        yield f"{file} is not the file that the log states (SHA-256 {digest[:12]}...)"


def _of_network(folder: Path, digest: str, architecture: str | None) -> Iterator[str]:
    try:
        document = NETWORK_DOCUMENT.read(folder / DOCUMENT_FILE)
        if document.blueprint.is_user_code and architecture is None:
            if document.weights_digest != digest:
                yield f"{folder} holds another network than the log states ({digest[:12]}...)"
            return
        if weights_digest(load_checkpoint(folder, architecture).model) != digest:
            yield f"{folder} holds another network than the log states ({digest[:12]}...)"
    except ObliqError as error:
        yield str(error)


def _unchecked(record: Record, architecture: str | None) -> Iterator[str]:
    """Networks of the user's own code are rebuilt only by code that the caller names."""
    try:
        blueprint = record.blueprint()
    except ObliqError:  # a problem, which is named as such
        return
    if blueprint.is_user_code and architecture is None:
        yield (
            "not checked: whether the weights of the networks have their digests, since code of your own builds them; "
            f"pass --arch {blueprint.architecture} if you trust it"
        )


def _notes(record: Record, state: RecordState, entries: list[Entry], head: str | None) -> Iterator[str]:
    if head is None:
        yield (
            "no head was given (--head), so entries that are missing at the end would not be found; keep the head "
            "outside of this record"
        )
    unfinished = size_of(record.folder / LOG_FILE) - sum(len(entry.line()) for entry in entries)
    if unfinished > 0:
        yield "the log ends in an unfinished line of a process that was killed; its event was never acknowledged"
    known = {f"{case.received.request}.encrypted" for case in state.cases.values()}
    foreign = [file.name for file in (record.folder / REQUESTS).glob("*.encrypted") if file.name not in known]
    if foreign:
        yield f"{len(foreign)} encrypted files belong to no case; the next `obliq record add` removes them"
    if state.begun.policy.certificate_key and state.uncertified:
        numbers = ", ".join(str(batch.number) for batch in state.uncertified)
        yield f"no certificates were issued for batch {numbers}; `obliq record run` issues them with the key"
    if not record.keys.folder.is_dir():
        yield f"there are no keys in {record.keys.folder}, so that no request can be read here"
