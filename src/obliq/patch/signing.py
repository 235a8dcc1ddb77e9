"""Who released a patch: an Ed25519 signature (RFC 8032) over the file's bytes, in a file of 64 bytes next to it.

The signature covers the file as it travels, encrypted or not, so that a device can check it before it reads anything
else. Any other tool can check it, too:
`openssl pkeyutl -verify -pubin -inkey PUBLIC.pem -rawin -in PATCH -sigfile PATCH.sig`.
The sequence number and both networks' digests are among those bytes. Keys are PEM files; creating and protecting
them is the work of the user.
"""

import importlib
from pathlib import Path
from typing import Any

from obliq.errors import PatchError

SIGNATURE_BYTES = 64
LARGEST_KEY = 2**14
"""Bytes of a PEM file; one Ed25519 key takes less than 200."""

_SMALL_ORDER = frozenset(
    bytes.fromhex(key)
    for key in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""Encodings of the points of order 1 to 8, without the sign of x: under such a key, anybody can sign."""


def signature_file(patch: Path) -> Path:
    """Where the signature of a patch lies: next to it, with `.sig` added to its name."""
    return patch.with_name(f"{patch.name}.sig")


def sign(data: bytes, private_key: bytes) -> bytes:
    """The signature of a file's bytes; equal inputs give equal bytes.

    Args:
        data: what the file holds.
        private_key: PEM (PKCS #8) of an Ed25519 key without a passphrase.

    Raises:
        PatchError: for any other key, or when the extra `patch` is not installed.
    """
    serialization, ed25519, unsupported = _libraries()
    try:
        key = serialization.load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError, unsupported) as error:
        if b"PUBLIC KEY-----" in private_key:
            raise PatchError("this is a public key; expected the private key that signs") from error
        raise PatchError(
            "not readable as a private key; expected PEM (PKCS #8) without a passphrase"
        ) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise PatchError("the private key is of another kind; expected Ed25519")
    signature: bytes = key.sign(data)
    return signature


def require_signed(data: bytes, signature: bytes, public_key: bytes) -> None:
    """Raise unless the holder of a key signed exactly these bytes.

    Args:
        data: what the file holds.
        signature: 64 bytes.
        public_key: PEM of an Ed25519 public key.

    Raises:
        PatchError: when the signature is altered or of another file or key, when the key is not Ed25519, or when the
            extra `patch` is not installed.
    """
    serialization, ed25519, unsupported = _libraries()
    try:
        key = serialization.load_pem_public_key(public_key)
    except (ValueError, unsupported) as error:
        if b"PRIVATE KEY-----" in public_key:
            raise PatchError(
                "this is a private key, which stays with the signer; expected its public key "
                "(openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem)"
            ) from error
        raise PatchError("not readable as a public key; expected PEM") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise PatchError("the public key is of another kind; expected Ed25519")
    point = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    if point[:31] + bytes([point[31] & 0x7F]) in _SMALL_ORDER:
        raise PatchError(
            "the public key is a point of small order, under which anybody can sign; expected another"
        )
    try:
        key.verify(signature, data)
    except importlib.import_module("cryptography.exceptions").InvalidSignature as error:
        raise PatchError(
            "this key did not sign these bytes; expected the public key of the signer, and the patch as it was signed"
        ) from error


def _libraries() -> tuple[Any, Any, type[Exception]]:
    try:
        return (
            importlib.import_module("cryptography.hazmat.primitives.serialization"),
            importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519"),
            importlib.import_module("cryptography.exceptions").UnsupportedAlgorithm,
        )
    except ImportError as error:
        raise PatchError(
            f"cryptography is not installed ({error}); expected the extra patch: "
            "pip install '.[patch]' in a checkout of obliq"
        ) from error
