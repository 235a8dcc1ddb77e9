"""OpenSSF Model Signing v1.0 with keys: which files ship, signed in the form that tools for model registries check.

Source: ossf/model-signing-spec, spec/v1.0.md and algorithm-registry.md. A signature is a Sigstore bundle around a DSSE
envelope around an in-toto statement. It states the files of a model and nothing of a request or verdict. The standard
has no Ed25519. Certificates, keyless signing and shards are not supported.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from obliq.errors import CertificateError
from obliq.io.keys import PrivateKey
from obliq.io.strict_json import in_message, parse_json, render_json
from obliq.record.certificate.envelope import (
    PAYLOAD_TYPE,
    Envelope,
    EnvelopeSignature,
    encode_before_signing,
)
from obliq.record.certificate.statement import STATEMENT_TYPE, Subject
from obliq.record.certificate.verify import FOLDER_FILES
from obliq.record.certificate.verify_model import (
    BUNDLE_TYPE,
    IGNORED,
    PREDICATE_TYPE,
    root_digest,
    verify_model,
)

NOT_SHIPPED = (
    "files.json",
    "latent.safetensors",
    "request.json",
    "source.json",
    "trace.json",
    "verdict.json",
)
"""Files in the folder of a saved network that never ship. These names are fixed, so that a signature which leaves them
out publishes nothing of a request."""


def sign_model(name: str, files: Mapping[str, str], key: PrivateKey, ignored: Sequence[str] = ()) -> str:
    """The bundle that signs files.

    Args:
        name: of the model, for people.
        files: SHA-256 of each file, by its path within the model; `/` separates folders.
        key: signs; ECDSA P-256.
        ignored: further names at the root that do not ship.

    Raises:
        CertificateError: without a file, or with a name that is not UTF-8.
    """
    if not files:
        raise CertificateError("no file to sign; expected at least one")
    for one in (name, *files, *ignored):
        if any("\ud800" <= character <= "\udfff" for character in one):
            raise CertificateError(
                f"the name {one!a} is not UTF-8; expected one that is, which JSON can hold"
            )
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root_digest(files)}}],
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


def require_signable(shipped: Path, signature: Path, beside: Sequence[Path]) -> None:
    """Refuse what a signature cannot cover, before anything is computed.

    Args:
        shipped: the exported file, or the folder of a saved network.
        signature: the file to write, which may lie right in the folder.
        beside: other files that will be written.

    Raises:
        CertificateError: when the folder holds, or will hold, files that do not ship.
    """
    if not shipped.is_dir():
        return
    whole = "a signature covers every file of a folder"
    for file in beside:
        if file.resolve().is_relative_to(shipped.resolve()):
            raise CertificateError(
                f"{file} would lie in {shipped}, and {whole}; expected a place outside of it"
            )
    others = [
        one.name
        for one in sorted(shipped.iterdir())
        if one.name not in (*FOLDER_FILES, *IGNORED)
        and not (one.name in NOT_SHIPPED and one.is_file() and not one.is_symlink())
        and one.resolve() != signature.resolve()
    ]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise CertificateError(
            f"{shipped} also holds {', '.join(map(in_message, others[:3]))}{more}, and {whole}; expected a copy of "
            f"{' and '.join(FOLDER_FILES)} in a folder of their own"
        )


def sign_shipped(shipped: Path, subjects: Sequence[Subject], key: PrivateKey, signature: Path) -> str:
    """The bundle for what a certificate is about: the exported file, or the files that are a saved network.

    Args:
        shipped: the file or folder, which `require_signable` accepts.
        subjects: of the certificate, without a patch, which is no part of the model.
        key: signs.
        signature: the file that will hold the bundle.

    Raises:
        CertificateError: when the finished bundle would not be valid for what lies there.
    """
    name = shipped.resolve().name
    files = {one.name.removeprefix(f"{name}/"): one.sha256 for one in subjects}
    bundle = sign_model(name, files, key, NOT_SHIPPED if shipped.is_dir() else ())
    try:
        verify_model(bundle.encode(), shipped, key.public.pem, exclude=signature)
    except CertificateError as error:
        raise CertificateError(
            f"the model signature would not be valid, so nothing is written: {error}"
        ) from error
    return bundle
