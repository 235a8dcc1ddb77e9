"""Certificates of a record: one for each case of a batch whose patches are made, whatever the verdict.

The cases of a batch share its result, so their certificates differ in the number of the case, the digest of its own
request and the day on which it arrived. Each states how many earlier requests the result answers, too. A batch that was
refused or given up ships nothing and gets none. Certificates are issued once: the folder with all of them appears when
it is complete, and a process that is killed before it notes them leaves that to the next one.
"""

import dataclasses
from datetime import datetime
from pathlib import Path

from obliq.errors import ObliqError, RecordError
from obliq.exporting import read_exported
from obliq.io.atomic import new_folder
from obliq.io.drafts import sweep
from obliq.io.keys import PrivateKey
from obliq.io.ownership import digest_of_file, require_written_by_us
from obliq.io.regular_file import read_regular_file
from obliq.io.utc import utc_text
from obliq.patch import encryption, read_patch_file
from obliq.record.batch_events import Audited, Certified, IssuedCertificate
from obliq.record.batch_steps import patch_name
from obliq.record.cases import Batch
from obliq.record.certificate.collect import collect_certificate
from obliq.record.certificate.envelope import LARGEST_ENVELOPE, parse_envelope
from obliq.record.certificate.make import read_private_key, sign_certificate, summary_file, write_certificate
from obliq.record.certificate.predicate import (
    CertifiedEarlierRequest,
    CertifiedPatch,
    NetworkDigests,
    Predicate,
    RecordHead,
)
from obliq.record.certificate.statement import Subject, parse_payload
from obliq.record.folder import CERTIFICATES, Record
from obliq.record.log import Entry
from obliq.record.state import RecordState
from obliq.workflow.pipeline import AUDIT


def signing_key(record: Record, file: Path | None, *, allow_others: bool = False) -> PrivateKey | None:
    """The key that signs certificates of a record.

    Args:
        record: whose rules may name a key by its fingerprint.
        file: the key; that of `obliq record init` when left out.
        allow_others: whether others may read the file.

    Returns:
        The key; None where the record issues no certificates.

    Raises:
        RecordError: when the key cannot be read, or is another than the rules name.
    """
    wanted, place = record.state().begun.policy.certificate_key, file or record.certificate_key
    if place is None:
        if wanted:
            raise RecordError(
                f"the file of the key {wanted[:12]}... that signs certificates is not known; expected "
                "--certificate-key FILE"
            )
        return None
    try:
        key = read_private_key(place, allow_others=allow_others)
    except ObliqError as error:
        raise RecordError(f"the key that signs certificates: {error}") from error
    if wanted and key.public.fingerprint != wanted:
        raise RecordError(
            f"{place} is the key {key.public.fingerprint[:12]}..., and certificates of this record are signed with "
            f"{wanted[:12]}...; expected that key"
        )
    return key


def issue_certificates(
    record: Record, key: PrivateKey | None, actor: str, architecture: str | None = None
) -> RecordState:
    """Issue what is due, oldest batch first; nothing where no key is given.

    Certificates that a killed process has written and not noted are noted as they are, also without a key.

    Args:
        record: while its lock is held.
        key: signs.
        actor: who issues them; each certificate names as operator who had the batch audited.
        architecture: see `obliq.checkpoints.load_checkpoint`.

    Raises:
        RecordError: when a file of the batch is not the one that the log states.
        CertificateError: when pieces do not belong together.
    """
    state = record.state()
    for batch in state.uncertified:
        sweep(record.batch(batch.number))
        folder = record.batch(batch.number) / CERTIFICATES
        if folder.exists():
            require_written_by_us(folder)
        elif key is None:
            continue
        else:
            predicate, subjects = _stated(record, state, batch, architecture)
            with new_folder(folder) as draft:
                for case in batch.planned.cases:
                    signed = sign_certificate(_for_case(predicate, state, case), subjects, [key])
                    write_certificate(signed, draft / record.certificate(batch, case).name)
        state = record.append(actor, _read(record, batch))
    return state


def _stated(
    record: Record, state: RecordState, batch: Batch, architecture: str | None
) -> tuple[Predicate, tuple[Subject, ...]]:
    """What the certificates of a batch share: every file of it is compared with the log first."""
    assert batch.exported is not None
    assert batch.audited is not None
    assert batch.patched is not None
    folder, shipped, first = record.batch(batch.number), record.released(batch.number), record.released(0)
    patches = {made.base: folder / "patches" / patch_name(made.base) for made in batch.patched.patches}
    noted = {first: state.begun.released, shipped: batch.exported.file}
    noted |= {folder / "audit" / AUDIT: batch.audited.audit}
    noted |= {patches[made.base]: made.file for made in batch.patched.patches}
    for file, digest in noted.items():
        if not file.is_file() or digest_of_file(file) != digest:
            raise RecordError(f"{file} is not the file that the log states; expected it unchanged")
    predicate, subjects = collect_certificate(
        folder / "audit", shipped, network=folder / "unlearned", architecture=architecture
    )
    base, entries = read_exported(first), record.entries()
    predicate = dataclasses.replace(
        predicate,
        base=NetworkDigests(weights=state.begun.network, content=base.content_digest, file=base.file_digest),
        patch=CertifiedPatch(
            digest=noted[patches[0]],
            sequence=batch.number,
            base=base.content_digest,
            result=batch.exported.content,
            encrypted=encryption.is_sealed(read_patch_file(patches[0])),
        ),
        times=dataclasses.replace(predicate.times, audited=_audited_at(entries, batch)),
        request=dataclasses.replace(predicate.request, joined=_joined(batch)),
        earlier=tuple(
            CertifiedEarlierRequest(
                digest=one.planned.splits,
                joined=_joined(one),
                method=one.planned.method,
                base=state.begun.network,
            )
            for one in state.batches[: batch.number - 1]
            if one.patched
        ),
        record=RecordHead(digest=entries[-1].digest, entries=len(entries)),
    )
    return predicate, (*subjects, *(Subject(file.name, {"sha256": noted[file]}) for file in patches.values()))


def _joined(batch: Batch) -> int | None:
    """How many requests a batch answered together; None for a single one."""
    return len(batch.planned.cases) if len(batch.planned.cases) > 1 else None


def _audited_at(entries: list[Entry], batch: Batch) -> str:
    """When a batch was audited, as the log states it."""
    time = next(
        entry.time
        for entry in entries
        if isinstance(entry.event, Audited) and entry.event.batch == batch.number
    )
    return utc_text(datetime.fromisoformat(time))


def _for_case(predicate: Predicate, state: RecordState, case: str) -> Predicate:
    """The same for one case; of the day on which its request arrived only the day is known, so the time is midnight."""
    received = state.case(case).received
    requested = f"{received.received}T00:00:00Z"
    request = predicate.request
    if request.joined:
        request = dataclasses.replace(request, own=received.digest)
    return dataclasses.replace(
        predicate,
        case=case,
        request=request,
        times=dataclasses.replace(predicate.times, requested=requested),
    )


def _read(record: Record, batch: Batch) -> Certified:
    """The event of certificates that were written."""
    files = {case: record.certificate(batch, case) for case in batch.planned.cases}
    envelopes = [parse_envelope(read_regular_file(file, LARGEST_ENVELOPE)) for file in files.values()]
    shipped = batch.exported.file if batch.exported else None
    for (case, file), envelope in zip(files.items(), envelopes, strict=True):
        predicate, _ = parse_payload(envelope.payload)
        if (predicate.case, predicate.result.file) != (case, shipped):
            raise RecordError(
                f"{file} is a certificate of something else; expected that of case {case} and its file, or no folder"
            )
    return Certified(
        batch=batch.number,
        key=envelopes[0].signatures[0].keyid,
        certificates=tuple(
            IssuedCertificate(
                case=case,
                file=digest_of_file(file),
                summary=digest_of_file(summary_file(file)) if summary_file(file).is_file() else None,
            )
            for case, file in files.items()
        ),
    )
