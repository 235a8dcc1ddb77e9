"""`obliq patch make`: the changed integers of a network as a small file for devices."""

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from obliq.cli.next_command import free_name, repeated_options
from obliq.cli.options import Architecture, Expiry, File, Flag, OutputOptions, Overwrite
from obliq.cli.patch.info import expiry_lines, head_values, what_it_reveals
from obliq.cli.patch_files import encryption_key, expiry_of, signature_of
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import PatchError

RequiredFile = Annotated[Path, tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True, kw_only=True)
class PatchMakeArguments:
    """Write the integers that differ between two networks.

    Example: obliq patch make runs/original runs/unlearned --out forget.patch --new-key keys/fleet.key

    A patch and the old network together reveal what was forgotten. So the patch is encrypted, or --plain is passed.

    Attributes:
        old: The network that devices have now: a model folder or an exported file (.onnx or .pte).
        new: The network that devices will have: a folder if OLD is a folder, an exported file if OLD
            is a file.
        out: New file for the patch.
        sequence: Number of the patch, which grows with every patch. A device refuses a patch whose number is not above
            its floor, the number of its last confirmed patch. It belongs to NEW, whichever network OLD is, so that
            one patch can skip releases. By default the number of times that NEW was unlearned; 1 where this is not
            recorded, as for most exported files. At most 2^32 - 1, since no patch can follow the highest number.
        key_file: Encrypt the patch with the 32 bytes in this file, which only you may read and write.
        new_key: Encrypt the patch with 32 new random bytes, and write them to this new file. Keep it apart from the
            patch, in another folder; devices need it.
        plain: Do not encrypt the patch.
        expires: Time from which on devices with a clock refuse the patch, in UTC: a day such as 2030-01-31 (from its
            first second on), or 2030-01-31T12:00:00Z. By default a patch does not expire. A decoder that knows only
            version 1 of the format refuses a patch that does.
        sign: Sign the patch with this Ed25519 private key (PEM). The signature is written to OUT.sig, which travels
            with the patch.
        allow_readable_key: Use a key although others may read or write its file.
        accept: Make a patch although the new network failed its gate (see `obliq unlearn --help`), or its last audit
            refused it.
        go_back: Make a patch although NEW is not known to answer every request that OLD answers.
    """

    old: tyro.conf.Positional[Path]
    new: tyro.conf.Positional[Path]
    out: RequiredFile
    overwrite: Overwrite = False
    sequence: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    key_file: File = None
    new_key: File = None
    plain: Flag = False
    expires: Expiry = None
    sign: File = None
    allow_readable_key: Flag = False
    accept: bool = False
    go_back: Flag = False
    arch: Architecture = None
    output: OutputOptions = field(default_factory=OutputOptions)


def run_patch_make(arguments: PatchMakeArguments, progress: StageListener) -> VerbOutput:
    """Make a patch, encrypt and sign it, and write it."""
    from obliq.io.atomic import refuse_existing_file, write_files
    from obliq.patch import LEAK_WARNING, encode_patch, encryption, read_patch_head, signing
    from obliq.workflow.gate import require_passed
    from obliq.workflow.last_audit import last_exposure, require_not_refused
    from obliq.workflow.patch_floor import require_as_forgetful
    from obliq.workflow.patch_targets import find_artifact

    out = arguments.out
    refuse_existing_file(out, overwrite=arguments.overwrite)
    if arguments.sign is not None:
        refuse_existing_file(signing.signature_file(out), overwrite=arguments.overwrite)
    _require_decision(arguments)
    expires = expiry_of(arguments.expires)
    if arguments.new_key is not None:
        if arguments.new_key.resolve() in (out.resolve(), signing.signature_file(out).resolve()):
            raise PatchError(f"--new-key {arguments.new_key} is where the patch goes; expected another file")
        refuse_existing_file(arguments.new_key, overwrite=False)
        key: bytes | None = os.urandom(encryption.KEY_BYTES)
    else:
        key = encryption_key(arguments.key_file, allow_others=arguments.allow_readable_key)
    # wrong keys and missing packages are known before the networks are read
    if key is not None:
        encryption.seal(b"", key)
    signature_of(b"", arguments.sign, allow_others=arguments.allow_readable_key)
    old, new = (find_artifact(path, arguments.arch) for path in (arguments.old, arguments.new))
    if type(old) is not type(new):
        raise PatchError(
            f"{arguments.old} and {arguments.new} are of different kinds; expected two folders or two files"
        )
    provenance = new.provenance
    if not arguments.go_back:
        require_as_forgetful(old.provenance, provenance, (str(arguments.old), str(arguments.new)))
    if provenance is not None:
        require_passed(provenance, str(arguments.new), accept=arguments.accept)
    require_not_refused(arguments.new, accept=arguments.accept)
    times = (
        1
        if provenance is None
        else max(1, len(provenance.forgotten_so_far) + (not provenance.records_newest))
    )
    sequence = times if arguments.sequence is None else arguments.sequence
    counted = arguments.sequence is None and times > 1
    patch = encode_patch(old.content, new.content, sequence, expires)
    data = patch if key is None else encryption.seal(patch, key)
    signature = signature_of(data, arguments.sign, allow_others=arguments.allow_readable_key)
    # the signature last: a device that demands one refuses a patch without it
    signed = {} if signature is None else {signing.signature_file(out): signature}
    with _kept_key(arguments.new_key, key):
        write_files({out: data, **signed}, overwrite=arguments.overwrite)
    head = dataclasses.replace(read_patch_head(patch), bytes=len(data))
    result = free_name(out, f"patched{arguments.old.suffix}")
    key_file = arguments.new_key or arguments.key_file
    with_key = () if key_file is None else ("--key-file", key_file)
    repeated = repeated_options(None, architecture=arguments.arch)
    checks = ("--verify", "PUBLIC.pem", "--floor", "N") if signed else ()
    return VerbOutput(
        lines=[
            f"{'patch' if key is None else 'encrypted patch'} of {head.bytes:,} bytes in {out}",
            *(f"its signature, which travels with it, in {file}" for file in signed),
            *_where_the_key_is(arguments.new_key, out),
            *([f"number {sequence}, as the new network was unlearned {sequence} times"] if counted else []),
            f"to network {head.result}",
            *expiry_lines(head),
            *what_it_reveals(head.changed_records, encrypted=key is not None),
            *_as_measured(last_exposure(arguments.new)),
        ],
        values={
            "file": str(out),
            "encrypted": key is not None,
            "signed": signature is not None,
            "signature": str(signing.signature_file(out)) if signed else None,
            **head_values(head),
            "leak": LEAK_WARNING if head.changed_records else None,
            "exposure": last_exposure(arguments.new),
        },
        next_command=("patch", "apply", arguments.old, out, "--out", result, *with_key, *checks, *repeated),
    )


def _where_the_key_is(key: Path | None, patch: Path) -> list[str]:
    """Where a new key was written, and a warning where anyone who copies the folder has the patch, too."""
    if key is None:
        return []
    lines = [f"its key, for devices alone, in {key}"]
    if key.resolve().parent == patch.resolve().parent:
        lines.append(
            "WARNING: the key lies in the folder of the patch, so anyone who copies that folder can read the patch; "
            "move the key elsewhere"
        )
    return lines


def _require_decision(arguments: PatchMakeArguments) -> None:
    """Raise unless it was stated in one way whether the patch is encrypted."""
    ways = {
        "--key-file": arguments.key_file,
        "--new-key": arguments.new_key,
        "--plain": arguments.plain or None,
    }
    given = [name for name, value in ways.items() if value is not None]
    if len(given) == 1:
        return
    if given:
        raise PatchError(
            f"{' and '.join(given)} are given; expected one of --key-file, --new-key and --plain"
        )
    words = ["obliq", "patch", "make", str(arguments.old), str(arguments.new), "--out", str(arguments.out)]
    words += [] if arguments.sequence is None else ["--sequence", str(arguments.sequence)]
    words += [] if arguments.expires is None else ["--expires", arguments.expires]
    command = shlex.join(words)
    raise PatchError(
        "a patch that is not encrypted reveals what was forgotten to anyone who holds the old network; expected "
        f"'{command} --new-key keys/fleet.key' (or --key-file with a key that you have), or, if that is no secret, "
        f"'{command} --plain'"
    )


@contextlib.contextmanager
def _kept_key(file: Path | None, key: bytes | None) -> Iterator[None]:
    """Write a new key before the patch that it opens, and take it back where no patch is written."""
    from obliq.io.atomic import write_file

    if file is None or key is None:
        yield
        return
    write_file(file, key, private=True)
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _as_measured(exposure: str | None) -> list[str]:
    if exposure is None:
        return []
    return [
        f"Last audit: by the rise of their loss, the forgotten samples have {exposure} (1: they stand out most)."
    ]


MAKE = Verb(PatchMakeArguments, run_patch_make)
