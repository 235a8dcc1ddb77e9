"""Whether a signature of OpenSSF Model Signing is valid for files; see `model_signature`, which signs."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from obliq.errors import CertificateError, ObliqError
from obliq.io.keys import LARGEST_KEY, cryptographic
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import in_message, parse_json, render_json
from obliq.record.certificate.envelope import (
    LARGEST_ENVELOPE,
    Envelope,
    encode_before_signing,
    parse_envelope,
)
from obliq.record.certificate.statement import STATEMENT_TYPE
from obliq.record.certificate.verify import sha256_of_file

PREDICATE_TYPE = "https://model_signing/signature/v1.0"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
LARGEST_BUNDLE = 2 * LARGEST_ENVELOPE
IGNORED = (".git", ".gitattributes", ".github", ".gitignore")
"""Left out by every signer, at the root of a folder."""
_WANTED = "expected a signature of OpenSSF Model Signing; a certificate is checked without --model-signature"
_HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}


@final
@dataclass(frozen=True, kw_only=True)
class VerifiedModel:
    """What a valid signature covers.

    Attributes:
        files: the paths of the signed files within the model.
        left_out: paths that are there and that the signature does not cover, so that they may hold anything.
    """

    files: tuple[str, ...]
    left_out: tuple[str, ...]


def is_model_signature(file: Path) -> bool:
    """Whether a file is meant as a Sigstore bundle, for messages alone: what is checked must not depend on the file."""
    try:
        values = parse_json(read_regular_file(file, LARGEST_BUNDLE))
        return isinstance(values, dict) and "verificationMaterial" in values
    except ObliqError:
        return False


def verify_model_file(signature: Path, model: Path, public_key: Path) -> VerifiedModel:
    """The same as `verify_model`, with files of signature and key.

    Raises:
        CertificateError: naming the file of the signature.
    """
    try:
        key = read_regular_file(public_key, LARGEST_KEY)
        return verify_model(read_regular_file(signature, LARGEST_BUNDLE), model, key, exclude=signature)
    except ObliqError as error:
        raise CertificateError(f"{signature}: {error}") from error


def verify_model(
    bundle: bytes, model: Path, public_key: bytes, *, exclude: Path | None = None
) -> VerifiedModel:
    """Check that files are those that were signed, all of them and no others but those that the signer left out.

    Args:
        bundle: the text of the signature.
        model: a file, or a folder.
        public_key: of the signer, as PEM: an elliptic curve key on P-256, P-384 or P-521.
        exclude: the file of the signature, which may lie in the folder.

    Returns:
        The files, and what is there besides them.

    Raises:
        CertificateError: when the signature is not valid for these files and this key.
    """
    envelope = _envelope_of(bundle, public_key)
    resources, ignored = _signed_files(envelope.payload)
    left_out: list[str] = []
    found = dict(_files_of(model, {*IGNORED, *ignored}, exclude, left_out))
    if set(resources) == {"."}:  # as signers before 1.1 called a single file
        found = {
            "." if path == model.name and not model.is_dir() else path: file for path, file in found.items()
        }
    if problems := sorted(set(resources) - set(found)):
        raise CertificateError(f"{problems[0]} is signed and not there; expected every signed file")
    if problems := sorted(set(found) - set(resources)):
        raise CertificateError(f"{problems[0]} is there and not signed; expected signed files alone")
    for path, digest in resources.items():
        if (is_ := sha256_of_file(found[path])) != digest:
            raise CertificateError(
                f"{path} has sha256 {is_[:16]}..., and {digest[:16]}... was signed; expected the file as it was signed"
            )
    return VerifiedModel(files=tuple(resources), left_out=tuple(sorted(left_out)))


def root_digest(files: Mapping[str, str]) -> str:
    """SHA-256 over the digests, in the order of the paths."""
    try:
        return hashlib.sha256(b"".join(bytes.fromhex(files[path]) for path in sorted(files))).hexdigest()
    except ValueError as error:
        raise CertificateError("a digest is no hexadecimal number; expected SHA-256") from error


def _envelope_of(bundle: bytes, public_key: bytes) -> Envelope:
    """The envelope in a bundle, with a valid signature."""
    if len(bundle) > LARGEST_BUNDLE:
        raise CertificateError(f"{len(bundle)} bytes; expected at most {LARGEST_BUNDLE}")
    try:
        values = parse_json(bundle)
    except ObliqError as error:
        raise CertificateError(f"{error}; {_WANTED}") from error
    if not isinstance(values, dict) or "mediaType" not in values:
        raise CertificateError(f"it is no Sigstore bundle; {_WANTED}")
    if (kind := _field(values, "mediaType", str)) != BUNDLE_TYPE:
        raise CertificateError(f"mediaType is {in_message(kind)}; expected {in_message(BUNDLE_TYPE)}")
    material = _field(_field(values, "verificationMaterial", dict), "publicKey", dict)
    envelope = parse_envelope(render_json(_field(values, "dsseEnvelope", dict)).encode(), strict=False)
    if len(envelope.signatures) != 1:
        raise CertificateError(
            f"{len(envelope.signatures)} signatures; expected one, as a Sigstore bundle has"
        )
    form = cryptographic("serialization", CertificateError)
    try:
        key = form.load_pem_public_key(public_key)
    except ValueError as error:
        raise CertificateError("not readable as a public key; expected PEM") from error
    curve = getattr(getattr(key, "curve", None), "name", "")
    if curve not in _HASHES:
        raise CertificateError("the public key is of another kind; expected ECDSA P-256, P-384 or P-521")
    hint = material.get("hint")
    pem = key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    signed = encode_before_signing(envelope.payload_type, envelope.payload)
    if hint not in (None, "", hashlib.sha256(pem).hexdigest()) or not _verifies(
        key, envelope.signatures[0].signature, signed, _HASHES[curve]
    ):
        raise CertificateError(
            "the key did not sign this; expected the public key of the signer, and the signature as it was made"
        )
    return envelope


def _verifies(key: Any, signature: bytes, signed: bytes, hash_name: str) -> bool:
    from cryptography.exceptions import InvalidSignature

    elliptic = cryptographic("asymmetric.ec", CertificateError)
    hashes = cryptographic("hashes", CertificateError)
    try:
        key.verify(signature, signed, elliptic.ECDSA(getattr(hashes, hash_name)()))
    except InvalidSignature:
        return False
    return True


def _signed_files(payload: bytes) -> tuple[dict[str, str], list[str]]:
    """The signed files by path, and what was left out."""
    try:
        statement = parse_json(payload)
    except ObliqError as error:
        raise CertificateError(f"payload: {error}") from error
    for name, expected in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if (found := _field(statement, name, str)) != expected:
            raise CertificateError(f"{name} is {in_message(found)}; expected {in_message(expected)}")
    predicate = _field(statement, "predicate", dict)
    serialization = _field(predicate, "serialization", dict)
    for name, value in (("method", "files"), ("hash_type", "sha256"), ("allow_symlinks", False)):
        if serialization.get(name) != value:
            raise CertificateError(
                f"serialization.{name} is {in_message(serialization.get(name))}; expected {in_message(value)}"
            )
    ignored = serialization.get("ignore_paths", [])
    if not isinstance(ignored, list) or not all(isinstance(one, str) for one in ignored):
        raise CertificateError(f"ignore_paths is {in_message(ignored)}; expected a list of paths")
    files: dict[str, str] = {}
    for resource in _field(predicate, "resources", list):
        name, digest = _field(resource, "name", str), _field(resource, "digest", str)
        if name in files or resource.get("algorithm") != "sha256":
            raise CertificateError(f"resource {in_message(name)}; expected each file once, with sha256")
        files[name] = digest
    subjects = _field(statement, "subject", list)
    digests = [_field(one, "digest", dict).get("sha256") for one in subjects]
    if not files or digests != [root_digest(files)]:
        raise CertificateError("the subject is not the digest of the signed files; expected one that is")
    return files, ignored


def _files_of(
    model: Path, ignored: set[str], exclude: Path | None, left_out: list[str]
) -> Iterator[tuple[str, Path]]:
    """Every regular file of a model, by its path within; what is ignored is added to `left_out`."""
    if not model.is_dir():
        yield model.name, model
        return
    for folder, folders, names in os.walk(model, onerror=_refuse):
        for name in (*folders, *names):
            path = Path(folder) / name
            within = path.relative_to(model).as_posix()
            if within in ignored:
                left_out.append(within + "/" * path.is_dir())
                continue
            if path.is_symlink():
                raise CertificateError(f"{within} is a link; expected files alone")
            if exclude is not None and path.resolve() == exclude.resolve():
                left_out.append(within)
            elif name in names:
                yield within, path
        folders[:] = [
            name for name in folders if (Path(folder) / name).relative_to(model).as_posix() not in ignored
        ]


def _refuse(error: OSError) -> None:
    raise CertificateError(f"{error.filename} cannot be read: {error.strerror}") from error


def _field(values: Any, name: str, kind: type) -> Any:
    if not isinstance(values, dict) or not isinstance(values.get(name), kind):
        given = values.get(name) if isinstance(values, dict) else values
        raise CertificateError(f"{name} is {in_message(given)}; expected it as OpenSSF Model Signing has it")
    return values[name]
