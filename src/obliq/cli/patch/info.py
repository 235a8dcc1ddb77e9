"""`obliq patch info`: what a patch states, and what it reveals."""

import dataclasses
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from obliq.cli.options import File, Flag, OutputOptions
from obliq.cli.patch_files import clock, read_patch
from obliq.cli.verbs import StageListener, Verb, VerbOutput

if TYPE_CHECKING:
    from obliq.patch import PatchHead


@dataclass(frozen=True, kw_only=True)
class PatchInfoArguments:
    """Print what a patch states, and what it reveals.

    Example: obliq patch info forget.patch

    Attributes:
        file: The patch.
        key_file: The 32 bytes that the patch was encrypted with, in a file that only you may read and write.
        allow_readable_key: Use a key although others may read or write its file.
        verify: Refuse the patch unless FILE.sig is its signature by this Ed25519 public key (PEM).
    """

    file: tyro.conf.Positional[Path]
    key_file: File = None
    allow_readable_key: Flag = False
    verify: File = None
    output: OutputOptions = field(default_factory=OutputOptions)


def run_patch_info(arguments: PatchInfoArguments, progress: StageListener) -> VerbOutput:
    """Read a patch's head."""
    from obliq.patch import LEAK_WARNING, read_patch_head

    head = read_patch_head(
        read_patch(
            arguments.file, arguments.key_file, arguments.verify, allow_others=arguments.allow_readable_key
        )
    )
    head = dataclasses.replace(head, bytes=arguments.file.stat().st_size)  # encryption adds some
    signed = [] if arguments.verify is None else [f"signed by the holder of {arguments.verify}"]
    return VerbOutput(
        lines=[
            f"patch number {head.sequence}, {head.bytes:,} bytes, changes {head.changed_records} tensors",
            f"from network {head.base}",
            f"to network   {head.result}",
            f"of the form  {head.form}",
            *expiry_lines(head),
            *signed,
            *what_it_reveals(head.changed_records, encrypted=arguments.key_file is not None),
        ],
        values={
            **head_values(head),
            "verified": arguments.verify is not None,
            "leak": LEAK_WARNING if head.changed_records else None,
        },
        next_command=(
            "patch",
            "apply",
            "OLD",
            arguments.file,
            "--out",
            "NEW",
            *_checks(arguments),
            "--floor",
            "N",
        ),
    )


def _checks(arguments: PatchInfoArguments) -> list[str | Path]:
    """The key and the signature with which the patch was read."""
    words: list[str | Path] = [] if arguments.key_file is None else ["--key-file", arguments.key_file]
    return words if arguments.verify is None else [*words, "--verify", arguments.verify]


def expiry_lines(head: "PatchHead") -> list[str]:
    """When a patch expires, in a line; none for a patch that does not."""
    from obliq.io.utc import utc_text

    if head.expires is None:
        return []
    passed = "has expired, at" if head.has_expired(clock()) else "expires"
    return [f"{passed} {utc_text(head.expires)}"]


def head_values(head: "PatchHead") -> dict[str, object]:
    """The header as JSON states it."""
    from obliq.io.utc import utc_text

    expires = None if head.expires is None else utc_text(head.expires)
    return {**asdict(head), "expires": expires, "expired": head.has_expired(clock())}


def what_it_reveals(changed_records: int, *, encrypted: bool) -> list[str]:
    """What the holder of a patch and of the old network learns, in a line."""
    from obliq.patch import LEAK_WARNING

    if not changed_records:
        return [
            "The patch is empty: both networks hold the same integers, so nothing was forgotten between them."
        ]
    if encrypted:
        return [
            "It reveals what was forgotten to anyone who holds the key and the old network. Send it only to devices "
            "that will drop the old network."
        ]
    return [LEAK_WARNING]


INFO = Verb(PatchInfoArguments, run_patch_info)
