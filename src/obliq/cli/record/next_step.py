"""What is due in a record, and the command for it: it must run as it is when names are filled in."""

from pathlib import Path
from typing import TYPE_CHECKING

from obliq.cli.options import DataOptions
from obliq.cli.record.options import RecordOptions

if TYPE_CHECKING:
    from obliq.record.cases import Batch
    from obliq.record.folder import Record
    from obliq.record.state import RecordState

Words = tuple[str | Path, ...]


def repeated(record: "Record", options: RecordOptions, data: DataOptions | None = None) -> Words:
    """Options that the next verb needs too: where keys and data are, and the user's own code for data and network.

    Code of the user's is named, never imported: whoever types the command decides whether to trust it.
    """
    from obliq.cli.next_command import repeated_options
    from obliq.errors import ObliqError

    given = data or DataOptions()
    try:
        source = record.source()
    except ObliqError:  # the verb itself may not need the network
        return ()
    keys: Words = () if options.keys is None else ("--keys", options.keys)
    return (*keys, *repeated_options(given.data_folder, given.data, stored=source), *repeated_arch(record))


def repeated_arch(record: "Record") -> Words:
    """`--arch` with the user's own code, where the network is of such code."""
    from obliq.errors import ObliqError

    try:
        blueprint = record.blueprint()
    except ObliqError:
        return ()
    return ("--arch", blueprint.architecture) if blueprint.is_user_code else ()


def retraining_words(state: "RecordState", *, again: bool = False) -> Words:
    """What the next run must be told about references: the user's own training, files, or where their ids go.

    Args:
        state: of the record.
        again: whether the batch that is under way will be given up.
    """
    policy, batch = state.begun.policy, None if again else state.under_way
    way, missing = policy.retraining, policy.references - len(batch.retrained if batch else ())
    if way is None or not missing:
        return ()
    if way.way == "function":
        return ("--with", way.function)
    if way.way == "files":
        return ("--weights", *["FILE"] * policy.references) if batch else ("--retain-ids", "FILE")
    return ()


def expiry_words(batch: "Batch | None") -> Words:
    """`--expires` as in the plan of a batch without patches, or with another time to fill in where that has passed."""
    from obliq.cli.patch_files import clock
    from obliq.record.values import parse_time

    stated = None if batch is None or batch.patched else batch.planned.expires
    if stated is None:
        return ()
    return ("--expires", stated if parse_time("expires", stated) > clock() else "DAY")


def due_command(
    record: "Record", state: "RecordState", options: RecordOptions, data: DataOptions | None = None
) -> Words:
    """The verb that is due: a decision, a run, an approval, a report of devices, or the end of a case."""
    folder, last = options.record, state.last_batch
    by: Words = ("--by", "NAME")
    code = repeated(record, options, data)
    keys: Words = () if options.keys is None else ("--keys", options.keys)
    under_way = last is not None and not (last.patched or last.abandoned)
    again, expiry = retraining_words(state, again=True), expiry_words(last)
    if last is not None and last.refusal and under_way:
        return ("record", "run", folder, *by, "--again", "REASON", "--method", "NAME", *expiry, *again, *code)
    if under_way or state.waiting():
        return ("record", "run", folder, *by, *expiry, *retraining_words(state), *code)
    still_open = [case for case in state.cases.values() if not case.closed]
    for case in still_open:
        if case.accepted and not case.batch and state.missing_approvals(case):
            return ("record", "approve", folder, case.number, *by, *keys)
    devices = state.begun.policy.devices
    for case in still_open:
        if case.batch and case.batch.patched:
            confirmed = state.confirmed(case.batch.number)
            if confirmed < max(devices, 1):
                floor = str(case.batch.number)
                count = str(devices or "COUNT")
                return ("record", "confirm", folder, "--floor", floor, "--devices", count, *by, *keys)
            return ("record", "close", folder, case.number, *by, *code)
    for case in still_open:
        if case.rejected:
            return ("record", "close", folder, case.number, *by, *keys)
    return ("record", "add", folder, "CASE", "--forget", "WHAT", *by, *code)
