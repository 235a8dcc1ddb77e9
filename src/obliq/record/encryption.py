"""Who was asked to be forgotten, encrypted under a key of its own for each request.

The keys lie in a folder of their own, so that a backup of the record holds only ciphertext. Destroying a key makes its
request unreadable in every copy of the record (crypto-shredding), while the log stays valid: it holds the digest of
the encrypted file.

AES-256-GCM; the associated data are the names of the record and of the request, so that no file stands for another.
"""

import importlib
import os
import secrets
from pathlib import Path
from typing import Any

from obliq.data.request_file import REQUEST_DOCUMENT, Request
from obliq.errors import ObliqError, RecordError
from obliq.io.atomic import write_file
from obliq.io.durable import sync
from obliq.io.keys import cryptographic
from obliq.io.regular_file import read_regular_file, read_secret_file

KEY_BYTES, NONCE_BYTES = 32, 12
FLEET_KEY = "fleet"
"""Name of the key of all patches of a record."""
_HEAD = b"OBQR\x01\x00\x00\x00"
"""Magic, version 1, two bytes of zero."""
_LARGEST = REQUEST_DOCUMENT.largest + 2**10


class Keys:
    """The folder with the keys of a record; only its owner may read it.

    Attributes:
        folder: it is created with the first key.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str) -> Path:
        """Where the key of this name lies."""
        return self.folder / f"{name}.key"

    def create(self, name: str) -> bytes:
        """Draw a key and write it."""
        key = secrets.token_bytes(KEY_BYTES)
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync(self.folder.parent)
        write_file(self.file(name), key, overwrite=True, private=True)
        return key

    def read(self, name: str) -> bytes:
        """The key of this name.

        Raises:
            RecordError: when it is not there, or others may read it.
        """
        file = self.file(name)
        try:
            key = read_secret_file(file, KEY_BYTES)
        except ObliqError as error:
            raise RecordError(
                f"key {file}: {error}. Without its key a request cannot be read; pass --keys if the keys were moved"
            ) from error
        if len(key) != KEY_BYTES:
            raise RecordError(f"key {file} has {len(key)} bytes; expected {KEY_BYTES}")
        return key

    def read_or_create(self, name: str) -> bytes:
        """The key of this name, which is drawn when it is first needed."""
        return self.read(name) if self.file(name).exists() else self.create(name)

    def names(self) -> set[str]:
        """The keys that are there."""
        return {file.stem for file in self.folder.glob("*.key")}

    def destroy(self, name: str) -> None:
        """Overwrite a key and remove its file; one that is gone already is left so.

        Raises:
            RecordError: when that is not possible, since the request could then still be read.
        """
        file = self.file(name)
        try:
            if file.is_file() and not file.is_symlink():
                with file.open("r+b") as opened:
                    opened.write(bytes(KEY_BYTES))
                    opened.flush()
                    os.fsync(opened.fileno())
            file.unlink(missing_ok=True)
            if self.folder.is_dir():
                sync(self.folder)
        except OSError as error:
            raise RecordError(
                f"the key {file} cannot be destroyed: {error.strerror or error}; remove it by hand"
            ) from error


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


def _bound_to(record: str, name: str) -> bytes:
    return _HEAD + f"{record}/{name}".encode()


def _cipher(key: bytes) -> Any:
    return cryptographic("ciphers.aead", RecordError).AESGCM(key)
