"""Who was asked to be forgotten, encrypted under a key of its own for each request.

The keys lie in a folder of their own (`obliq.record.keys_folder`). Destroying a key makes its request unreadable in
every copy of the record (crypto-shredding), while the log stays valid: it holds the digest of the encrypted file.

AES-256-GCM; the associated data are the names of the record and of the request, so that no file stands for another.
"""

import importlib
import os
from pathlib import Path
from typing import Any

from obliq.data.request_file import REQUEST_DOCUMENT, Request
from obliq.errors import ObliqError, RecordError
from obliq.io.keys import cryptographic
from obliq.io.regular_file import read_regular_file
from obliq.record.keys_folder import KEY_BYTES

NONCE_BYTES = 12
SMALLEST_TEXT = 2**16
"""Bytes of a request before it is encrypted, with spaces at its end; a larger one fills the next power of two. The size
of an encrypted request outlives its key, and the number of samples can tell who a request was about."""
_HEAD = b"OBQR\x01\x00\x00\x00"
"""Magic, version 1, two bytes of zero."""
_LARGEST = REQUEST_DOCUMENT.largest + 2**10


def encrypt_request(request: Request, key: bytes, record: str, name: str) -> bytes:
    """A request as an encrypted file.

    Args:
        request: selector, ids and salt.
        key: its own; each key encrypts one request.
        record: random name of the record.
        name: random name of the request.

    Raises:
        RecordError: when the extra `patch` is not installed.
    """
    nonce = os.urandom(NONCE_BYTES)
    text = REQUEST_DOCUMENT.to_text(request).encode()
    text = text.ljust(max(SMALLEST_TEXT, 1 << (len(text) - 1).bit_length()))
    encrypted: bytes = _cipher(key).encrypt(nonce, text, _bound_to(record, name))
    return _HEAD + nonce + encrypted


def decrypt_request(file: Path, key: bytes, record: str, name: str) -> Request:
    """The request in an encrypted file.

    Raises:
        RecordError: when the file was altered, is for another request, or was encrypted with another key.
    """
    try:
        data = read_regular_file(file, _LARGEST)
    except ObliqError as error:
        raise RecordError(f"{file}: {error}") from error
    start = len(_HEAD) + NONCE_BYTES
    if data[: len(_HEAD)] != _HEAD:
        raise RecordError(f"{file} is no encrypted request; expected one that `obliq record add` wrote")
    try:
        text = _cipher(key).decrypt(data[len(_HEAD) : start], data[start:], _bound_to(record, name))
    except importlib.import_module("cryptography.exceptions").InvalidTag as error:
        raise RecordError(f"{file} was altered, or is not the file of this request and key") from error
    try:
        return REQUEST_DOCUMENT.from_text(text)
    except ObliqError as error:
        raise RecordError(f"{file}: {error}") from error


def require_cryptography() -> None:
    """Raise unless the package for encryption is there.

    Raises:
        RecordError: naming the extra.
    """
    _cipher(bytes(KEY_BYTES))


def can_decrypt() -> bool:
    """Whether the package for encryption is there."""
    try:
        require_cryptography()
    except RecordError:
        return False
    return True


def _bound_to(record: str, name: str) -> bytes:
    return _HEAD + f"{record}/{name}".encode()


def _cipher(key: bytes) -> Any:
    return cryptographic("ciphers.aead", RecordError).AESGCM(key)
