"""What a certificate states, collected from the folder of an audit and the files that ship."""

import platform
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from obliq.auditing import Audit, Measurement
from obliq.auditing.contradiction import contradiction
from obliq.auditing.document import AUDIT_DOCUMENT
from obliq.auditing.statistics import EVERY_STATISTIC
from obliq.checkpoints import Provenance
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT
from obliq.errors import CertificateError, ObliqError
from obliq.exporting import sha256_of
from obliq.io.document_text import LARGEST_DOCUMENT
from obliq.io.ownership import FILES_RECORD, read_files_record
from obliq.io.regular_file import read_regular_file
from obliq.io.utc import utc_text
from obliq.methods import used_access
from obliq.patch import encryption, read_patch_file, read_patch_head
from obliq.record.certificate.certified_audit import PUBLISHED, CertifiedAudit, CertifiedStatistic
from obliq.record.certificate.find_result import ShippedResult, find_result
from obliq.record.certificate.limits import standard_limits
from obliq.record.certificate.predicate import (
    CertificateTimes,
    CertifiedEarlierRequest,
    CertifiedMethod,
    CertifiedPatch,
    CertifiedRequest,
    NetworkDigests,
    Predicate,
    RecordHead,
)
from obliq.record.certificate.statement import Subject
from obliq.record.certificate.verify import sha256_of_file, subject_files
from obliq.run import utc_now
from obliq.workflow.last_audit import LAST_AUDIT_DOCUMENT, REFUSED, VERDICT_FILE
from obliq.workflow.pipeline import AUDIT

_SHARES = ("forget_accuracy", "class_accuracy")
"""Statistics that are shares of forgotten samples: fractions from which their number can be computed."""


def collect_certificate(
    audit_folder: Path,
    shipped: Path,
    *,
    patch: Path | None = None,
    patch_key: bytes | None = None,
    case: str = "",
    operator: str = "",
    count: bool = False,
    network: Path | None = None,
    architecture: str | None = None,
    requested: str | None = None,
    record: RecordHead | None = None,
    issued: datetime | None = None,
) -> tuple[Predicate, tuple[Subject, ...]]:
    """What a certificate states, and about which files; nothing is signed or written.

    Args:
        audit_folder: with audit.json.
        shipped: the exported file that devices run, or a folder of a saved network.
        patch: to it.
        patch_key: the 32 bytes that the patch was encrypted with.
        case: number of the case, where the audit has none.
        operator: who answers for it, where the audit names nobody.
        count: whether to state how many samples were to be forgotten.
        network: folder of the network that the file was exported from. Without it, folders next to the audit and to the
            file are searched for the digest of an audited network.
        architecture: see `obliq.checkpoints.load_checkpoint`.
        requested: when the request was received, as `obliq.io.utc.utc_text` writes it.
        record: the head of the operator's log.
        issued: the time; now when left out.

    Raises:
        CertificateError: when the audit did not judge what ships, or pieces do not belong together.
        ObliqError: when a file cannot be read.
    """
    data, audit = _read_audit(audit_folder)
    case, operator = _agreed("case", case, audit.case), _agreed("operator", operator, audit.operator)
    if missing := [name for name, text in {"case": case, "operator": operator}.items() if not text]:
        lacking = "; ".join(f"no {name} is given, and the audit states none" for name in missing)
        raise CertificateError(f"{lacking}; expected {' and '.join(f'--{name} TEXT' for name in missing)}")
    near = [network] if network else [audit_folder, audit_folder.parent, shipped.parent]
    result = find_result(audit, shipped, near, architecture)
    certified_patch = None if patch is None else _patch(patch, patch_key, result.digests)
    subjects = list(_subjects_of(shipped, result.digests.file))
    if patch is not None and certified_patch is not None:
        subjects.append(Subject(patch.name, {"sha256": certified_patch.digest}))
    verdict = result.entry.verdict
    assert verdict is not None  # every result of an audit has one
    if problem := next(filter(None, map(contradiction, audit.unlearned)), ""):
        raise CertificateError(
            f"{audit_folder / AUDIT}: {problem}; expected the audit as `obliq audit` wrote it"
        )
    predicate = Predicate(
        case=case,
        operator=operator,
        times=_times(result, requested, issued or utc_now()),
        base=NetworkDigests(
            weights=audit.original.weights_digest,
            content=audit.digests.get("content, original"),
            file=audit.digests.get("file, original"),
        ),
        result=result.digests,
        patch=certified_patch,
        method=_method(result.provenance),
        partition=audit.digests["partition"],
        request=CertifiedRequest(
            digest=audit.digests["splits"],
            count=audit.counts.forget if count else None,
            joined=_joined(() if result.provenance is None else result.provenance.parts),
        ),
        earlier=() if result.provenance is None else _earlier(result.provenance),
        audit=_audit(audit, sha256_of(data), result.entry, count=count),
        error_rates=PUBLISHED.get(verdict.references),
        versions=_versions(result.provenance),
        record=record,
        not_covered=standard_limits(),
    )
    return predicate, tuple(subjects)


def _read_audit(folder: Path) -> tuple[bytes, Audit]:
    file = folder / AUDIT
    try:
        data = read_regular_file(file, LARGEST_DOCUMENT)
        audit = AUDIT_DOCUMENT.from_text(data)
        if missing := [name for name in ("partition", "splits") if name not in audit.digests]:
            raise CertificateError(f"digests has no {missing[0]!r}; expected an audit of `obliq audit`")
        if (folder / FILES_RECORD).is_file() and read_files_record(folder).files.get(AUDIT) != sha256_of(
            data
        ):
            raise CertificateError(f"it is not what {FILES_RECORD} next to it records; expected it unchanged")
    except ObliqError as error:
        raise CertificateError(f"{file}: {error}") from error
    return data, audit


def _subjects_of(shipped: Path, file_digest: str | None) -> Iterator[Subject]:
    """The file that was read, by the digest of the very bytes; or the files that are the network in a folder."""
    name = shipped.resolve().name
    if file_digest is not None:
        yield Subject(name, {"sha256": file_digest})
        return
    for file in subject_files(shipped):
        yield Subject(f"{name}/{file.name}", {"sha256": sha256_of_file(file)})


def _agreed(name: str, given: str, audited: str) -> str:
    if given and audited and given != audited:
        raise CertificateError(
            f"--{name} is {given[:40]!r}, and the audit states {audited[:40]!r}; expected the same, or no --{name}"
        )
    return given or audited


def _times(result: ShippedResult, requested: str | None, issued: datetime) -> CertificateTimes:
    unlearned = audited = None
    if result.folder is not None:
        unlearned = NETWORK_DOCUMENT.read(result.folder / DOCUMENT_FILE).created
        last = LAST_AUDIT_DOCUMENT.read_if_present(result.folder / VERDICT_FILE)
        verdict = result.entry.verdict
        if last is not None and verdict is not None and last.digest == result.digests.weights:
            if last.verdict in REFUSED and last.verdict != verdict.word:
                raise CertificateError(
                    f"the last audit of {result.folder} found {last.verdict}, and the given one has {verdict.word}; "
                    "expected the last audit, or another one of the same network"
                )
            audited = last.audited if last.verdict == verdict.word else None
    return CertificateTimes(
        issued=utc_text(issued),
        requested=requested,
        unlearned=_in_utc(unlearned),
        audited=_in_utc(audited),
    )


def _in_utc(text: str | None) -> str | None:
    """A time of one of our files; None for one without a zone, which could be any hour."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if time.tzinfo is None else utc_text(time)


def _patch(file: Path, key: bytes | None, result: NetworkDigests) -> CertifiedPatch:
    try:
        data = read_patch_file(file)
        sealed = encryption.is_sealed(data)
        if sealed and key is None:
            raise CertificateError("it is encrypted; expected --patch-key FILE")
        head = read_patch_head(encryption.unseal(data, key) if sealed and key is not None else data)
        if head.result != (result.content or result.weights):
            raise CertificateError(
                f"it leads to {head.result[:12]}..., and what ships is {(result.content or result.weights or '')[:12]}"
                "...; expected the patch to what ships"
            )
    except ObliqError as error:
        raise CertificateError(f"{file}: {error}") from error
    return CertifiedPatch(
        digest=sha256_of(data), sequence=head.sequence, base=head.base, result=head.result, encrypted=sealed
    )


def _method(provenance: Provenance | None) -> CertifiedMethod | None:
    if provenance is None or provenance.method is None:
        return None
    settings = dict(provenance.method_fields or {})
    return CertifiedMethod(
        name=provenance.method,
        settings=settings,
        seed=provenance.seed,
        retain_data=used_access(provenance.method, settings) or "not recorded",
    )


def _earlier(provenance: Provenance) -> tuple[CertifiedEarlierRequest, ...]:
    return tuple(
        CertifiedEarlierRequest(
            digest=one.request, joined=_joined(one.parts), method=one.method, base=one.base_digest
        )
        for one in provenance.earlier
    )


def _joined(parts: Sequence[str]) -> int | None:
    return len(parts) if len(parts) > 1 else None


def _audit(audit: Audit, digest: str, entry: Measurement, *, count: bool) -> CertifiedAudit:
    verdict, artifact = entry.verdict, entry.artifact
    assert verdict is not None
    devices = [
        one.verdict.word
        for one in audit.devices
        if one.verdict and one.device and one.device.network == entry.name
    ]
    evidence = []
    for one in verdict.comparisons:
        statistic = EVERY_STATISTIC[one.name]
        if one.name in _SHARES and not count:
            continue
        low, high = (None if end is None else round(end, statistic.digits) for end in (one.low, one.high))
        evidence.append(
            CertifiedStatistic(
                statistic=one.name,
                words=statistic.words,
                value=round(one.value, statistic.digits),
                before=round(one.original, statistic.digits),
                low=low,
                high=high,
            )
        )
    return CertifiedAudit(
        digest=digest,
        measured="network" if artifact is None else "file",
        runtime=None if artifact is None else artifact.runtime,
        verdict=verdict.word,
        reason=verdict.reason if count else None,
        device_verdict=devices[0] if devices else None,
        retrained=verdict.references,
        candidates=len([one for one in audit.unlearned if not one.device]),
        evidence=tuple(evidence),
    )


def _versions(provenance: Provenance | None) -> dict[str, dict[str, str]]:
    unlearned = {} if provenance is None else {"unlearned": dict(provenance.versions)}
    issued = {
        "obliq": version("obliq"),
        "python": platform.python_version(),
        "cryptography": version("cryptography"),
    }
    return {**unlearned, "issued": issued}
