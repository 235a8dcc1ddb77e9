"""Patches, keys and signatures as files; every error names its file. And the clock that patches expire by."""

import time
from datetime import UTC, datetime
from pathlib import Path

from obliq.errors import ObliqError, PatchError


def read_patch(
    file: Path, key_file: Path | None, public_key: Path | None = None, *, allow_others: bool = False
) -> bytes:
    """The bytes of a patch, after its signature was checked, if there is a key, and decrypted.

    Raises:
        PatchError: naming the file, or the key.
    """
    from obliq.io.regular_file import open_regular_file
    from obliq.patch import LARGEST_PATCH, encryption, read_patch_file

    key = encryption_key(key_file, allow_others=allow_others)
    try:
        if key is not None and public_key is None:
            with open_regular_file(file, LARGEST_PATCH) as (opened, size):
                return encryption.unseal_from(opened, size, key)
        data = read_patch_file(file)
        if public_key is not None:  # before anything looks into it
            _require_signed(file, data, public_key)
        if key is not None:
            return encryption.unseal(data, key)
        if encryption.is_sealed(data):
            raise PatchError("it is encrypted; expected --key-file")
    except ObliqError as error:
        raise PatchError(f"{file}: {error}") from error
    return data


def signature_of(data: bytes, private_key: Path | None, *, allow_others: bool = False) -> bytes | None:
    """The signature of a patch; None without a key.

    Raises:
        PatchError: naming the key.
    """
    from obliq.io.keys import LARGEST_KEY
    from obliq.patch import signing

    if private_key is None:
        return None
    secret = _secret(private_key, LARGEST_KEY, allow_others=allow_others)
    try:
        return signing.sign(data, secret)
    except ObliqError as error:
        raise PatchError(f"{private_key}: {error}") from error


def expiry_of(text: str | None) -> datetime | None:
    """When a patch shall expire, from `--expires`; None without it.

    Raises:
        PatchError: for another form, and a time that has passed.
    """
    from obliq.patch.expiry import parse_expiry

    return None if text is None else parse_expiry(text, clock())


def clock() -> datetime:
    """The time. SOURCE_DATE_EPOCH is for what is written, and must not make an expired patch valid."""
    return datetime.fromtimestamp(int(time.time()), UTC)


def _require_signed(file: Path, data: bytes, public_key: Path) -> None:
    from obliq.io.keys import LARGEST_KEY
    from obliq.io.regular_file import read_regular_file
    from obliq.patch import signing

    try:
        key = read_regular_file(public_key, LARGEST_KEY)
    except ObliqError as error:
        raise PatchError(f"key {public_key}: {error}") from error
    try:
        signature = read_regular_file(signing.signature_file(file), signing.SIGNATURE_BYTES)
    except ObliqError as error:
        raise PatchError(f"its signature {signing.signature_file(file).name}: {error}") from error
    signing.require_signed(data, signature, key)


def encryption_key(file: Path | None, *, allow_others: bool = False) -> bytes | None:
    """The 32 bytes in a file; None without a file.

    Raises:
        PatchError: naming the file.
    """
    from obliq.patch import encryption

    if file is None:
        return None
    secret = _secret(file, encryption.KEY_BYTES + 1, allow_others=allow_others)
    try:
        return encryption.require_key(secret)
    except ObliqError as error:
        raise PatchError(f"{file}: {error}") from error


def _secret(file: Path, largest: int, *, allow_others: bool) -> bytes:
    from obliq.io.regular_file import read_secret_file

    try:
        return read_secret_file(file, largest, allow_others=allow_others)
    except ObliqError as error:
        option = ", or --allow-readable-key" if "others may" in str(error) else ""
        raise PatchError(f"{file}: {error}{option}") from error
