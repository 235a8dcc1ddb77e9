"""Who released a patch: an Ed25519 signature (RFC 8032) over the file's bytes, in a file of 64 bytes next to it.

The signature covers the file as it travels, encrypted or not, so that a device can check it before it reads anything
else. Any other tool can check it, too:
`openssl pkeyutl -verify -pubin -inkey PUBLIC.pem -rawin -in PATCH -sigfile PATCH.sig`.
The sequence number and both networks' digests are among those bytes. Keys are PEM files; creating and protecting
them is the work of the user.
"""

from pathlib import Path

from obliq.errors import ObliqError, PatchError
from obliq.io.keys import parse_private_key, parse_public_key

SIGNATURE_BYTES = 64


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
    try:
        return parse_private_key(private_key, ["Ed25519"]).sign(data)
    except ObliqError as error:
        raise PatchError(str(error)) from error


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
    try:
        key = parse_public_key(public_key, ["Ed25519"])
    except ObliqError as error:
        raise PatchError(str(error)) from error
    if not key.verifies(signature, data):
        raise PatchError(
            "this key did not sign these bytes; expected the public key of the signer, and the patch as it was signed"
        )
