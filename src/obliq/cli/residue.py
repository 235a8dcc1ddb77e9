"""`obliq residue`: what below a folder still holds a request or the network before it forgot."""

from collections import Counter
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from obliq.cli.options import Architecture, File, Flag, Folder, OutputOptions
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import ObliqError

if TYPE_CHECKING:
    from obliq.record.residue import Residue

Kind = Literal["request", "source", "latent", "weights", "original", "export", "patch", "images", "draft"]


@dataclass(frozen=True, kw_only=True)
class ResidueArguments:
    """List and destroy what still holds a request or the original.

    Example: obliq residue runs

    Files are found by what they hold, also in hidden folders: requests, paths of data, float (latent) weights,
    weights that `obliq adopt` read, the original, files that were exported from it, patches, reports with images
    of forgotten samples, and unfinished results. A network between two requests counts as an original, since it
    remembers the later one. Obliq cannot find lists of ids of your own, archives, backups and copies on other machines.

    Destroying removes files. A disk can still hold their bytes afterwards (SECURITY.md). What lies in the folder of
    an erasure record is listed and left alone, because the record needs it.

    Attributes:
        folder: Where to look. Folders below it are searched, too.
        only: Only these kinds.
        original: Folder of the original, if it is elsewhere. The files that were exported from it are then found.
        destroy: Destroy the listed files, and write a record with their digests and the time.
        record: New file for this record. By default destroyed.json in DIR.
        give_up_record: Also destroy what this erasure record holds. It can then no longer be verified, and may not be
            able to answer requests.
    """

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    only: Annotated[tuple[Kind, ...], tyro.conf.arg(metavar="KIND [KIND ...]", help_behavior_hint="")] = ()
    original: Folder = None
    destroy: Flag = False
    record: File = None
    give_up_record: Folder = None
    arch: Architecture = None
    output: OutputOptions = field(default_factory=OutputOptions)


def run_residue(arguments: ResidueArguments, progress: StageListener) -> VerbOutput:
    """List residue, and destroy it if that is wanted."""
    from obliq.cli.next_command import free_name, repeated_options
    from obliq.cli.tables import table
    from obliq.io.atomic import refuse_existing_file
    from obliq.io.strict_json import encode
    from obliq.record.residue import KINDS, destroy_residue, find_residue

    folder, record = arguments.folder, arguments.record or free_name(arguments.folder / "x", "destroyed.json")
    if arguments.destroy:
        refuse_existing_file(record, overwrite=False)
    found = find_residue(folder, arguments.only, original=arguments.original, architecture=arguments.arch)
    free, held = _divided(found, arguments)
    counts = Counter(one.kind for one in found)
    lines = table(
        ["file", "kind", "bytes", *(["record"] if held else [])],
        [[one.file, one.kind, f"{one.bytes:,}", *([one.record] if held else [])] for one in found],
    )
    lines += ["", *(f"{kind}: {KINDS[kind]}" for kind in KINDS if kind in counts)]
    values = {"folder": str(folder), "found": encode(found), "destroyed": False}
    words: list[str | Path] = ["residue", folder]
    if arguments.only:
        words += ["--only", *arguments.only]
    if arguments.give_up_record:
        words += ["--give-up-record", arguments.give_up_record]
    words += repeated_options(None, architecture=arguments.arch)
    if not found:
        lines = [f"no residue of {', '.join(arguments.only or KINDS)} below {folder}"]
    elif arguments.destroy and free:
        destroy_residue(folder, free, record)
        lines = [*lines, f"destroyed {len(free)} files; the record is {record}"]
        values |= {"destroyed": True, "record": str(record)}
    elif free:
        free_counts = Counter(one.kind for one in free)
        lines += ["", *_what_destroy_takes(free_counts)]
        words += ["--destroy"] if arguments.only else [*_narrower(free_counts), "--destroy"]
    for place, files in held.items():
        lines += ["", *_what_a_record_holds(place, files)]
    if held and (arguments.destroy or not free):
        words = _due_in(next(iter(held)))
    return VerbOutput(lines=lines, values=values, next_command=words)


def _divided(
    found: "list[Residue]", arguments: ResidueArguments
) -> "tuple[list[Residue], dict[Path, list[Residue]]]":
    """What may be destroyed, and what records hold, by their folders.

    Raises:
        ObliqError: when the record that is to be given up holds none of the files.
    """
    given_up = arguments.give_up_record
    free: list[Residue] = []
    held: dict[Path, list[Residue]] = {}
    for one in found:
        place = Path(normpath(arguments.folder / one.record)) if one.record else None
        if place is None or (given_up is not None and place.resolve() == given_up.resolve()):
            free.append(one)
        else:
            held.setdefault(place, []).append(one)
    if given_up is not None and not any(one.record for one in free):
        raise ObliqError(
            f"--give-up-record {given_up}: no record in that folder holds any of the files; expected "
            + (f"one of {', '.join(map(str, held))}" if held else "no such option")
        )
    return free, held


def _what_a_record_holds(record: Path, files: "list[Residue]") -> list[str]:
    """Why `--destroy` leaves the files of a record, and what removes them."""
    return [
        f"The record {record} holds {len(files)} of these files, and --destroy leaves them: `obliq record verify`, "
        "`run` and `add` read them. Closing a case destroys the key of its request. To destroy the files of a record "
        f"that you no longer need: --give-up-record {record}"
    ]


def _due_in(record: Path) -> list[str | Path]:
    """What is due in a record; its check where the log cannot be read."""
    from obliq.cli.record.next_step import due_command
    from obliq.cli.record.options import RecordOptions, open_record

    options = RecordOptions(record=record)
    try:
        opened = open_record(options)
        return list(due_command(opened, opened.state(), options))
    except ObliqError:
        return ["record", "verify", record]


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
