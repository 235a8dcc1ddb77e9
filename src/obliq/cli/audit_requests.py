"""The audit of every request that a network answers: of the newest and, if wanted, of each earlier one and part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from obliq.auditing import Audit
from obliq.cli.audit import AuditArguments
from obliq.cli.tables import number, table
from obliq.cli.verbs import StageListener
from obliq.data import Partition, Splits
from obliq.data.request_file import Request
from obliq.errors import AuditError
from obliq.report import ReportContext
from obliq.workflow.device_answers import DeviceRecording
from obliq.workflow.earlier_requests import counted_requests, roles_of_each
from obliq.workflow.report_context import kind_of_request


@dataclass(frozen=True, kw_only=True)
class AuditedRequest:
    """What was measured for one request.

    Attributes:
        title: its kind; never who it was about.
        audit: the numbers.
        context: what the report states around them.
    """

    title: str
    audit: Audit
    context: ReportContext


def each_request(
    arguments: AuditArguments,
    request: Request,
    parts: Partition,
    progress: StageListener,
    compare: Callable[[Request, Splits, DeviceRecording | None], Audit],
    context: Callable[[Request], ReportContext],
) -> Iterator[AuditedRequest]:
    """Audit every single request behind the newest one, oldest first; none unless `--requests all` is given.

    Args:
        arguments: what the user wants.
        request: the newest, with those before it and the parts of each.
        parts: the data.
        progress: shows the stage.
        compare: audits one request under its roles.
        context: what a report states around the numbers of one request.

    Raises:
        AuditError: where answers of a device were given, which are answers to samples of the newest request.
    """
    if arguments.requests == "newest":
        return
    if arguments.answers is not None:
        raise AuditError(
            "--requests all with --answers, which hold samples of the newest request; expected one of them"
        )
    every = roles_of_each(request, parts)
    for place, (one, roles) in enumerate(every, 1):
        progress.stage(f"auditing request {place} of {len(every)}")
        kind = kind_of_request(one.selector)
        stated = replace(context(one), request=f"{kind}, request {place} of {len(every)}")
        yield AuditedRequest(title=f"{place}: {kind}", audit=compare(one, roles, None), context=stated)


def newest_in_words(request: Request) -> str:
    """The kind of the newest request, and how many were answered before it."""
    before = f", after {counted_requests(request.earlier)} before" if request.earlier else ""
    return f"{kind_of_request(request.selector)}{before}"


def request_table(audited: Sequence[AuditedRequest]) -> list[str]:
    """A row for each request and network: whether what it named has come back."""
    rows = [
        [
            f"{one.title}, {entry.name}",
            f"{one.audit.counts.forget:,}",
            number(one.audit.original.values["forget_accuracy"]),
            number(entry.values["forget_accuracy"]),
            number(one.audit.retrained.values["forget_accuracy"] if one.audit.retrained else None),
            entry.verdict.word if entry.verdict else "-",
        ]
        for one in audited
        for entry in one.audit.unlearned
    ]
    header = ["request, network", "samples", "before", "after", "retrained", "verdict"]
    return [
        "",
        "Every request on its own, oldest first: accuracy on its samples, %",
        *table(header, rows),
    ]


def request_values(audited: Sequence[AuditedRequest]) -> list[dict[str, Any]]:
    """The same for the JSON object, with all numbers."""
    return [
        {
            "request": one.title,
            "samples": one.audit.counts.forget,
            "splits": one.audit.digests["splits"],
            "entries": [
                {"name": entry.name, **entry.values, "verdict": entry.verdict and entry.verdict.word}
                for entry in one.audit.entries
            ],
        }
        for one in audited
    ]
