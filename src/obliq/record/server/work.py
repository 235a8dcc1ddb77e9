"""The work that is due: what waits, who may start it, and how far it is."""

import functools
import re
from collections.abc import Mapping
from dataclasses import asdict

from starlette.responses import JSONResponse, RedirectResponse, Response

from obliq.errors import RecordError
from obliq.methods import available_methods
from obliq.record.batches import Choices, chosen_method
from obliq.record.method_settings import method_of, parse_settings
from obliq.record.server.reader import Snapshot, steps_of
from obliq.record.server.rendering import page
from obliq.record.server.site import Visit
from obliq.record.state import RecordState
from obliq.record.values import require_text

_SETTING = re.compile(r"[A-Za-z][A-Za-z0-9_-]*=\S+")


def show_work(visit: Visit) -> Response:
    """What is due, and the progress of what runs."""
    state = visit.snapshot().state
    batch = state.under_way
    return page(
        visit,
        "work",
        status_of_run=_without_paths(visit),
        waiting=state.waiting(),
        lacking=[
            case
            for case in state.cases.values()
            if case.accepted
            and not (case.rejected or case.batch or case.closed)
            and state.missing_approvals(case)
        ],
        batch=batch,
        steps=steps_of(state, batch.number) if batch else [],
        is_due=state.is_due or _lacks_certificates(state),
        methods=_method_names(),
        uncertified=state.uncertified if _lacks_certificates(state) else [],
        policy=state.begun.policy,
    )


def send_progress(visit: Visit) -> Response:
    """The same for the script that keeps the page current."""
    snapshot = visit.snapshot()
    return JSONResponse(
        {**_without_paths(visit), "steps_done": _steps_done(snapshot), "head": snapshot.state.head}
    )


def start_work(visit: Visit) -> Response:
    """Start what is due; an officer may accept what was refused, an engineer may try another method."""
    form, state = visit.form, visit.snapshot().state
    accept, again = form.get("accept", "").strip(), form.get("again", "").strip()
    words = [f"--by={visit.actor}"]
    if (accept or again) and not (state.under_way and state.under_way.refusal):
        raise RecordError("no batch is refused; expected one to accept it or to try it again")
    if accept:
        if visit.role != "officer":
            raise RecordError("only an officer may accept what was refused")
        require_text(reason=accept)
        words += [f"--accept={accept}"]
    elif visit.role != "engineer":
        raise RecordError(
            "only an engineer may start the work; an officer gives the reason to accept a refusal"
        )
    elif again:
        require_text(reason=again)
        words += [f"--again={again}", *_method_words(form, state)]
    if not (state.is_due or accept or again or _lacks_certificates(state)):
        raise RecordError("nothing is due")
    visit.site.run.start(visit.site.run_words(words))
    return RedirectResponse("/work", 303)


def _lacks_certificates(state: RecordState) -> bool:
    """Whether the work would issue certificates, if the key that signs them is there."""
    return bool(state.begun.policy.certificate_key and state.uncertified)


@functools.cache
def _method_names() -> tuple[str, ...]:
    """Every method, which takes a search through all installed packages."""
    return tuple(sorted(available_methods()))


def _method_words(form: Mapping[str, str], state: RecordState) -> list[str]:
    """Another method and its settings, which are checked before anything starts."""
    settings = form.get("settings", "").split()
    if wrong := [text for text in settings if not _SETTING.fullmatch(text)]:
        raise RecordError(f"setting {wrong[0][:40]!r}; expected NAME=VALUE, such as epochs=8")
    given = parse_settings(settings) if settings else None
    method_of(*chosen_method(state.begun.policy, Choices(method=form.get("method") or None, settings=given)))
    words = [f"--method={form['method']}"] if form.get("method") else []
    return [*words, "--settings", *settings] if settings else words


def _without_paths(visit: Visit) -> dict[str, object]:
    found = asdict(visit.site.run.status())
    return {
        name: visit.site.without_paths(value) if isinstance(value, str) else value
        for name, value in found.items()
    }


def _steps_done(snapshot: Snapshot) -> int:
    state = snapshot.state
    return sum(done for _, done in steps_of(state, state.batches[-1].number)) if state.batches else 0
