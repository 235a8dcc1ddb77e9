"""What `obliq patch` does: reads, calls the library, writes, and returns what to print."""

from dataclasses import asdict
from pathlib import Path

from obliq.atomic import refuse_existing_file, write_file
from obliq.cli.patch_arguments import Patch, PatchApply, PatchInfo, PatchMake
from obliq.cli.verbs import Outcome
from obliq.documents import read_bytes
from obliq.errors import ObliqError, PatchError
from obliq.patch import LARGEST_PATCH, LEAK, apply, describe, make, sealing
from obliq.patched import find_artifact
from obliq.progress import Narrator


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
    key = _key(action.key_file)
    old, new = (find_artifact(path, action.arch) for path in (action.old, action.new))
    if type(old) is not type(new):
        raise PatchError(
            f"{action.old} and {action.new} are of different kinds; expected two folders or two files"
        )
    patch = make(old.content, new.content, action.sequence)
    write_file(action.out, patch if key is None else sealing.seal(patch, key), overwrite=action.overwrite)
    head = describe(patch)
    lines = [f"patch of {head.bytes:,} bytes in {action.out}, to network {head.result}", LEAK]
    return Outcome(
        lines, {"file": str(action.out), "encrypted": key is not None, **asdict(head), "leak": LEAK}
    )


def _apply(action: PatchApply) -> Outcome:
    if not 0 <= action.floor < 2**64:
        raise PatchError(f"floor {action.floor}; expected 0 to 2^64 - 1")
    patch = _read(action.file, action.key_file)
    old = find_artifact(action.old, action.arch)
    old.refuse_existing(action.out, overwrite=action.overwrite)
    result = apply(patch, old.content, action.floor)
    old.write(result, action.out, overwrite=action.overwrite)
    head = describe(patch)
    lines = [f"patched network {head.result} in {action.out}; the floor is now {head.sequence}"]
    return Outcome(lines, {"out": str(action.out), "weights_digest": head.result, "floor": head.sequence})


def _info(action: PatchInfo) -> Outcome:
    head = describe(_read(action.file, action.key_file))
    lines = [
        f"patch number {head.sequence}, {head.bytes:,} bytes, changes {head.changed_records} tensors",
        f"from network {head.base}",
        f"to network   {head.result}",
        f"of the form  {head.form}",
        LEAK,
    ]
    return Outcome(lines, {**asdict(head), "leak": LEAK})


def _read(file: Path, key_file: Path | None) -> bytes:
    key = _key(key_file)
    try:
        data = read_bytes(file, LARGEST_PATCH)
        if key is not None:
            return sealing.unseal(data, key)
        if sealing.is_sealed(data):
            raise PatchError("it is encrypted; expected --key-file")
    except ObliqError as error:
        raise PatchError(f"{file}: {error}") from error
    return data


def _key(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return sealing.require_key(read_bytes(file, sealing.KEY_BYTES + 1))
    except ObliqError as error:
        raise PatchError(f"{file}: {error}") from error
