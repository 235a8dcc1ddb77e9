"""Patches, keys and signatures as files; every error names its file."""

from pathlib import Path

from obliq.errors import ObliqError, PatchError


def read_patch(file: Path, key_file: Path | None, public_key: Path | None = None) -> bytes:
    """The bytes of a patch, after its signature was checked, if there is a key, and decrypted.

    Raises:
        PatchError: naming the file, or the key.
    """
    from obliq.io.regular_file import read_regular_file
    from obliq.patch import LARGEST_PATCH, encryption

    key = encryption_key(key_file)
    try:
        data = read_regular_file(file, LARGEST_PATCH)
        if public_key is not None:  # before anything looks into it
            _require_signed(file, data, public_key)
        if key is not None:
            return encryption.unseal(data, key)
        if encryption.is_sealed(data):
            raise PatchError("it is encrypted; expected --key-file")
    except ObliqError as error:
        raise PatchError(f"{file}: {error}") from error
    return data


def signature_of(data: bytes, private_key: Path | None) -> bytes | None:
    """The signature of a patch; None without a key.

    Raises:
        PatchError: naming the key.
    """
    from obliq.io.regular_file import read_regular_file
    from obliq.patch import signing

    if private_key is None:
        return None
    try:
        return signing.sign(data, read_regular_file(private_key, signing.LARGEST_KEY))
    except ObliqError as error:
        raise PatchError(f"{private_key}: {error}") from error


def _require_signed(file: Path, data: bytes, public_key: Path) -> None:
    from obliq.io.regular_file import read_regular_file
    from obliq.patch import signing

    try:
        key = read_regular_file(public_key, signing.LARGEST_KEY)
    except ObliqError as error:
        raise PatchError(f"key {public_key}: {error}") from error
    try:
        signature = read_regular_file(signing.signature_file(file), signing.SIGNATURE_BYTES)
    except ObliqError as error:
        raise PatchError(f"its signature {signing.signature_file(file).name}: {error}") from error
    signing.require_signed(data, signature, key)


def encryption_key(file: Path | None) -> bytes | None:
    """The 32 bytes in a file; None without a file.

    Raises:
        PatchError: naming the file.
    """
    from obliq.io.regular_file import read_regular_file
    from obliq.patch import encryption

    if file is None:
        return None
    try:
        return encryption.require_key(read_regular_file(file, encryption.KEY_BYTES + 1))
    except ObliqError as error:
        raise PatchError(f"{file}: {error}") from error
