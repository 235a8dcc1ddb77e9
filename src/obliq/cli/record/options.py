"""What the verbs of a record share. Read without torch, so that `--help` does not wait for it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from obliq.cli.options import DataOptions, Folder, OutputOptions

if TYPE_CHECKING:
    from obliq.checkpoints import Checkpoint
    from obliq.data import Partition
    from obliq.record.folder import Record
    from obliq.record.state import RecordState

Actor = Annotated[
    str,
    tyro.conf.arg(metavar="NAME", help="Who does this. The log keeps the name; obliq does not check it."),
]
CaseNumber = tyro.conf.Positional[str]
Day = Annotated[str, tyro.conf.arg(metavar="DAY", help_behavior_hint="")]
Reason = Annotated[str, tyro.conf.arg(metavar="REASON", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Which record.

    Attributes:
        record: Folder of the record.
        keys: Folder with the keys of the requests, if they were moved.
    """

    record: tyro.conf.Positional[Path]
    keys: Folder = None
    output: OutputOptions = field(default_factory=OutputOptions)


def open_record(options: RecordOptions) -> "Record":
    """The record that the options name."""
    from obliq.record.folder import Record

    return Record(options.record, options.keys)


def load_data(record: "Record", data: DataOptions) -> "tuple[Checkpoint, Partition]":
    """The original network of a record, and the data that it was trained on."""
    from obliq.workflow.pipeline import same_partition, source_now

    original = record.original(data.arch)
    parts = same_partition(original, data.data_folder, data.data)
    return replace(original, source=source_now(original, parts)), parts


def number_of(count: int, noun: str) -> str:
    """A number with its noun, such as `1 case` and `2 cases`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def head_line(state: "RecordState") -> str:
    """The line with the digest that shows later whether the log is still the same."""
    return f"head    {state.head}"
