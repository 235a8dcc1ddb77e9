"""`obliq record recover`: go on with a log that lacks entries."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from obliq.cli.options import DataOptions
from obliq.cli.record.next_step import Words
from obliq.cli.record.options import Actor, RecordOptions, head_line, number_of, open_record
from obliq.cli.verbs import StageListener, Verb, VerbOutput


@dataclass(frozen=True, kw_only=True)
class RecordRecoverArguments(RecordOptions):
    """Go on with an older copy of the log when the newest is lost.

    Example: obliq record recover record --by "A. Example" --reason "disk failed, copy of May 2"

    Other commands refuse such a record, since the results of lost entries would be taken for those of others. Use the
    newest log if there is one. Otherwise, this command notes that entries are lost. Samples of cases that were closed
    in them stay withheld. Lost batches count as given up and keep their numbers. Requests that the log does not know
    are removed with their keys, and must be noted again. A case whose key is gone is closed with --reason.

    Attributes:
        reason: What happened. The log keeps it.
    """

    by: Actor
    reason: Annotated[str, tyro.conf.arg(metavar="REASON")]
    data: DataOptions = field(default_factory=DataOptions)


def run_record_recover(arguments: RecordRecoverArguments, progress: StageListener) -> VerbOutput:
    """Note that entries are lost."""
    from obliq.record.recovery import recover

    record = open_record(arguments)
    parts = record.partition(arguments.data.data_folder, arguments.data.data)
    state, removed = recover(record, arguments.by, arguments.reason, parts)
    keyless = [case.number for case in state.cases.values() if record.lost_key_of(case)]
    follows: Words = ("record", "list", arguments.record)
    if keyless:
        follows = ("record", "close", arguments.record, keyless[0], "--by", "NAME", "--reason", "REASON")
    keys = () if arguments.keys is None else ("--keys", arguments.keys)
    return VerbOutput(
        lines=[
            f"record  {arguments.record} goes on; the next batch is {len(state.batches) + 1}",
            *(
                [f"removed {number_of(removed, 'request')} of the lost entries; note them again"]
                if removed
                else []
            ),
            *([f"no key  {', '.join(keyless)}; close them with --reason"] if keyless else []),
            head_line(state),
        ],
        values={"removed": removed, "without_key": keyless, "head": state.head},
        next_command=(*follows, *keys),
    )


RECOVER = Verb(RecordRecoverArguments, run_record_recover)
