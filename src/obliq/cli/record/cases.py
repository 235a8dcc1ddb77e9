"""`obliq record add`, `approve`, `confirm` and `close`: what people note in a record."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from obliq.cli.options import DataOptions
from obliq.cli.record.next_step import due_command, repeated, repeated_arch
from obliq.cli.record.options import (
    Actor,
    CaseNumber,
    Day,
    Reason,
    RecordOptions,
    head_line,
    open_record,
)
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import ObliqError, RecordError

if TYPE_CHECKING:
    from obliq.record.other_cases import RequestEffects


@dataclass(frozen=True, kw_only=True)
class RecordAddArguments(RecordOptions):
    """Note a request, or why it is rejected.

    Example: obliq record add record DSR-2026-0114 --forget subject=7 --by "A. Example"

    The answer states what the request means in samples, and which open cases name some of them, too. A request that
    does not fit the data, or that would forget too much (alone, or together with all other cases), is not noted. Adding
    the same request again changes nothing.

    Attributes:
        case: Number of the case. It should not contain a name.
        forget: What to forget, as for `obliq unlearn`: class=cat, subject=7, ids=FILE or request=FILE.
        received: Day on which the request arrived, such as 2026-01-31; today by default. The answer is due one month
            later.
        reject: Note instead that the request will not be answered by unlearning, and why. A request that fits no data
            of the network can be rejected without --forget.
        accept_large: Accept a request for more than half of the training samples, or for the last samples of a class
            that it does not name.
    """

    case: CaseNumber
    forget: Annotated[str | None, tyro.conf.arg(metavar="WHAT", help_behavior_hint="")] = None
    by: Actor
    received: Day = ""
    reject: Reason = ""
    accept_large: bool = False
    data: DataOptions = field(default_factory=DataOptions)


@dataclass(frozen=True, kw_only=True)
class RecordApproveArguments(RecordOptions):
    """Approve a request.

    Example: obliq record approve record DSR-2026-0114 --by "B. Example"

    The rules of the record state how many different people must approve a request before it is answered.

    Attributes:
        case: Number of the case.
    """

    case: CaseNumber
    by: Actor


@dataclass(frozen=True, kw_only=True)
class RecordConfirmArguments(RecordOptions):
    """Note how many devices run the new network.

    Example: obliq record confirm record --floor 1 --devices 250 --by fleet

    A device that has confirmed a patch refuses earlier ones: the sequence number of the patch is its floor. Count all
    devices whose floor is this number or a higher one. A later report replaces an earlier one for the same floor.

    Attributes:
        floor: Sequence number of the patch, which is the number of the batch.
        devices: How many devices have at least this floor.
    """

    floor: int
    devices: int
    by: Actor


@dataclass(frozen=True, kw_only=True)
class RecordCloseArguments(RecordOptions):
    """Close a case and destroy the key of its request.

    Example: obliq record close record DSR-2026-0114 --by "A. Example"

    The encrypted request is removed as well. Afterwards nobody can read who it was about, not even from a backup of the
    record. What remains are keyed
    fingerprints of its samples, so that later batches do not train on them again. Without the samples, the fingerprints
    reveal nothing.

    Attributes:
        case: Number of the case.
        reason: Why the case is closed before every device has confirmed.
    """

    case: CaseNumber
    by: Actor
    reason: Reason = ""
    data: DataOptions = field(default_factory=DataOptions)


def run_record_add(arguments: RecordAddArguments, progress: StageListener) -> VerbOutput:
    """Note a request, or its rejection."""
    from obliq.record.other_cases import effects_of, require_moderate_together
    from obliq.record.requests import receive, reject, understand
    from obliq.workflow.new_request import require_selectors

    record = open_record(arguments)
    if arguments.forget is not None:
        require_selectors([arguments.forget])
    record.require_whole()
    effects, known = None, arguments.case in record.state().cases
    if arguments.reject:
        state = reject(record, arguments.case, arguments.reject, arguments.by, arguments.received)
        words = f"rejected: {arguments.reject}"
    elif arguments.forget is None:
        raise RecordError("nothing to forget was named; expected --forget WHAT, or --reject REASON")
    else:
        parts = record.partition(arguments.data.data_folder, arguments.data.data)
        try:
            accept = arguments.accept_large
            understood = understand(parts, arguments.forget, accept_large=accept)
            require_moderate_together(
                record, parts, record.state(), arguments.case, understood, accept=accept
            )
        except ObliqError as error:
            raise RecordError(
                f"{error}. The request was not noted; --reject REASON notes it as rejected"
            ) from error
        effects = effects_of(record, parts, record.state(), arguments.case, understood.splits)
        state = receive(record, arguments.case, understood, arguments.by, arguments.received)
        words = f"to forget: {understood.words}"
    case = state.case(arguments.case)
    missing = state.missing_approvals(case)
    follows = due_command(record, state, arguments, arguments.data)
    keys = () if arguments.keys is None else ("--keys", arguments.keys)
    if case.rejected:
        follows = ("record", "close", arguments.record, case.number, "--by", arguments.by, *keys)
    elif missing:
        follows = ("record", "approve", arguments.record, case.number, "--by", "NAME", *keys)
    return VerbOutput(
        lines=[
            f"case    {case.number}: {state.state_of(case)}" + (" (noted before)" if known else ""),
            words,
            *(_effect_lines(effects) if effects else ()),
            f"due     {case.due} (one month after {case.received.received})",
            *([f"needs   {missing} more to approve it"] if missing and not case.rejected else []),
            head_line(state),
        ],
        values={
            **_case_values(arguments, state, case),
            "means": words,
            **(asdict(effects) if effects else {}),
        },
        next_command=follows,
    )


def run_record_approve(arguments: RecordApproveArguments, progress: StageListener) -> VerbOutput:
    """Note an approval."""
    from obliq.record.requests import approve

    record = open_record(arguments)
    before = record.state().case(arguments.case).approvals
    state = approve(record, arguments.case, arguments.by)
    case = state.case(arguments.case)
    missing = state.missing_approvals(case)
    counted = len(case.approvals) > len(before)
    uncounted = f"not counted: {arguments.by} approved the case before"
    follows = due_command(record, state, arguments)
    if missing:
        keys = () if arguments.keys is None else ("--keys", arguments.keys)
        follows = ("record", "approve", arguments.record, case.number, "--by", "NAME", *keys)
    return VerbOutput(
        lines=[
            f"case    {case.number}: approved by {', '.join(case.approvals)}",
            *([] if counted else [f"{uncounted}; another person is needed" if missing else uncounted]),
            *([f"needs   {missing} more to approve it"] if missing else []),
            head_line(state),
        ],
        values={**_case_values(arguments, state, case), "counted": counted},
        next_command=follows,
    )


def run_record_confirm(arguments: RecordConfirmArguments, progress: StageListener) -> VerbOutput:
    """Note a report of the fleet."""
    from obliq.record.requests import confirm

    record = open_record(arguments)
    state = confirm(record, arguments.floor, arguments.devices, arguments.by)
    confirmed, wanted = state.confirmed(arguments.floor), state.begun.policy.devices
    of = f" of {wanted:,}" if wanted else ""
    cases = [
        case.number
        for case in state.cases.values()
        if case.batch and case.batch.number <= arguments.floor and not case.closed
    ]
    complete = confirmed >= wanted > 0 or (wanted == 0 and confirmed > 0)
    closing = complete and cases
    return VerbOutput(
        lines=[
            f"floor   {arguments.floor}: {confirmed:,}{of} devices",
            *([f"can be closed: {', '.join(cases)}"] if closing else []),
            head_line(state),
        ],
        values={"floor": arguments.floor, "devices": confirmed, "of": wanted, "head": state.head},
        next_command=(
            "record",
            "close",
            arguments.record,
            cases[0],
            "--by",
            "NAME",
            *repeated(record, arguments),
        )
        if closing
        else ("record", "list", arguments.record),
    )


def run_record_close(arguments: RecordCloseArguments, progress: StageListener) -> VerbOutput:
    """Close a case."""
    from obliq.record.requests import close

    record = open_record(arguments)
    case = record.state().case(arguments.case)
    needs_data = case.batch is not None and case.closed is None
    parts = record.partition(arguments.data.data_folder, arguments.data.data) if needs_data else None
    state = close(record, arguments.case, arguments.by, parts=parts, reason=arguments.reason)
    case = state.case(arguments.case)
    return VerbOutput(
        lines=[
            f"case    {case.number}: closed, {case.closed.outcome if case.closed else ''}",
            "the key of its request is destroyed, so the request can no longer be read; see What remains in the docs",
            head_line(state),
        ],
        values=_case_values(arguments, state, case),
        next_command=("record", "verify", arguments.record, "--head", state.head, *repeated_arch(record)),
    )


def _effect_lines(effects: "RequestEffects") -> list[str]:
    return [
        *([f"before  {effects.before}"] if effects.before else []),
        *(f"also    {one.words}" for one in effects.shared),
        *([f"WARNING: {effects.warning}"] if effects.warning else []),
    ]


def _case_values(arguments: RecordOptions, state: Any, case: Any) -> dict[str, Any]:
    from obliq.io.strict_json import encode
    from obliq.record.summary import summarise_cases
    from obliq.run import utc_now

    summary = next(one for one in summarise_cases(state, utc_now().date()) if one.case == case.number)
    return {**encode(summary), "head": state.head}


CASE_VERBS = {
    "record add": Verb(RecordAddArguments, run_record_add),
    "record approve": Verb(RecordApproveArguments, run_record_approve),
    "record confirm": Verb(RecordConfirmArguments, run_record_confirm),
    "record close": Verb(RecordCloseArguments, run_record_close),
}
