"""Whether a certificate is valid for a file: offline, from the certificate, the file and the signer's public key."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from obliq.argument_types import require_flags
from obliq.errors import CertificateError, ObliqError
from obliq.io.keys import LARGEST_KEY, PublicKey, parse_public_key
from obliq.io.regular_file import open_regular_file, read_regular_file
from obliq.record.certificate.envelope import parse_envelope, require_signatures
from obliq.record.certificate.page import LARGEST_PAGE, is_page, require_own_page
from obliq.record.certificate.predicate import Predicate
from obliq.record.certificate.statement import Subject, parse_payload

LARGEST_SUBJECT = 2**40
"""Bytes; a file is read in pieces."""
FOLDER_FILES = ("model.json", "model.safetensors")
"""The files that are the network, of a saved network that is certified as a folder."""


@final
@dataclass(frozen=True, kw_only=True)
class VerifiedCertificate:
    """What a valid certificate states.

    Attributes:
        predicate: what is stated.
        subjects: the files that it is about.
        checked: the names of those that were compared.
        signers: the keys that signed.
    """

    predicate: Predicate
    subjects: tuple[Subject, ...]
    checked: tuple[str, ...]
    signers: tuple[PublicKey, ...]

    @property
    def passes(self) -> bool:
        """Whether the verdict is INDISTINGUISHABLE. A certificate of another verdict is valid, too."""
        return self.predicate.passes


def verify_certificate(
    certificate: str | Path,
    files: str | Path | Sequence[str | Path],
    keys: bytes | str | Path | Sequence[bytes | str | Path],
    *,
    conformant: bool = False,
) -> VerifiedCertificate:
    """Check a certificate without a network connection, and without torch.

    Args:
        certificate: the file of `obliq certificate make`, or its page.
        files: what ships; each must be one that the certificate names by digest. A folder is a saved network.
        keys: public keys, as PEM or as the path of a PEM file; all of them must have signed. Get them from the signer
            by another channel than the certificate.
        conformant: accept all that the standards of DSSE and in-toto let a verifier accept: unknown fields, the other
            alphabet of base64, any keyid, and more signatures than keys.

    Returns:
        What it states. It is valid, whatever the verdict: look at `passes`.

    Raises:
        CertificateError: when it is not valid for these files and keys, or the extra `patch` is not installed.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq
        >>> valid = obliq.verify_certificate(
        ...     "case.cert.json", "unlearned.onnx", "public.pem"
        ... )  # doctest: +SKIP
        >>> valid.passes, valid.predicate.audit.verdict  # doctest: +SKIP
        (True, 'INDISTINGUISHABLE')
    """
    require_flags(conformant=conformant)
    path = Path(certificate)
    try:
        opened = tuple(_public_key(key) for key in _several(keys))
        text = read_regular_file(path, LARGEST_PAGE)
        if is_page(text):
            text = require_own_page(text)
        envelope = parse_envelope(text, strict=not conformant)
        require_signatures(envelope, opened, strict=not conformant)
        predicate, subjects = parse_payload(envelope.payload, strict=not conformant)
    except ObliqError as error:
        raise CertificateError(f"{path}: {error}") from error
    checked = [
        _subject_of(file, subjects, path)
        for given in _several(files)
        for file in subject_files(Path(str(given)))
    ]
    if not checked:
        raise CertificateError("no file was given; expected the file that ships")
    return VerifiedCertificate(predicate=predicate, subjects=subjects, checked=tuple(checked), signers=opened)


def subject_files(path: Path) -> list[Path]:
    """The files to compare: the file itself, or those that are the network in a folder of a saved network."""
    return [path / name for name in FOLDER_FILES] if path.is_dir() else [path]


def sha256_of_file(file: Path) -> str:
    """SHA-256 of a regular file that is not a link, read in pieces.

    Raises:
        CertificateError: naming the file that cannot be read.
    """
    try:
        with open_regular_file(file, LARGEST_SUBJECT) as (opened, _):
            digest = hashlib.sha256()
            while piece := opened.read(2**20):
                digest.update(piece)
            return digest.hexdigest()
    except ObliqError as error:
        raise CertificateError(f"{file}: {error}") from error


def _subject_of(file: Path, subjects: Sequence[Subject], certificate: Path) -> str:
    digest = sha256_of_file(file)
    found = next((one.name for one in subjects if one.sha256 == digest), None)
    if found is None:
        named = ", ".join(f"{one.name} ({one.sha256[:16]}...)" for one in subjects)
        raise CertificateError(
            f"{file} (sha256 {digest[:16]}...) is no file of {certificate}; expected {named}"
        )
    return found


def _public_key(key: object) -> PublicKey:
    if isinstance(key, bytes):
        return parse_public_key(key)
    file = Path(str(key))
    try:
        return parse_public_key(read_regular_file(file, LARGEST_KEY))
    except ObliqError as error:
        raise CertificateError(f"key {file}: {error}") from error


def _several(given: object) -> Sequence[object]:
    return given if isinstance(given, list | tuple) else [given]
