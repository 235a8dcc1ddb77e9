"""What `obliq patch` does: reads, calls the library, writes, and returns what to print."""

from dataclasses import asdict
from pathlib import Path

from obliq.cli.patch_arguments import Patch, PatchApply, PatchInfo, PatchMake
from obliq.cli.progress import Narrator
from obliq.cli.verbs import Outcome
from obliq.errors import ObliqError, PatchError
from obliq.io.atomic import refuse_existing_file, write_file
from obliq.io.regular_file import read_regular_file
from obliq.patch import (
    LARGEST_PATCH,
    LEAK_WARNING,
    apply_patch,
    encryption,
    make_patch,
    read_patch_head,
    signing,
)
from obliq.workflow.patch_targets import find_artifact


def run_patch(arguments: Patch, narrator: Narrator) -> Outcome:
    """Make, apply or explain a patch."""
    match arguments.action:
        case PatchMake() as action:
            return _make(action)
        case PatchApply() as action:
            return _apply(action)
        case action:
            return _info(action)


def _make(action: PatchMake) -> Outcome:
    refuse_existing_file(action.out, overwrite=action.overwrite)
    if action.sign is not None:
        refuse_existing_file(signing.signature_file(action.out), overwrite=action.overwrite)
    key = _key(action.key_file)
    old, new = (find_artifact(path, action.arch) for path in (action.old, action.new))
    if type(old) is not type(new):
        raise PatchError(
            f"{action.old} and {action.new} are of different kinds; expected two folders or two files"
        )
    patch = make_patch(old.content, new.content, action.sequence)
    data = patch if key is None else encryption.seal(patch, key)
    signature = _signature(data, action.sign)
    write_file(action.out, data, overwrite=action.overwrite)
    if signature is not None:  # last: a patch without one is refused where one is asked for
        write_file(signing.signature_file(action.out), signature, overwrite=action.overwrite)
    head = read_patch_head(patch)
    lines = [f"patch of {head.bytes:,} bytes in {action.out}, to network {head.result}", LEAK_WARNING]
    said = {"file": str(action.out), "encrypted": key is not None, "signed": signature is not None}
    return Outcome(lines, {**said, **asdict(head), "leak": LEAK_WARNING})


def _apply(action: PatchApply) -> Outcome:
    if not 0 <= action.floor < 2**64:
        raise PatchError(f"floor {action.floor}; expected 0 to 2^64 - 1")
    patch = _read(action.file, action.key_file, action.verify)
    old = find_artifact(action.old, action.arch)
    old.refuse_existing(action.out, overwrite=action.overwrite)
    result = apply_patch(patch, old.content, action.floor)
    old.write(result, action.out, overwrite=action.overwrite)
    head = read_patch_head(patch)
    lines = [f"patched network {head.result} in {action.out}; the floor is now {head.sequence}"]
    return Outcome(lines, {"out": str(action.out), "weights_digest": head.result, "floor": head.sequence})


def _info(action: PatchInfo) -> Outcome:
    head = read_patch_head(_read(action.file, action.key_file))
    lines = [
        f"patch number {head.sequence}, {head.bytes:,} bytes, changes {head.changed_records} tensors",
        f"from network {head.base}",
        f"to network   {head.result}",
        f"of the form  {head.form}",
        LEAK_WARNING,
    ]
    return Outcome(lines, {**asdict(head), "leak": LEAK_WARNING})


def _read(file: Path, key_file: Path | None, public_key: Path | None = None) -> bytes:
    key = _key(key_file)
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


def _signature(data: bytes, private_key: Path | None) -> bytes | None:
    if private_key is None:
        return None
    try:
        return signing.sign(data, read_regular_file(private_key, signing.LARGEST_KEY))
    except ObliqError as error:
        raise PatchError(f"{private_key}: {error}") from error


def _require_signed(file: Path, data: bytes, public_key: Path) -> None:
    try:
        key = read_regular_file(public_key, signing.LARGEST_KEY)
    except ObliqError as error:
        raise PatchError(f"key {public_key}: {error}") from error
    try:
        signature = read_regular_file(signing.signature_file(file), signing.SIGNATURE_BYTES)
    except ObliqError as error:
        raise PatchError(f"its signature {signing.signature_file(file).name}: {error}") from error
    signing.require_signed(data, signature, key)


def _key(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return encryption.require_key(read_regular_file(file, encryption.KEY_BYTES + 1))
    except ObliqError as error:
        raise PatchError(f"{file}: {error}") from error
