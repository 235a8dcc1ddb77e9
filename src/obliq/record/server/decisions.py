"""What an officer decides, from a new request in two steps to the end of a case; and what devices report."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from obliq.data import parse_selector
from obliq.data.selectors import Classes, Listed, Selector, Subjects
from obliq.errors import DataError, ObliqError, RecordError
from obliq.record.lookalikes import require_new_number
from obliq.record.other_cases import RequestEffects, effects_of, require_moderate_together
from obliq.record.requests import Understood, approve, close, confirm, receive, reject, request_of, understand
from obliq.record.server.rendering import page
from obliq.record.server.site import Site, Visit
from obliq.record.values import parse_day, require_text
from obliq.run import utc_now

MOST_DRAFTS = 5
"""Requests of one session that were explained and not yet accepted; the oldest is dropped."""
UPLOADED = Path("the uploaded list")
"""What errors and the encrypted request call a list of ids that was uploaded."""


@dataclass(frozen=True, kw_only=True)
class RequestDraft:
    """A request that was explained to an officer, who has not accepted it yet.

    Attributes:
        case: number of the case.
        received: day on which it arrived; empty for today.
        understood: what it means.
    """

    case: str
    received: str
    understood: Understood


def show_request_form(visit: Visit) -> Response:
    """The form for a new request."""
    return _request_form(visit, {}, "")


def explain_request(visit: Visit) -> Response:
    """State what a request means in samples; nothing is noted yet."""
    assert visit.session is not None
    form = visit.form
    try:
        draft, effects = _draft(visit)
    except ObliqError as error:
        return _request_form(visit, form, str(error), status=400)
    drafts = visit.session.drafts
    while len(drafts) >= MOST_DRAFTS:
        del drafts[next(iter(drafts))]
    secret = secrets.token_urlsafe(16)
    drafts[secret] = draft
    splits = draft.understood.splits
    return page(
        visit,
        "explained",
        draft=draft,
        secret=secret,
        count=len(splits.forget),
        of=len(splits.forget) + len(splits.retain),
        effects=effects,
        policy=visit.snapshot().state.begun.policy,
        known=draft.case in visit.snapshot().state.cases,
    )


def accept_request(visit: Visit) -> Response:
    """Note a request that was explained before."""
    assert visit.session is not None
    draft = visit.session.drafts.get(visit.form.get("draft", ""))
    if draft is None:
        raise RecordError(
            "this request was accepted already, or the server was started again; enter it again"
        )
    receive(visit.site.record, draft.case, draft.understood, visit.actor, draft.received)
    visit.session.drafts.pop(visit.form["draft"], None)
    return to_case(draft.case)


def reject_request(visit: Visit) -> Response:
    """Note why a request will not be answered by unlearning; a case that is not known yet is noted as new."""
    case = visit.form.get("case", "")
    reject(
        visit.site.record,
        case,
        visit.form.get("reason", "").strip(),
        visit.actor,
        visit.form.get("received", ""),
    )
    return to_case(case)


def approve_case(visit: Visit) -> Response:
    """Note that the officer approves a request."""
    case = visit.form.get("case", "")
    approve(visit.site.record, case, visit.actor)
    return to_case(case)


def reveal_case(visit: Visit) -> Response:
    """Show what the request of an open case names. It is sent as a form, so that no address leads to it."""
    record, state = visit.site.record, visit.snapshot().state
    case = state.case(visit.form.get("case", ""))
    if case.closed or case.received.encrypted is None:
        raise RecordError(
            f"nobody can read what case {case.number} names; expected an open case with a request"
        )
    request = request_of(record, case, state)
    listed = "ids=" in request.selector  # the name of a list does not state what it holds
    return page(
        visit,
        "revealed",
        case=case.number,
        selector=request.selector,
        count=len(request.ids),
        ids=[str(one) for one in request.ids] if listed else [],
    )


def close_case(visit: Visit) -> Response:
    """Close a case, which destroys the key of its request."""
    record, number = visit.site.record, visit.form.get("case", "")
    if visit.form.get("understood") != "yes":
        raise RecordError(
            "the box was not checked; expected your word that the key of the request is destroyed"
        )
    case = record.state().case(number)
    parts = visit.site.partition() if case.batch is not None and case.closed is None else None
    close(record, number, visit.actor, parts=parts, reason=visit.form.get("reason", "").strip())
    return to_case(number)


def confirm_devices(visit: Visit) -> Response:
    """Note how many devices confirmed a batch."""
    numbers = [_count_in(visit.form, name) for name in ("floor", "devices")]
    confirm(visit.site.record, numbers[0], numbers[1], visit.actor)
    return RedirectResponse("/devices", 303)


def to_case(number: str) -> Response:
    """Lead to the page of a case."""
    return RedirectResponse(f"/case?number={quote(number, safe='')}", 303)


def selector_of(kind: str, value: str, upload: bytes | None) -> Selector:
    """What a form or a program names. It never names a file of the server.

    Args:
        kind: subject, class or ids.
        value: names or numbers of people or classes, with commas between them; for ids one a line.
        upload: the list of ids as a file.

    Raises:
        DataError: for anything else.
    """
    if kind == "ids":
        content = upload if upload is not None else value.encode()
        if not content.strip():
            raise DataError("no ids were given; expected a file with one id a line")
        return Listed(UPLOADED, content)
    if kind not in ("subject", "class") or not value.strip():
        raise DataError("nothing to forget was named; expected a person, a class or a list of ids")
    selector = parse_selector(f"{kind}={value.strip()}")
    if not isinstance(selector, Subjects | Classes):
        raise DataError(f"{value[:40]!r}; expected names or numbers of one kind, with commas between them")
    return selector


def understood_request(
    site: Site, case: str, selector: Selector, received: str, *, accept_large: bool
) -> tuple[Understood, RequestEffects]:
    """What a request means, and what it has to do with other cases and with samples that are retained.

    Raises:
        ObliqError: when it does not fit the data, the limits or the record.
    """
    require_text(case_number=case)
    state = site.record.state()
    if case not in state.cases:
        require_new_number(case, state.cases)
    if received and parse_day("the day of arrival", received) > utc_now().date():
        raise RecordError(f"the day of arrival {received} lies ahead; expected one up to today")
    parts = site.partition()
    understood = understand(parts, selector, accept_large=accept_large)
    require_moderate_together(site.record, parts, state, case, understood, accept=accept_large)
    return understood, effects_of(site.record, parts, state, case, understood.splits)


def _draft(visit: Visit) -> tuple[RequestDraft, RequestEffects]:
    form = visit.form
    case, received = form.get("case", ""), form.get("received", "")
    selector = selector_of(form.get("kind", ""), form.get("value", ""), visit.upload)
    understood, effects = understood_request(
        visit.site, case, selector, received, accept_large=form.get("accept_large") == "yes"
    )
    return RequestDraft(case=case, received=received, understood=understood), effects


def _request_form(visit: Visit, form: Mapping[str, str], error: str, status: int = 200) -> Response:
    return page(
        visit,
        "request",
        status=status,
        error=visit.site.without_paths(error),
        form={name: form.get(name, "") for name in ("case", "kind", "value", "received", "accept_large")},
        today=utc_now().date().isoformat(),
    )


def _count_in(form: Mapping[str, str], name: str) -> int:
    """A count that a form holds, which is text until now."""
    text = form.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise RecordError(f"{name} {text[:20]!r}; expected a whole number from 0")
    return int(text)
