"""`obliq record list`, `show`, `verify` and `export`: what a record states."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from obliq.cli.options import Architecture, Overwrite
from obliq.cli.record.next_step import due_command, repeated_arch
from obliq.cli.record.options import CaseNumber, RecordOptions, head_line, number_of, open_record
from obliq.cli.tables import fields, table
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import RecordError

if TYPE_CHECKING:
    from obliq.record.events import Event


@dataclass(frozen=True, kw_only=True)
class RecordListArguments(RecordOptions):
    """List all cases, overdue ones first.

    Example: obliq record list record

    The due day is one month after the request arrived (Article 12(3) GDPR). Obliq does not know of holidays and of
    extensions that you have announced.
    """


@dataclass(frozen=True, kw_only=True)
class RecordShowArguments(RecordOptions):
    """Print everything that is known of one case.

    Example: obliq record show record DSR-2026-0114

    Attributes:
        case: Number of the case.
        reveal: Also print what the request names, if its key still exists.
    """

    case: CaseNumber
    reveal: bool = False


@dataclass(frozen=True, kw_only=True)
class RecordVerifyArguments(RecordOptions):
    """Check that nothing in a record was changed.

    Example: obliq record verify record --head 4b8e... (as an earlier command printed it)

    Edited, copied, reordered or removed entries of the log are found, and files that are not those that the log states.
    Entries that are missing at the end, and a log that was replaced as a whole, are found only with a head that was
    kept elsewhere. The exit status is 3 if there is a problem.

    Attributes:
        head: The head that an earlier command printed, or a certificate states.
    """

    head: Annotated[str | None, tyro.conf.arg(metavar="DIGEST", help_behavior_hint="")] = None
    arch: Architecture = None


@dataclass(frozen=True, kw_only=True)
class RecordExportArguments(RecordOptions):
    """Write all cases as one file for other programs.

    Example: obliq record export record --out cases.json

    The file has every case with its deadline and state, and every entry of the log. It names nobody but the people who
    worked on the cases.

    Attributes:
        out: New file.
    """

    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    overwrite: Overwrite = False


def run_record_list(arguments: RecordListArguments, progress: StageListener) -> VerbOutput:
    """Every case with its deadline."""
    from obliq.io.strict_json import encode
    from obliq.record.summary import summarise_cases
    from obliq.run import utc_now

    record = open_record(arguments)
    state = record.state()
    found = summarise_cases(state, utc_now().date())
    still_open = [case for case in found if case.days_left is not None]
    late = sum(case.overdue for case in still_open)
    head = ["case", "state", "due", "days left"]
    rows = [[case.case, case.state, case.due, _left(case.days_left)] for case in found]
    if state.begun.policy.certificate_key or any(case.certificate for case in found):
        head.append("certificate")
        rows = [[*row, "signed" if case.certificate else "-"] for row, case in zip(rows, found, strict=True)]
    summary = f"{number_of(len(still_open), 'open case')}, {late} overdue; {len(found)} in all"
    return VerbOutput(
        lines=[
            *(table(head, rows) if rows else []),
            *([""] if rows else []),
            summary,
            head_line(state),
        ],
        values={"cases": encode(found), "overdue": late, "head": state.head},
        next_command=due_command(record, state, arguments),
    )


def run_record_show(arguments: RecordShowArguments, progress: StageListener) -> VerbOutput:
    """One case, with its events."""
    from obliq.io.strict_json import encode
    from obliq.record.requests import request_of
    from obliq.record.summary import summarise_cases
    from obliq.run import utc_now

    record = open_record(arguments)
    entries, state = record.entries(), record.state()
    case = state.case(arguments.case)
    found = next(one for one in summarise_cases(state, utc_now().date()) if one.case == case.number)
    batches = {batch.number for batch in state.batches if case.number in batch.planned.cases}
    mine = [
        entry
        for entry in entries
        if getattr(entry.event, "case", None) == case.number or getattr(entry.event, "batch", None) in batches
    ]
    revealed: dict[str, Any] = {}
    if arguments.reveal:
        if case.closed:
            raise RecordError(
                f"case {case.number} is closed and its key was destroyed, so that nobody can read what it names; "
                "expected no --reveal"
            )
        request = request_of(record, case, state)
        revealed = {"forget": request.selector, "samples": len(request.ids)}
    values = {
        "case": found.case,
        "about": found.about,
        "state": found.state,
        "received": found.received,
        "due": f"{found.due}" + _days_in_words(found.days_left),
        "approved by": ", ".join(found.approvals) or "nobody",
        "references": state.begun.policy.references_in_words,
        **({"batch": f"{found.batch}, whose patches have this sequence number"} if found.batch else {}),
        **({"verdict": found.verdict} if found.verdict else {}),
        **({"devices": f"{found.devices:,} confirmed"} if found.batch else {}),
        **({"outcome": found.outcome} if found.outcome else {}),
        **(
            {"certificate": str(record.certificate(case.batch, case.number))}
            if case.batch and found.certificate
            else {}
        ),
        **({"forget": f"{revealed['forget']} ({revealed['samples']:,} samples)"} if revealed else {}),
    }
    return VerbOutput(
        lines=[
            *fields(values),
            "",
            *(
                f"{entry.time[:19]}Z  {entry.event.kind:<10}{entry.actor}{_reason(entry.event)}"
                for entry in mine
            ),
            "",
            head_line(state),
        ],
        values={
            **encode(found),
            **revealed,
            **({"certificate_file": values["certificate"]} if found.certificate else {}),
            "references": state.begun.policy.references_in_words,
            "entries": [entry.values() for entry in mine],
            "head": state.head,
        },
        next_command=due_command(record, state, arguments),
    )


def run_record_verify(arguments: RecordVerifyArguments, progress: StageListener) -> VerbOutput:
    """Check a record."""
    from obliq.io.strict_json import encode
    from obliq.record.verification import verify_record

    found = verify_record(open_record(arguments), arguments.head, arguments.arch)
    whole = "nothing was changed" if not found.problems else number_of(len(found.problems), "problem")
    return VerbOutput(
        lines=[
            f"{found.entries} entries, {whole}",
            *(f"PROBLEM: {problem}" for problem in found.problems),
            *(f"note: {note}" for note in found.notes),
            f"head    {found.head}",
        ],
        values=encode(found),
        next_command=("record", "list", arguments.record),
        unmet=found.problems[0] if found.problems else "",
    )


def run_record_export(arguments: RecordExportArguments, progress: StageListener) -> VerbOutput:
    """Write every case and every entry."""
    from obliq.io.atomic import refuse_existing_file
    from obliq.record.summary import SUMMARY_DOCUMENT, summarise_record
    from obliq.run import utc_now

    refuse_existing_file(arguments.out, overwrite=arguments.overwrite)
    record = open_record(arguments)
    state = record.state()
    summary = summarise_record(state, record.entries(), utc_now().isoformat())
    SUMMARY_DOCUMENT.write(arguments.out, summary, overwrite=arguments.overwrite)
    return VerbOutput(
        lines=[
            f"{number_of(len(summary.cases), 'case')}, {len(summary.entries)} entries in {arguments.out}",
            head_line(state),
        ],
        values={"file": str(arguments.out), "cases": len(summary.cases), "head": summary.head},
        next_command=(
            *("record", "verify", arguments.record, "--head", summary.head),
            *repeated_arch(record),
        ),
    )


def _reason(event: "Event") -> str:
    reason = getattr(event, "reason", "")
    return f": {reason}" if reason else ""


def _days_in_words(days: int | None) -> str:
    if days is None:
        return ""
    late = number_of(abs(days), "day")
    return f" ({late} left)" if days >= 0 else f" (OVERDUE by {late})"


def _left(days: int | None) -> str:
    if days is None:
        return "-"
    return str(days) if days >= 0 else f"OVERDUE {-days}"


READING_VERBS = {
    "record list": Verb(RecordListArguments, run_record_list),
    "record show": Verb(RecordShowArguments, run_record_show),
    "record verify": Verb(RecordVerifyArguments, run_record_verify),
    "record export": Verb(RecordExportArguments, run_record_export),
}
