"""A certificate as a file: what it states is collected, signed, verified once, and written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from obliq.argument_types import require_flags
from obliq.errors import CertificateError, ObliqError
from obliq.io.atomic import refuse_existing_file, write_files
from obliq.io.keys import LARGEST_KEY, PrivateKey, parse_private_key
from obliq.io.regular_file import read_secret_file
from obliq.record.certificate.bill_of_materials import bill_of_materials
from obliq.record.certificate.envelope import parse_envelope, require_signatures, sign_payload
from obliq.record.certificate.model_signature import model_signing_key, require_signable, sign_shipped
from obliq.record.certificate.predicate import Predicate
from obliq.record.certificate.statement import Subject, certificate_payload, parse_payload, summary_payload
from obliq.record.certificate.verify import VerifiedCertificate


@final
@dataclass(frozen=True)
class SignedCertificate:
    """The texts of the files.

    Attributes:
        certificate: the envelope with everything that is stated.
        summary: the envelope with the Simple Verification Result; None where the verdict does not pass.
    """

    certificate: str
    summary: str | None


def sign_certificate(
    predicate: Predicate, subjects: Sequence[Subject], keys: Sequence[PrivateKey]
) -> SignedCertificate:
    """Sign what is stated about files, and read it back as a verifier does. Nothing is written.

    Raises:
        CertificateError: when it could not be verified.
    """
    envelope = sign_payload(certificate_payload(predicate, subjects), keys)
    text = envelope.to_text()
    read = parse_envelope(text.encode())
    require_signatures(read, [key.public for key in keys])
    if parse_payload(read.payload) != (predicate, tuple(subjects)):
        raise CertificateError("what was signed reads as something else; nothing is written")
    if not predicate.passes:
        return SignedCertificate(text, None)
    return SignedCertificate(text, sign_payload(summary_payload(predicate, subjects), keys).to_text())


def summary_file(certificate: Path) -> Path:
    """Where the summary for generic tools lies: next to the certificate."""
    return certificate.with_name(f"{certificate.name.removesuffix('.json')}.svr.json")


def write_certificate(
    signed: SignedCertificate,
    out: Path,
    further: Mapping[Path, str] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write the certificate, its summary if there is one, and what goes with them: all or none.

    Args:
        signed: the texts.
        out: file of the certificate.
        further: texts of other files.
        overwrite: whether files that exist may be replaced.

    Raises:
        CertificateError: when the summary of an earlier certificate would stay next to one that does not pass.
        ObliqError: when a file exists and may not be replaced, or the disk refuses.
    """
    summary = summary_file(out)
    if signed.summary is None and summary.exists():
        raise CertificateError(
            f"{summary} states that an earlier verdict passed, and this one does not; expected another --out, or "
            "remove that file"
        )
    texts: dict[Path, str | bytes] = {**(further or {}), out: signed.certificate}
    write_files(texts if signed.summary is None else {summary: signed.summary, **texts}, overwrite=overwrite)


def make_certificate(
    audit: str | Path,
    shipped: str | Path,
    out: str | Path,
    *,
    keys: PrivateKey | str | Path | Sequence[PrivateKey | str | Path],
    patch: str | Path | None = None,
    patch_key: bytes | None = None,
    case: str = "",
    operator: str = "",
    count: bool = False,
    network: str | Path | None = None,
    architecture: str | None = None,
    model_signature: str | Path | None = None,
    bom: str | Path | None = None,
    overwrite: bool = False,
) -> VerifiedCertificate:
    """Sign what was done and measured, for the files that ship.

    Where the verdict is INDISTINGUISHABLE, a summary for generic tools is written next to the certificate.

    Args:
        audit: folder of the audit, with audit.json.
        shipped: the exported file that devices run, or a folder of a saved network.
        out: new file for the certificate.
        keys: private keys that sign; a path is a PEM file that only its owner may read and write.
        patch: the patch that leads devices to `shipped`.
        patch_key: the 32 bytes that it was encrypted with, if it was.
        case: number under which the request is handled, where the audit does not state it.
        operator: who answers for the request, where the audit does not name anyone.
        count: whether to state how many samples were to be forgotten, which can identify a person.
        network: folder of the network that the file was exported from, where it is not next to the audit or the file.
        architecture: for a network of your own code: `module:function`.
        model_signature: new file for a signature of what ships, in the form of OpenSSF Model Signing; one of the keys
            must be ECDSA P-256.
        bom: new file for a bill of materials of what ships (CycloneDX 1.6).
        overwrite: whether files that exist may be replaced.

    Returns:
        What the certificate states.

    Raises:
        CertificateError: when the audit is not about what ships, or something is missing.
        ObliqError: when a file cannot be read or written, or the extra `patch` is not installed, and for an argument
            of another type.

    Example:
        >>> import obliq
        >>> made = obliq.make_certificate(
        ...     "runs/audit", "unlearned.onnx", "case.cert.json", keys="private.pem", case="DSR-1", operator="A. B."
        ... )  # doctest: +SKIP
    """
    require_flags(count=count, overwrite=overwrite)
    file = Path(out)
    beside = [Path(one) for one in (model_signature, bom) if one is not None]
    for one in (file, summary_file(file), *beside):
        refuse_existing_file(one, overwrite=overwrite)
    if len({one.absolute() for one in (file, summary_file(file), *beside)}) < 2 + len(beside):
        names = ", ".join(str(one) for one in (file, *beside))
        raise CertificateError(
            f"{names}: one file would be written twice; expected a file of its own for each"
        )
    if Path(shipped).resolve() in [one.resolve() for one in (file, *beside)]:
        raise CertificateError(f"{shipped} would be replaced; expected another file to write to")
    several = keys if isinstance(keys, list | tuple) else [keys]
    opened = [key if isinstance(key, PrivateKey) else read_private_key(Path(str(key))) for key in several]
    signing = None
    if model_signature is not None:
        signing, bundle = model_signing_key(opened), Path(model_signature)
        written = [file, summary_file(file), *beside]
        require_signable(Path(shipped), bundle, [one for one in written if one != bundle])
    from obliq.record.certificate.collect import collect_certificate  # imports torch

    predicate, subjects = collect_certificate(
        Path(audit),
        Path(shipped),
        patch=None if patch is None else Path(patch),
        patch_key=patch_key,
        case=case,
        operator=operator,
        count=count,
        network=None if network is None else Path(network),
        architecture=architecture,
    )
    signed = sign_certificate(predicate, subjects, opened)
    further: dict[Path, str] = {}
    patched = None if predicate.patch is None else predicate.patch.digest
    model = [
        one for one in subjects if one.sha256 != patched
    ]  # a patch may have the name of the file that ships
    if model_signature is not None and signing is not None:
        signature = Path(model_signature)
        further[signature] = sign_shipped(Path(shipped), model, signing, signature)
    if bom is not None:
        further[Path(bom)] = bill_of_materials(predicate, Path(shipped), model, file.name, signed.certificate)
    write_certificate(signed, file, further, overwrite=overwrite)
    return VerifiedCertificate(
        predicate=predicate,
        subjects=subjects,
        checked=tuple(one.name for one in subjects),
        signers=tuple(key.public for key in opened),
    )


def read_private_key(file: Path, *, allow_others: bool = False) -> PrivateKey:
    """The key in a PEM file that only its owner may read and write.

    Raises:
        CertificateError: naming the file.
    """
    try:
        return parse_private_key(read_secret_file(file, LARGEST_KEY, allow_others=allow_others))
    except ObliqError as error:
        raise CertificateError(f"{file}: {error}") from error
