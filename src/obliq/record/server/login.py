"""Logging in and out."""

import functools
import threading

from starlette.responses import RedirectResponse, Response

from obliq.record.server.accounts import LONGEST_PASSWORD, PasswordHash
from obliq.record.server.rendering import page
from obliq.record.server.site import Visit

_AT_ONCE = threading.BoundedSemaphore(2)
"""Passwords that are checked at once: each takes 32 MiB and most of a core."""
_WAITING = threading.BoundedSemaphore(10)
"""Logins that wait for that; more would hold up the threads that answer everybody else."""
_EVERYBODY = ""


def show_login(visit: Visit) -> Response:
    """The form to log in."""
    if visit.account is not None:
        return RedirectResponse("/", 303)
    return page(visit, "login", error="", name="")


def log_in(visit: Visit) -> Response:
    """Check a password, at most so often, and begin a session."""
    site, name = visit.site, visit.form.get("name", "").strip()[:200]
    key = " ".join(name.split()).casefold()
    wait = max(site.failures.seconds_to_wait(key), site.all_failures.seconds_to_wait(_EVERYBODY))
    if wait > 0:
        site.report("a login was refused after too many failures")
        words = f"There were too many failed logins. Try again in {int(wait) // 60 + 1} minutes."
        answer = page(visit, "login", status=429, error=words, name=name)
        answer.headers["retry-after"] = str(int(wait) + 1)
        return answer
    if not _WAITING.acquire(blocking=False):
        return page(visit, "login", status=503, error="Many people log in at once. Try again.", name=name)
    try:
        return _checked(visit, name, key)
    finally:
        _WAITING.release()


def _checked(visit: Visit, name: str, key: str) -> Response:
    site = visit.site
    site.failures.count(key)  # before the slow check, so that many at once are counted, too
    account = site.accounts.named(name)
    known = account.password if account else None
    with _AT_ONCE:
        fits = (known or _of_nobody()).fits(visit.form.get("password", "")[: LONGEST_PASSWORD + 1])
    if account is None or known is None or not fits:
        site.all_failures.count(_EVERYBODY)
        site.report("a login failed")  # without the name, in whose place a password may have been typed
        return page(visit, "login", status=401, error="Name or password is wrong.", name=name)
    site.failures.forget(key)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        site.cookie,
        site.sessions.begin(account),
        path="/",
        secure=site.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


def log_out(visit: Visit) -> Response:
    """End the session."""
    visit.site.sessions.end(visit.secret)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(
        visit.site.cookie, path="/", secure=visit.site.secure, httponly=True, samesite="strict"
    )
    return answer


@functools.cache
def _of_nobody() -> PasswordHash:
    """Checked for names that are not there, so that the time of an answer does not show which names are."""
    return PasswordHash.of("a password that nobody has")
