"""An encrypted patch: AES-256-GCM around the file.

The length stays visible and shows roughly how much changed. Creating, distributing and changing keys is the work of
the user's fleet tool. Since nonces are random, one key is safe for 2^32 patches.
"""

import importlib
import io
import os
from typing import Any

from obliq.errors import PatchError
from obliq.io.keys import cryptographic

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
_HEAD = b"OBQE\x01\x00\x00\x00"
"""Magic, version 1, two bytes of zero; authenticated with the patch."""

_PIECE = 2**20
"""Bytes that are decrypted at once."""


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
    return unseal_from(io.BytesIO(data), len(data), key)


def unseal_from(opened: io.BufferedIOBase, size: int, key: bytes) -> bytes:
    """The patch in an encrypted file that is read piece by piece: one without the right tag takes no memory.

    Args:
        opened: stands anywhere; it is read twice.
        size: bytes of the file.
        key: 32 bytes.

    Raises:
        PatchError: when it is none, was altered, or was encrypted with another key.
    """
    start = len(_HEAD) + NONCE_BYTES
    opened.seek(0)
    head = opened.read(start)
    if not is_sealed(head) or size < start + TAG_BYTES:
        raise PatchError("not an encrypted patch; expected one from `obliq patch make`")
    if head[: len(_HEAD)] != _HEAD:
        raise PatchError("encrypted by a newer Obliq; expected version 1 of the encrypted form")
    opened.seek(size - TAG_BYTES)
    tag, length = opened.read(TAG_BYTES), size - start - TAG_BYTES
    kept = bytearray()
    for keep in (False, True):  # the tag first: what it does not vouch for is never kept
        decryptor = _decryptor(key, head[len(_HEAD) :], tag)
        decryptor.authenticate_additional_data(_HEAD)
        opened.seek(start)
        for place in range(0, length, _PIECE):
            piece = decryptor.update(opened.read(min(_PIECE, length - place)))
            kept += piece if keep else b""
        try:
            decryptor.finalize()
        except importlib.import_module("cryptography.exceptions").InvalidTag as error:
            raise PatchError(
                "altered, or encrypted with another key; expected the file and the key of `obliq patch make`"
            ) from error
    return bytes(kept)


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
    return _ciphers("aead").AESGCM(require_key(key))


def _decryptor(key: bytes, nonce: bytes, tag: bytes) -> Any:
    cipher = _ciphers("algorithms").AES(require_key(key))
    return _ciphers("base").Cipher(cipher, _ciphers("modes").GCM(nonce, tag)).decryptor()


def _ciphers(name: str) -> Any:
    return cryptographic(f"ciphers.{name}", PatchError)
