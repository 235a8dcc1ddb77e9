"""An encrypted patch: AES-256-GCM around the file.

The length stays visible and shows roughly how much changed. Creating, distributing and changing keys is the work of
the user's fleet tool. Since nonces are random, one key is safe for 2^32 patches.
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
        raise PatchError("not an encrypted patch; expected one from `obliq patch make --key-file`")
    if data[: len(_HEAD)] != _HEAD:
        raise PatchError("encrypted by a newer Obliq; expected version 1 of the encrypted form")
    try:
        patch: bytes = cipher.decrypt(data[len(_HEAD) : start], memoryview(data)[start:], _HEAD)
    except importlib.import_module("cryptography.exceptions").InvalidTag as error:
        raise PatchError(
            "altered, or encrypted with another key; expected the file and the key of `obliq patch make`"
        ) from error
    return patch


def is_sealed(data: bytes) -> bool:
    """Whether a file begins as an encrypted patch does."""
    return data[:4] == _HEAD[:4]


def require_key(key: bytes) -> bytes:
    """A key of the right length, as it was given.

    Raises:
        PatchError: when it has another length.
    """
    if len(key) != KEY_BYTES:
        raise PatchError(f"the key has {len(key)} bytes; expected {KEY_BYTES} random ones")
    return key


def _cipher(key: bytes) -> Any:
    try:
        return importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM(require_key(key))
    except ImportError as error:
        raise PatchError(
            f"cryptography is not installed ({error}); expected the extra patch: "
            "pip install '.[patch]' in a checkout of obliq"
        ) from error
