"""Logging in and out, which a stranger who tries many passwords neither breaks nor holds up for others.

A browser in which somebody logged in before carries a second cookie, the device cookie. Its logins wait in a queue of
their own, and only its own failures count against it. Source: OWASP, "Slow Down Online Guessing Attacks with Device
Cookies".
"""

import asyncio
import functools
import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from obliq.record.server.accounts import LONGEST_PASSWORD, Account, PasswordHash
from obliq.record.server.rendering import message, page
from obliq.record.server.site import Visit

DEVICE_SECONDS = 180 * 24 * 3600
"""A device cookie lasts so long."""
_EVERYBODY = ""


class LoginQueue:
    """Threads of their own for logins, so that checks of passwords do not take those that answer everybody else.

    Args:
        threads: passwords that are checked at once; each takes 32 MiB and most of a core.
        most: logins that are checked or wait; further ones are refused at once.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="login")
        self.places = threading.BoundedSemaphore(most)

    async def answer(self, handle: Callable[[Visit], Response], visit: Visit) -> Response:
        """Answer a login in its turn; 503 where too many wait."""
        if not self.places.acquire(blocking=False):
            words = "Many people log in at once. Try again."
            return await run_in_threadpool(message, visit, "Try again", words, 503)
        # the place is given back by the thread, since the browser may be gone before
        done = self._threads.submit(self._then_leave, handle, visit)
        return await asyncio.wrap_future(done)

    def _then_leave(self, handle: Callable[[Visit], Response], visit: Visit) -> Response:
        try:
            return handle(visit)
        finally:
            self.places.release()


class LoginQueues:
    """One queue for everybody, and one for browsers with a device cookie."""

    def __init__(self) -> None:
        self.strangers, self.known = LoginQueue(2, 12), LoginQueue(1, 12)

    async def answer(self, handle: Callable[[Visit], Response], visit: Visit) -> Response:
        """Answer a login in the queue where it belongs."""
        account = visit.site.accounts.named(_name(visit))
        queue = self.known if _known_device(account, visit.device) else self.strangers
        return await queue.answer(handle, visit)


def show_login(visit: Visit) -> Response:
    """The form to log in."""
    if visit.account is not None:
        return RedirectResponse("/", 303)
    return page(visit, "login", error="", name="")


def log_in(visit: Visit) -> Response:
    """Check a password, at most so often, and begin a session."""
    site, name = visit.site, _name(visit)
    account = site.accounts.named(name)
    device = _known_device(account, visit.device)
    key = device or " ".join(name.split()).casefold()
    wait = site.failures.seconds_to_wait(key)
    if not device:
        wait = max(wait, site.all_failures.seconds_to_wait(_EVERYBODY))
    if wait > 0:
        site.report("a login was refused after too many failures")
        words = f"There were too many failed logins. Try again in {int(wait) // 60 + 1} minutes."
        answer = page(visit, "login", status=429, error=words, name=name)
        answer.headers["retry-after"] = str(int(wait) + 1)
        return answer
    # counted before the slow check, so that many at once are counted, too
    site.failures.count(key)
    if not device:
        site.all_failures.count(_EVERYBODY)
    known = account.password if account else None
    fits = (known or _of_nobody()).fits(visit.form.get("password", "")[: LONGEST_PASSWORD + 1])
    if account is None or known is None or not fits:
        site.report("a login failed")  # without the name, in whose place a password may have been typed
        return page(visit, "login", status=401, error="Name or password is wrong.", name=name)
    site.failures.forget(key)
    if not device:
        site.all_failures.take_back(_EVERYBODY)
    return _logged_in(visit, account)


def log_out(visit: Visit) -> Response:
    """End the session."""
    visit.site.sessions.end(visit.secret)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(
        visit.site.cookie, path="/", secure=visit.site.secure, httponly=True, samesite="strict"
    )
    return answer


def _name(visit: Visit) -> str:
    return visit.form.get("name", "").strip()[:200]


def _logged_in(visit: Visit, account: Account) -> Response:
    site, answer = visit.site, RedirectResponse("/", 303)
    place = secrets.token_hex(16)
    device = f"{place}.{_signature(account, place)}"
    for name, value, seconds in (
        (site.cookie, site.sessions.begin(account), None),
        (site.device_cookie, device, DEVICE_SECONDS),
    ):
        answer.set_cookie(
            name, value, max_age=seconds, path="/", secure=site.secure, httponly=True, samesite="strict"
        )
    return answer


def _known_device(account: Account | None, cookie: str) -> str:
    """What the failures of a device are counted under; empty where nobody logged in to this account from it."""
    place, _, signature = cookie.partition(".")
    if account is None or account.password is None or not signature.isascii():
        return ""
    return cookie if hmac.compare_digest(signature, _signature(account, place)) else ""


def _signature(account: Account, place: str) -> str:
    """Keyed by what is kept of the password, which is secret and random, so that a new password ends the cookie."""
    assert account.password is not None
    key = hashlib.sha256(f"obliq device cookie {account.password.hash}".encode()).digest()
    return hmac.new(key, place.encode(), hashlib.sha256).hexdigest()


@functools.cache
def _of_nobody() -> PasswordHash:
    """Checked for names that are not there, so that the time of an answer does not show which names are."""
    return PasswordHash.of("a password that nobody has")
