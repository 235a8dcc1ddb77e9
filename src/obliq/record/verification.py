"""Does a record hold what its log states, and is the log the one that was written?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from obliq.checkpoints import load_checkpoint
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT
from obliq.errors import ObliqError
from obliq.io.ownership import digest_of_file
from obliq.quantization import weights_digest
from obliq.record.batch_steps import patch_name
from obliq.record.cases import Batch, Case
from obliq.record.certificate.make import summary_file
from obliq.record.encryption import can_decrypt
from obliq.record.folder import ORIGINAL, Record
from obliq.record.keys_folder import misfit
from obliq.record.log import LOG_FILE, Entry, is_unfinished
from obliq.record.present import Present
from obliq.record.requests import request_of
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
    present = Present.of(record)  # read before the log, which has an entry for everything that appears
    try:
        owner = record.keys.owner()
        entries = record.entries()
        state = RecordState.of(entries)
    except ObliqError as error:
        return Verification(entries=0, head="", problems=(str(error),), notes=())
    lacking = "" if owner is None else misfit(owner, entries, state)
    beyond = () if lacking else present.beyond(state)
    unnoted = present.unnoted(state)
    return Verification(
        entries=len(entries),
        head=state.head,
        problems=(
            *_of_head(entries, head),
            *([f"{record.keys.folder} {lacking}"] if lacking else []),
            *(f"{path} is beyond the log, which lacks entries or knows nothing of it" for path in beyond),
            *(f"{path} is in no entry of the log" for path in unnoted if owner is None or lacking),
            *_of_network(record.folder / ORIGINAL, state.begun.network, architecture),
            *_of_file(record.released(0), state.begun.released),
            *(problem for case in state.cases.values() for problem in _of_case(record, case, state)),
            *_of_withheld(record, state),
            *(problem for batch in state.batches for problem in _of_batch(record, batch, architecture)),
        ),
        notes=(
            *_unchecked(record, architecture),
            *_notes(record, state, head),
            *(
                f"{path} is in no entry; a killed process left it, and the next command removes it"
                for path in unnoted
                if owner and not lacking
            ),
        ),
    )


def _of_head(entries: list[Entry], head: str | None) -> Iterator[str]:
    if head is not None and head not in {entry.digest for entry in entries}:
        yield (
            f"the log has no entry {head[:12]}..., which was kept elsewhere: entries are missing at its end, or it was "
            "replaced"
        )


def _of_case(record: Record, case: Case, state: RecordState) -> Iterator[str]:
    received = case.received
    if received.encrypted is None:
        return
    file = record.encrypted(received.request)
    gone = case.closed and not file.exists()
    changed = [] if gone else list(_of_file(file, received.encrypted))
    yield from changed
    key = record.keys.file(received.request)
    if case.closed and key.exists():
        yield f"{key} still exists, although case {case.number} is closed; the next `obliq record close` destroys it"
    elif not case.closed and not key.exists():
        yield (
            f"{key} is missing, so that the request of case {case.number} cannot be read; pass --keys if the keys were "
            "moved, or note with `obliq record close --reason` that the key is lost"
        )
    elif not (case.closed or changed) and can_decrypt():
        try:
            request_of(record, case, state)
        except ObliqError as error:
            yield str(error)


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


def _notes(record: Record, state: RecordState, head: str | None) -> Iterator[str]:
    if head is None:
        yield (
            "no head was given (--head), so entries that are missing at the end are found only if the keys are newer; "
            "keep the head outside of this record"
        )
    for case in (one for one in state.cases.values() if one.closed):
        file = record.encrypted(case.received.request)
        if file.exists():
            yield f"{file} is still there, although case {case.number} is closed; the next command removes it"
    if is_unfinished(record.folder / LOG_FILE):
        yield "the log ends in an unfinished line: a process writes it now, or was killed before its event counted"
    if state.begun.policy.certificate_key and state.uncertified:
        numbers = ", ".join(str(batch.number) for batch in state.uncertified)
        yield f"no certificates were issued for batch {numbers}; `obliq record run` issues them with the key"
    if not record.keys.folder.is_dir():
        yield f"there are no keys in {record.keys.folder}, so that no request can be read here"
    elif not can_decrypt():
        yield "not checked: whether the keys fit the requests, since the extra `patch` is not installed"
    elif record.keys.owner() is None:
        yield (
            f"{record.keys.folder} does not state whose keys it holds, so that a log which was cut at its end is not "
            "found; the next command that notes something states it"
        )
