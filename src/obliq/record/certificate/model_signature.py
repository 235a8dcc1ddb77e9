"""OpenSSF Model Signing v1.0 with keys: which files ship, signed in the form that tools for model registries check.

Source: ossf/model-signing-spec, spec/v1.0.md and algorithm-registry.md. A signature is a Sigstore bundle around a DSSE
envelope around an in-toto statement. It states the files of a model and nothing of a request. The standard has no
Ed25519. Certificates, keyless signing and shards are not supported.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from obliq.errors import CertificateError, ObliqError
from obliq.io.keys import LARGEST_KEY, PrivateKey, cryptographic
from obliq.io.regular_file import read_regular_file
from obliq.io.strict_json import in_message, parse_json, render_json
from obliq.record.certificate.envelope import (
    LARGEST_ENVELOPE,
    PAYLOAD_TYPE,
    Envelope,
    EnvelopeSignature,
    encode_before_signing,
    parse_envelope,
)
from obliq.record.certificate.statement import STATEMENT_TYPE, Subject
from obliq.record.certificate.verify import sha256_of_file

PREDICATE_TYPE = "https://model_signing/signature/v1.0"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
LARGEST_BUNDLE = 2 * LARGEST_ENVELOPE
IGNORED = (".git", ".gitattributes", ".github", ".gitignore")
"""Left out by every signer, at the root of a folder."""
_HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}


def sign_model(name: str, files: Mapping[str, str], key: PrivateKey, ignored: Sequence[str] = ()) -> str:
    """The bundle that signs files.

    Args:
        name: of the model, for people.
        files: SHA-256 of each file, by its path within the model; `/` separates folders.
        key: signs; ECDSA P-256.
        ignored: further names at the root that do not ship.

    Raises:
        CertificateError: without a file.
    """
    if not files:
        raise CertificateError("no file to sign; expected at least one")
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _root_digest(files)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "resources": [
                {"algorithm": "sha256", "digest": files[path], "name": path} for path in sorted(files)
            ],
            "serialization": {
                "allow_symlinks": False,
                "hash_type": "sha256",
                "ignore_paths": sorted({*IGNORED, *ignored}),
                "method": "files",
            },
        },
    }
    payload = render_json(statement).encode()
    signature = key.sign(encode_before_signing(PAYLOAD_TYPE, payload))
    envelope = Envelope(payload, PAYLOAD_TYPE, (EnvelopeSignature("", signature),))
    bundle = {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": hashlib.sha256(key.public.pem).hexdigest()},
            "tlogEntries": [],
        },
        "dsseEnvelope": parse_json(envelope.to_text().encode()),
    }
    return render_json(bundle)


def model_signing_key(keys: Sequence[PrivateKey]) -> PrivateKey:
    """The key among several that the standard has.

    Raises:
        CertificateError: unless there is exactly one, as a bundle has one signature.
    """
    found = [key for key in keys if key.algorithm == "ECDSA P-256"]
    if len(found) != 1:
        raise CertificateError(
            f"{len(found)} keys are ECDSA P-256, and a signature of OpenSSF Model Signing has one such key (Ed25519 is "
            "no part of that standard); expected openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "
            "private.pem"
        )
    return found[0]


def sign_shipped(shipped: Path, subjects: Sequence[Subject], key: PrivateKey) -> str:
    """The bundle for what a certificate is about: the exported file, or the files that are a saved network.

    In the folder of a saved network, all other files count as left out: they never ship.

    Args:
        shipped: the file or folder.
        subjects: of the certificate; a patch is no part of the model.
        key: signs.
    """
    name = shipped.resolve().name
    if not shipped.is_dir():
        return sign_model(name, {one.name: one.sha256 for one in subjects if one.name == name}, key)
    files = {
        one.name.removeprefix(f"{name}/"): one.sha256 for one in subjects if one.name.startswith(f"{name}/")
    }
    others = [file.name for file in shipped.iterdir() if file.name not in files]
    return sign_model(name, files, key, others)


def is_model_signature(file: Path) -> bool:
    """Whether a file is meant as a Sigstore bundle. One that cannot be read is none."""
    try:
        return "verificationMaterial" in parse_json(read_regular_file(file, LARGEST_BUNDLE))
    except ObliqError:
        return False


def verify_model_file(signature: Path, model: Path, public_key: Path) -> tuple[str, ...]:
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
) -> tuple[str, ...]:
    """Check that files are those that were signed, all of them and no others.

    Args:
        bundle: the text of the signature.
        model: a file, or a folder.
        public_key: of the signer, as PEM: an elliptic curve key on P-256, P-384 or P-521.
        exclude: the file of the signature, which may lie in the folder.

    Returns:
        The paths of the files.

    Raises:
        CertificateError: when the signature is not valid for these files and this key.
    """
    envelope = _envelope_of(bundle, public_key)
    resources, ignored = _signed_files(envelope.payload)
    found = dict(_files_of(model, {*IGNORED, *ignored}, exclude))
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
    return tuple(resources)


def _envelope_of(bundle: bytes, public_key: bytes) -> Envelope:
    """The envelope in a bundle, with a valid signature."""
    if len(bundle) > LARGEST_BUNDLE:
        raise CertificateError(f"{len(bundle)} bytes; expected at most {LARGEST_BUNDLE}")
    try:
        values = parse_json(bundle)
    except ObliqError as error:
        raise CertificateError(str(error)) from error
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
    if not files or digests != [_root_digest(files)]:
        raise CertificateError("the subject is not the digest of the signed files; expected one that is")
    return files, ignored


def _files_of(model: Path, ignored: set[str], exclude: Path | None) -> Iterator[tuple[str, Path]]:
    """Every regular file of a model, by its path within."""
    if not model.is_dir():
        yield model.name, model
        return
    for folder, folders, names in os.walk(model, onerror=_refuse):
        for name in (*folders, *names):
            path = Path(folder) / name
            within = path.relative_to(model).as_posix()
            if within in ignored:
                continue
            if path.is_symlink():
                raise CertificateError(f"{within} is a link; expected files alone")
            if name in names and not (exclude is not None and path.resolve() == exclude.resolve()):
                yield within, path
        folders[:] = [
            name for name in folders if (Path(folder) / name).relative_to(model).as_posix() not in ignored
        ]


def _refuse(error: OSError) -> None:
    raise CertificateError(f"{error.filename} cannot be read: {error.strerror}") from error


def _root_digest(files: Mapping[str, str]) -> str:
    """SHA-256 over the digests, in the order of the paths."""
    try:
        return hashlib.sha256(b"".join(bytes.fromhex(files[path]) for path in sorted(files))).hexdigest()
    except ValueError as error:
        raise CertificateError("a digest is no hexadecimal number; expected SHA-256") from error


def _field(values: Any, name: str, kind: type) -> Any:
    if not isinstance(values, dict) or not isinstance(values.get(name), kind):
        given = values.get(name) if isinstance(values, dict) else values
        raise CertificateError(f"{name} is {in_message(given)}; expected it as OpenSSF Model Signing has it")
    return values[name]
