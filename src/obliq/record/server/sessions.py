"""Who is logged in, and how often somebody may try to."""

import hashlib
import hmac
import secrets
import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from obliq.record.server.accounts import Account

IDLE_SECONDS, LONGEST_SECONDS = 30 * 60, 12 * 3600
"""A session ends after so long without a request, and after so long in any case."""
MOST_SESSIONS = 1000
MOST_FAILURES, FAILURE_SECONDS = 10, 300
"""So many failed logins in so many seconds are allowed for a name."""
MOST_FAILURES_OF_ALL = 100
"""The same for all names together, since a stranger may try many."""


@dataclass
class Session:
    """Somebody who is logged in.

    Attributes:
        account: as it was when they logged in; a changed account ends the session.
        csrf: random text that every form of theirs carries.
        began: seconds of a monotonic clock.
        used: the same, of the last request.
        drafts: requests that were explained to them and wait for their word; in memory alone.
    """

    account: Account
    csrf: str
    began: float
    used: float
    drafts: dict[str, Any] = field(default_factory=dict)

    def accepts(self, given: str) -> bool:
        """Whether a form carries the text of this session."""
        return hmac.compare_digest(self.csrf.encode(), given.encode())


class Sessions:
    """All sessions of a server. They are kept in memory, so a new start of the server ends them.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._sessions: dict[str, Session] = {}

    def begin(self, account: Account) -> str:
        """Begin a session; the secret that the cookie carries. Only its digest is kept."""
        secret, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._sessions = {name: one for name, one in self._sessions.items() if not _is_over(one, now)}
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[min(self._sessions, key=lambda name: self._sessions[name].used)]
            self._sessions[_digest(secret)] = Session(account, secrets.token_urlsafe(32), now, now)
        return secret

    def find(self, secret: str, *, used: bool = True) -> Session | None:
        """The session of a cookie; None where it is over. `used` is whether this counts as use of it."""
        now = self._clock()
        with self._lock:
            found = self._sessions.get(_digest(secret))
            if found is None or _is_over(found, now):
                self._sessions.pop(_digest(secret), None)
                return None
            if used:
                found.used = now
            return found

    def end(self, secret: str) -> None:
        """End a session, if there is one."""
        with self._lock:
            self._sessions.pop(_digest(secret), None)


class FailureLimit:
    """Counts failures by name within a window of time.

    Args:
        most: failures that are allowed in the window.
        seconds: its length.
        clock: seconds that never go back.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._lock = threading.Lock()
        self._failures: dict[Hashable, deque[float]] = {}

    def seconds_to_wait(self, name: Hashable) -> float:
        """How long nothing more is tried under this name; 0 where it may be."""
        now = self._clock()
        with self._lock:
            found = self._recent(name, now)
            return 0.0 if len(found) < self._most else found[-self._most] + self._seconds - now

    def count(self, name: Hashable) -> None:
        """Note a failure."""
        now = self._clock()
        with self._lock:
            for other in list(self._failures):
                if not self._recent(other, now):
                    del self._failures[other]
            self._failures.setdefault(name, deque(maxlen=self._most)).append(now)

    def take_back(self, name: Hashable) -> None:
        """Take the newest one back, which was counted before it was known to be a success."""
        with self._lock:
            if found := self._failures.get(name):
                found.pop()

    def forget(self, name: Hashable) -> None:
        """Begin to count again after a success."""
        with self._lock:
            self._failures.pop(name, None)

    def _recent(self, name: Hashable, now: float) -> deque[float]:
        found = self._failures.get(name, deque())
        while found and found[0] <= now - self._seconds:
            found.popleft()
        return found


def _is_over(session: Session, now: float) -> bool:
    return now - session.used > IDLE_SECONDS or now - session.began > LONGEST_SECONDS


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
