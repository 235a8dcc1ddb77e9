"""What `obliq record run` prints: a batch that was answered or only planned, or that nothing is due."""

from typing import TYPE_CHECKING

from obliq.cli.record.next_step import due_command, expiry_words, repeated, retraining_words
from obliq.cli.record.options import head_line, number_of
from obliq.cli.verbs import VerbOutput

if TYPE_CHECKING:
    from datetime import datetime

    from obliq.cli.record.work import RecordRunArguments
    from obliq.data import Partition
    from obliq.record.cases import Batch
    from obliq.record.folder import Record
    from obliq.record.state import RecordState


def answered_output(
    record: "Record",
    state: "RecordState",
    batch: "Batch",
    expires: "datetime | None",
    lacking: str,
    arguments: "RecordRunArguments",
) -> VerbOutput:
    """A batch with its results, or why it was refused."""
    from obliq.io.strict_json import encode
    from obliq.record.keys_folder import FLEET_KEY

    folder = record.batch(batch.number)
    outcome = "refused" if batch.refusal else batch.state
    lines = [f"batch   {batch.number} ({', '.join(batch.planned.cases)}): {outcome}"]
    if batch.audited:
        lines.append(f"verdict {batch.audited.verdict or 'none'}, in {folder / 'audit' / 'report.html'}")
    if batch.patched:
        lines.append(f"file    {record.released(batch.number)}")
        lines += [
            f"patch   {folder / 'patches' / f'from-{made.base}.patch'}" for made in batch.patched.patches
        ]
        lines += _expiry_lines(expires)
        if not (arguments.plain or arguments.key_file):
            lines.append(f"key     {record.keys.file(FLEET_KEY)}, for devices alone")
    signed, files = _certificates(record, [batch], lacking)
    follows = due_command(record, state, arguments, arguments.data)
    if batch.refusal:
        other = ("--again", "REASON", "--method", "calibrated")
        follows = ("record", "run", arguments.record, "--by", arguments.by, *other)
        follows += (
            *expiry_words(batch),
            *retraining_words(state, again=True),
            *repeated(record, arguments, arguments.data),
        )
    return VerbOutput(
        lines=[*lines, *signed, head_line(state)],
        values={
            "batch": batch.number,
            "cases": list(batch.planned.cases),
            "state": outcome,
            "verdict": batch.audited.verdict if batch.audited else None,
            "patches": encode(batch.patched.patches) if batch.patched else [],
            "expires": _text_or_none(expires),
            "certificates": files,
            "certificates_due": bool(lacking and state.uncertified),
            "head": state.head,
        },
        next_command=follows,
        unmet=f"{batch.refusal}; expected --again REASON with another --method or --settings, or --accept REASON"
        if batch.refusal
        else "",
    )


def nothing_due_output(
    record: "Record", issued: "list[Batch]", lacking: str, arguments: "RecordRunArguments"
) -> VerbOutput:
    """Which requests wait for approval, and the certificates that were issued now."""
    state = record.state()
    unapproved = [
        case.number
        for case in state.cases.values()
        if case.accepted
        and not (case.rejected or case.batch or case.closed)
        and state.missing_approvals(case)
    ]
    words = "nothing else is due" if issued else "nothing is due"
    if unapproved:
        waiting = number_of(len(unapproved), "request") + (" waits" if len(unapproved) == 1 else " wait")
        words += f"; {waiting} for approval: {', '.join(unapproved)}"
    signed, files = _certificates(record, issued, lacking)
    return VerbOutput(
        lines=[*signed, words, head_line(state)],
        values={
            "batch": None,
            "waiting_for_approval": unapproved,
            "certificates": files,
            "certificates_due": bool(lacking and state.uncertified),
            "head": state.head,
        },
        next_command=due_command(record, state, arguments, arguments.data)
        if unapproved
        else ("record", "list", arguments.record),
    )


def planned_output(
    record: "Record",
    parts: "Partition",
    batch: "Batch",
    expires: "datetime | None",
    arguments: "RecordRunArguments",
) -> VerbOutput:
    """Write what the user may train references of a batch on."""
    from obliq.io.atomic import write_file
    from obliq.record.batches import batch_request

    state, file = record.state(), arguments.retain_ids
    assert file is not None
    retain = batch_request(record, parts, state, batch)[0].retain.indices.tolist()
    write_file(file, "".join(f"{one}\n" for one in retain), private=True)
    wanted = state.begun.policy.references
    return VerbOutput(
        lines=[
            f"batch   {batch.number} ({', '.join(batch.planned.cases)}): planned",
            f"ids     {len(retain):,} samples in {file}; delete it when the references are trained",
            f"needs   {wanted} networks that you retrain on these samples, each with another seed",
            *_expiry_lines(expires),
            head_line(state),
        ],
        values={
            "batch": batch.number,
            "cases": list(batch.planned.cases),
            "state": batch.state,
            "retain_ids": str(file),
            "expires": _text_or_none(expires),
            "head": state.head,
        },
        next_command=due_command(record, state, arguments, arguments.data),
    )


def _text_or_none(expires: "datetime | None") -> str | None:
    from obliq.io.utc import utc_text

    return None if expires is None else utc_text(expires)


def _expiry_lines(expires: "datetime | None") -> list[str]:
    """When patches expire, in a line; none where they do not."""
    return [] if expires is None else [f"expires {_text_or_none(expires)}, for devices that have a clock"]


def _certificates(record: "Record", batches: "list[Batch]", lacking: str) -> tuple[list[str], list[str]]:
    """The certificates of some batches as lines and as values; or why there are none."""
    files = [
        (case, str(record.certificate(batch, case)))
        for batch in batches
        if batch.certified
        for case in batch.planned.cases
    ]
    due = [str(batch.number) for batch in record.state().uncertified] if lacking else []
    lines = [f"signed  {file} ({case})" for case, file in files]
    if due:
        lines.append(f"signed  nothing for batch {', '.join(due)}: {lacking}")
    return lines, [file for _, file in files]
