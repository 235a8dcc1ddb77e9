"""An encrypted patch: AES-256-GCM around the file, with a key that somebody else looks after.

What stays visible is the length, which tells about how much changed. Keys are the fleet tool's: it makes
them, hands them out, and changes them; a random nonce is safe for 2^32 patches under one key.
"""

import importlib
import os
from typing import Any

from obliq.errors import PatchError

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
_HEAD = b"OBQE\x01\x00\x00\x00"
"""Magic, version 1, two bytes of zero; authenticated with the patch."""


def seal(patch: bytes, key: bytes) -> bytes:
    """The encrypted file: head, nonce, encrypted patch, tag. Each call draws a new nonce.

    Raises:
        PatchError: when the key has another length or the extra `patch` is not installed.
    """
    nonce = os.urandom(NONCE_BYTES)
    encrypted: bytes = _cipher(key).encrypt(nonce, patch, _HEAD)
    return _HEAD + nonce + encrypted


def unseal(data: bytes, key: bytes) -> bytes:
    """The patch in an encrypted file.

    Raises:
        PatchError: when it is none, was altered, or was encrypted with another key.
    """
    cipher = _cipher(key)
    start = len(_HEAD) + NONCE_BYTES
    if not is_sealed(data) or len(data) < start + TAG_BYTES:
        raise PatchError("not an encrypted patch; expected one that was made with --key-file")
    if data[: len(_HEAD)] != _HEAD:
        raise PatchError("made by a newer obliq; expected version 1 of the encrypted form")
    try:
        patch: bytes = cipher.decrypt(data[len(_HEAD) : start], data[start:], _HEAD)
    except importlib.import_module("cryptography.exceptions").InvalidTag as error:
        raise PatchError(
            "altered, or encrypted with another key; expected the key that it was made with"
        ) from error
    return patch


def is_sealed(data: bytes) -> bool:
    """Whether a file says that it is an encrypted patch."""
    return data[:4] == _HEAD[:4]


def require_key(key: bytes) -> bytes:
    """The key, if it is one.

    Raises:
        PatchError: when it has another length.
    """
    if len(key) != KEY_BYTES:
        raise PatchError(f"{len(key)} bytes are no key; expected exactly {KEY_BYTES} random ones")
    return key


def _cipher(key: bytes) -> Any:
    try:
        return importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM(require_key(key))
    except ImportError as error:
        raise PatchError(
            f"cryptography is not installed ({error}); expected the extra: pip install 'obliq[patch]'"
        ) from error
