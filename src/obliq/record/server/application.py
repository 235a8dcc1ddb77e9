"""The ASGI application: which page is where and for whom, and what every request is checked for first."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, Router

from obliq.errors import ObliqError
from obliq.io.strict_json import decode, encode, parse_json
from obliq.record.server import decisions, login, openapi, reading, work
from obliq.record.server.accounts import PEOPLE, Account, Role
from obliq.record.server.api import OPERATIONS, ApiCall, Operation
from obliq.record.server.login import LoginQueues
from obliq.record.server.protection import LARGEST_UPLOAD, Protection
from obliq.record.server.rendering import message
from obliq.record.server.sessions import Session
from obliq.record.server.site import Site, Visit

OFFICER: frozenset[Role] = frozenset({"officer"})
WORKERS: frozenset[Role] = frozenset({"officer", "engineer"})
LARGE = frozenset({"/request", "/api/requests"})
"""Paths that take a list of ids."""
MOST_FIELDS = 30


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        path: of its address.
        method: GET, which changes nothing, or POST.
        roles: who may use it; None for everybody, also before login.
        handle: what answers.
        polled: whether browsers ask for it again and again by themselves, which does not count as use of a session.
    """

    path: str
    method: str
    roles: frozenset[Role] | None
    handle: Callable[[Visit], Response]
    polled: bool = False


PAGES: tuple[Page, ...] = (
    Page("/", "GET", PEOPLE, reading.show_cases),
    Page("/case", "GET", PEOPLE, reading.show_case),
    Page("/devices", "GET", PEOPLE, reading.show_devices),
    Page("/record", "GET", PEOPLE, reading.show_record),
    Page("/report", "GET", PEOPLE, reading.show_report),
    Page("/certificate", "GET", PEOPLE, reading.show_certificate),
    Page("/audit.json", "GET", PEOPLE, reading.download_audit),
    Page("/record.json", "GET", PEOPLE, reading.export_cases),
    Page("/request", "GET", OFFICER, decisions.show_request_form),
    Page("/request", "POST", OFFICER, decisions.explain_request),
    Page("/request/accept", "POST", OFFICER, decisions.accept_request),
    Page("/request/reject", "POST", OFFICER, decisions.reject_request),
    Page("/case/approve", "POST", OFFICER, decisions.approve_case),
    Page("/case/reveal", "POST", OFFICER, decisions.reveal_case),
    Page("/case/close", "POST", OFFICER, decisions.close_case),
    Page("/devices", "POST", WORKERS, decisions.confirm_devices),
    Page("/work", "GET", PEOPLE, work.show_work, polled=True),
    Page("/work", "POST", WORKERS, work.start_work),
    Page("/work.json", "GET", PEOPLE, work.send_progress, polled=True),
    Page("/login", "GET", None, login.show_login),
    Page("/login", "POST", None, login.log_in),
    Page("/logout", "POST", PEOPLE, login.log_out),
    Page("/style.css", "GET", None, reading.send_style),
    Page("/openapi.json", "GET", None, openapi.send_description),
    Page("/progress.js", "GET", None, reading.send_script),
)


def application(site: Site) -> Protection:
    """The ASGI application of a server."""
    logins = LoginQueues()
    routes = [
        Route(one.path, _endpoint(site, one, logins), methods=[one.method])
        for one in sorted(PAGES, key=lambda one: one.path)
    ]
    routes += [Route(one.route, _api_endpoint(site, one), methods=[one.method]) for one in OPERATIONS]
    return Protection(Router(routes, redirect_slashes=False), site.hosts, LARGE, secure=site.secure)


def _endpoint(site: Site, one: Page, logins: LoginQueues) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        secret = request.cookies.get(site.cookie, "")
        account, session = _who(site, secret, used=not one.polled)
        visit = Visit(
            site=site,
            account=account,
            session=session,
            secret=secret,
            device=request.cookies.get(site.device_cookie, ""),
            query=dict(request.query_params),
        )
        if one.roles is not None and account is None:
            return RedirectResponse("/login", 303)
        if one.roles is not None and visit.role not in one.roles:
            return message(visit, "Not for your role", f"This is for the role {_or(one.roles)}.", 403)
        if one.method == "POST":
            if not _is_own(request):
                return message(visit, "Refused", "The form came from another site.", 403)
            try:
                form, upload = await _form(request)
            except (MultiPartException, FormParserError, UnicodeError):
                return message(visit, "Refused", "The form cannot be read.", 400)
            if session is not None and not session.accepts(form.get("csrf", "")):
                return message(visit, "Refused", "The form is out of date. Load the page again.", 403)
            visit = Visit(**{**vars(visit), "form": form, "upload": upload})
            if one.handle is login.log_in:
                return await logins.answer(login.log_in, visit)
        return await run_in_threadpool(_handled, one, visit)

    return answer


def _api_endpoint(site: Site, one: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        account = site.accounts.with_token(token.strip()) if scheme.lower() == "bearer" else None
        if account is None:
            return _refused(site, 401, "a token is needed, as `Authorization: Bearer TOKEN`")
        if account.role not in one.roles:
            return _refused(site, 403, f"this is for the role {_or(one.roles)}")
        return await run_in_threadpool(_called, site, one, account, request.path_params, await request.body())

    return answer


def _called(site: Site, one: Operation, account: Account, path: Mapping[str, str], text: bytes) -> Response:
    try:
        body = None if one.body is None else decode(one.body, parse_json(text), "the request")
        found = one.handle(ApiCall(site=site, actor=account.name, role=account.role, path=path, body=body))
    except ObliqError as error:
        return _refused(site, 400, str(error))
    except UnicodeEncodeError:
        return _refused(site, 400, "the request holds half of a character (a lone surrogate)")
    if isinstance(found, bytes):
        return Response(found, media_type="application/json")
    return JSONResponse(encode(found))


def _refused(site: Site, status: int, words: str) -> Response:
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"error": site.without_paths(words)}, status, headers=headers)


def _handled(one: Page, visit: Visit) -> Response:
    try:
        return one.handle(visit)
    except ObliqError as error:
        return message(visit, "Not possible", str(error), 400)
    except UnicodeEncodeError:
        return message(visit, "Not possible", "The form holds half of a character.", 400)


def _who(site: Site, secret: str, *, used: bool) -> tuple[Account | None, Session | None]:
    """The account and session of a cookie. An account that was changed or removed has no session any more."""
    session = site.sessions.find(secret, used=used) if secret else None
    if session is None:
        return None, None
    if site.accounts.named(session.account.name) != session.account:
        site.sessions.end(secret)
        return None, None
    return session.account, session


def _is_own(request: Request) -> bool:
    """Whether a form was sent by a page of ours. The origin is `null` where the policy sends no referrer."""
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "none"):
        return bool(site == "same-origin")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()


async def _form(request: Request) -> tuple[Mapping[str, str], bytes | None]:
    """Fields and the uploaded file of a form, within limits. The file stays in memory."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    _, options = parse_options_header(request.headers.get("content-type"))
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        # others are slow or fail on hostile text, such as punycode, and browsers send none
        raise MultiPartException("another charset than utf-8")
    if kind != "multipart/form-data":
        text = (await request.body()).decode(errors="replace")
        try:
            return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)), None
        except ValueError as error:
            raise MultiPartException("too many fields") from error
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=1, max_fields=MOST_FIELDS, max_part_size=LARGEST_UPLOAD
    )
    parser.spool_max_size = LARGEST_UPLOAD
    fields: dict[str, str] = {}
    upload: bytes | None = None
    found: Any = await parser.parse()
    for name, value in found.multi_items():
        if isinstance(value, str):
            fields[name] = value
        else:
            upload = (await value.read()) or None
    await found.close()
    return fields, upload


def _or(roles: frozenset[Role]) -> str:
    return " or ".join(sorted(roles))
