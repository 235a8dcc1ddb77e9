"""The HTTP API for programs of a fleet and of an office, which send the token of an account with each request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from obliq.io.strict_json import OMITTED_BY_DEFAULT
from obliq.record.other_cases import SharedSamples
from obliq.record.requests import confirm, receive
from obliq.record.server.accounts import PEOPLE, Role
from obliq.record.server.decisions import selector_of, understood_request
from obliq.record.server.reading import batch_number, certificate_of
from obliq.record.server.site import Site
from obliq.record.state import RecordState
from obliq.record.summary import CaseSummary, summarise_cases
from obliq.run import utc_now


@dataclass(frozen=True, kw_only=True)
class SubmittedRequest:
    """A request to forget.

    Attributes:
        case: number of the case. It should not contain a name.
        kind: subject, class or ids.
        value: names or numbers of people or classes with commas between them, or ids one a line.
        received: day on which the request arrived, such as 2026-01-31; today when left out.
        accept_large: accept a request for more than half of the training samples, or for the last samples of a class
            that it does not name.
        dry_run: state what the request means, and note nothing.
    """

    case: str
    kind: str
    value: str
    received: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    accept_large: bool = field(default=False, metadata=OMITTED_BY_DEFAULT)
    dry_run: bool = field(default=False, metadata=OMITTED_BY_DEFAULT)


@dataclass(frozen=True, kw_only=True)
class ExplainedRequest:
    """What a request means.

    Attributes:
        means: what is to be forgotten, in words; it names who.
        samples: how many training samples.
        of: of how many.
        before: what was forgotten of it before, in words; empty for nothing.
        shared: other open cases that name some of the samples and wait for an answer.
        exposed: retained samples that the request would leave without a close companion; null where it is too large
            to check.
        case: the case; null where nothing was noted.
        head: digest of the last entry of the log.
    """

    means: str
    samples: int
    of: int
    before: str
    shared: tuple[SharedSamples, ...]
    exposed: int | None
    case: CaseSummary | None
    head: str


@dataclass(frozen=True, kw_only=True)
class ListedCases:
    """All cases.

    Attributes:
        cases: open ones by the day on which an answer is due, overdue ones first; then closed ones.
        overdue: how many of the open ones are overdue.
        head: digest of the last entry of the log.
    """

    cases: tuple[CaseSummary, ...]
    overdue: int
    head: str


@dataclass(frozen=True, kw_only=True)
class FleetReport:
    """How many devices run the network of a batch or a later one, and accept no earlier one.

    Attributes:
        devices: how many, all together. A later report replaces an earlier one; only people may lower it.
    """

    devices: int


@dataclass(frozen=True, kw_only=True)
class ConfirmedDevices:
    """What the record states about a batch afterwards.

    Attributes:
        floor: number of the batch, the sequence number of its patches.
        devices: how many devices confirmed it or a later one.
        of: how many devices there are; 0 where that is not known.
        head: digest of the last entry of the log.
    """

    floor: int
    devices: int
    of: int
    head: str


@dataclass(frozen=True, kw_only=True)
class ApiCall:
    """One call of a program, after its account was checked.

    Attributes:
        site: the server.
        actor: name of the account, which the log keeps.
        role: of the account.
        path: what the address names.
        body: what was sent, as the operation declares it.
    """

    site: Site
    actor: str
    role: Role
    path: Mapping[str, str]
    body: Any


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the API.

    Attributes:
        path: of its address, with names in braces.
        method: GET or POST.
        roles: whose tokens may call it.
        summary: what it does, in a line.
        body: what is sent; None for nothing.
        answer: what comes back; None for a certificate.
        handle: what answers.
    """

    path: str
    method: str
    roles: frozenset[Role]
    summary: str
    body: type[Any] | None
    answer: type[Any] | None
    handle: Callable[[ApiCall], Any]

    @property
    def route(self) -> str:
        """The path for the router. A case number may hold a slash."""
        return self.path.replace("{case}", "{case:path}")


def submit_request(call: ApiCall) -> ExplainedRequest:
    """Explain a request, and note it unless that is all."""
    body: SubmittedRequest = call.body
    selector = selector_of(body.kind, body.value, None)
    understood, effects = understood_request(
        call.site, body.case, selector, body.received, accept_large=body.accept_large
    )
    if body.dry_run:
        state, case = call.site.record.state(), None
    else:
        state = receive(call.site.record, body.case, understood, call.actor, body.received)
        case = _summary(state, body.case)
    splits = understood.splits
    return ExplainedRequest(
        means=understood.words,
        samples=len(splits.forget),
        of=len(splits.forget) + len(splits.retain),
        before=effects.before,
        shared=effects.shared,
        exposed=effects.exposed,
        case=case,
        head=state.head,
    )


def list_cases(call: ApiCall) -> ListedCases:
    """All cases."""
    state = call.site.reader.read().state
    cases = tuple(summarise_cases(state, utc_now().date()))
    late = sum(case.overdue for case in cases if case.days_left is not None)
    return ListedCases(cases=cases, overdue=late, head=state.head)


def get_case(call: ApiCall) -> CaseSummary:
    """One case."""
    return _summary(call.site.reader.read().state, call.path["case"])


def get_certificate(call: ApiCall) -> bytes:
    """The certificate of a case."""
    return certificate_of(call.site, call.path["case"])


def report_devices(call: ApiCall) -> ConfirmedDevices:
    """Note how many devices confirmed a batch; a device may not take back what was confirmed."""
    floor = batch_number("floor", call.path["floor"])
    state = confirm(call.site.record, floor, call.body.devices, call.actor, may_lower=call.role != "device")
    devices = state.confirmed(floor)
    return ConfirmedDevices(floor=floor, devices=devices, of=state.begun.policy.devices, head=state.head)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        path="/api/requests",
        method="POST",
        roles=frozenset({"officer"}),
        summary="Note a request. The same request under the same case number is noted once.",
        body=SubmittedRequest,
        answer=ExplainedRequest,
        handle=submit_request,
    ),
    Operation(
        path="/api/cases",
        method="GET",
        roles=PEOPLE,
        summary="List all cases, overdue ones first.",
        body=None,
        answer=ListedCases,
        handle=list_cases,
    ),
    Operation(
        path="/api/cases/{case}",
        method="GET",
        roles=PEOPLE,
        summary="One case.",
        body=None,
        answer=CaseSummary,
        handle=get_case,
    ),
    Operation(
        path="/api/certificates/{case}",
        method="GET",
        roles=PEOPLE,
        summary="The certificate of a case, as `obliq certificate verify` reads it.",
        body=None,
        answer=None,
        handle=get_certificate,
    ),
    Operation(
        path="/api/devices/{floor}/confirm",
        method="POST",
        roles=frozenset({"device", "engineer", "officer"}),
        summary="Note how many devices confirmed a batch. The same report twice is noted once.",
        body=FleetReport,
        answer=ConfirmedDevices,
        handle=report_devices,
    ),
)


def _summary(state: RecordState, number: str) -> CaseSummary:
    state.case(number)
    return next(one for one in summarise_cases(state, utc_now().date()) if one.case == number)
