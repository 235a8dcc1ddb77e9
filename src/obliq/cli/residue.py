"""`obliq residue`: what below a folder still holds a request or the network before it forgot."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from obliq.cli.options import Architecture, File, Flag, Folder, OutputOptions
from obliq.cli.verbs import StageListener, Verb, VerbOutput

Kind = Literal["request", "source", "latent", "weights", "original", "export", "patch", "images", "draft"]


@dataclass(frozen=True, kw_only=True)
class ResidueArguments:
    """List and destroy what still holds a request or the original.

    Example: obliq residue runs

    Files are found by what they hold, also in hidden folders: requests, paths of data, float (latent) weights,
    weights that `obliq adopt` read, the original, files that were exported from it, patches, reports with images
    of forgotten samples, and unfinished results. Obliq cannot find lists of ids of your own, archives, backups
    and copies on other machines.

    Destroying removes files. A disk can still hold their bytes afterwards (SECURITY.md).

    Attributes:
        folder: Where to look. Folders below it are searched, too.
        only: Only these kinds.
        original: Folder of the original, if it is elsewhere. The files that were exported from it are then found.
        destroy: Destroy the listed files, and write a record with their digests and the time.
        record: New file for this record. By default destroyed.json in DIR.
    """

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    only: Annotated[tuple[Kind, ...], tyro.conf.arg(metavar="KIND [KIND ...]", help_behavior_hint="")] = ()
    original: Folder = None
    destroy: Flag = False
    record: File = None
    arch: Architecture = None
    output: OutputOptions = field(default_factory=OutputOptions)


def run_residue(arguments: ResidueArguments, progress: StageListener) -> VerbOutput:
    """List residue, and destroy it if that is wanted."""
    from obliq.cli.next_command import free_name, repeated_options
    from obliq.cli.tables import table
    from obliq.io.atomic import refuse_existing_file
    from obliq.io.strict_json import encode
    from obliq.workflow.residue import KINDS, destroy_residue, find_residue

    folder, record = arguments.folder, arguments.record or free_name(arguments.folder / "x", "destroyed.json")
    if arguments.destroy:
        refuse_existing_file(record, overwrite=False)
    found = find_residue(folder, arguments.only, original=arguments.original, architecture=arguments.arch)
    counts = Counter(one.kind for one in found)
    lines = table(["file", "kind", "bytes"], [[one.file, one.kind, f"{one.bytes:,}"] for one in found])
    lines += ["", *(f"{kind}: {KINDS[kind]}" for kind in KINDS if kind in counts)]
    values = {"folder": str(folder), "found": encode(found), "destroyed": False}
    words: list[str | Path] = ["residue", folder]
    if arguments.only:
        words += ["--only", *arguments.only]
    words += repeated_options(None, architecture=arguments.arch)
    if not found:
        lines = [f"no residue of {', '.join(arguments.only or KINDS)} below {folder}"]
    elif arguments.destroy:
        destroy_residue(folder, found, record)
        lines = [*lines, f"destroyed {len(found)} files; the record is {record}"]
        values |= {"destroyed": True, "record": str(record)}
    else:
        lines += ["", *_what_destroy_takes(counts)]
        words += ["--destroy"] if arguments.only else [*_narrower(counts), "--destroy"]
    return VerbOutput(lines=lines, values=values, next_command=words)


NEEDED = ("latent", "weights", "original", "export")
"""Kinds without which nothing can be unlearned, audited or retrained from the original again."""


def _what_destroy_takes(counts: Counter[str]) -> list[str]:
    """A warning where `--destroy` would also remove networks that are still needed."""
    needed = [kind for kind in NEEDED if counts[kind]]
    if not needed:
        return []
    return [
        f"WARNING: without --only, --destroy also removes {', '.join(needed)} "
        f"({sum(counts[kind] for kind in needed)} files). No network can then be unlearned, audited or retrained from "
        "this original again."
    ]


def _narrower(counts: Counter[str]) -> list[str]:
    """The option that leaves these networks; nothing where only they were found, or none of them."""
    others = [kind for kind in counts if kind not in NEEDED]
    return ["--only", *others] if others and len(others) < len(counts) else []


VERB = Verb(ResidueArguments, run_residue)
