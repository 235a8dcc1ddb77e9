"""What one server works with, and what a single request to it consists of."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from obliq.io.visible_text import visible_text
from obliq.record.folder import Record
from obliq.record.server.accounts import Account, Accounts, Role
from obliq.record.server.reader import RecordReader, Snapshot
from obliq.record.server.sessions import (
    FAILURE_SECONDS,
    MOST_FAILURES,
    MOST_FAILURES_OF_ALL,
    FailureLimit,
    Session,
    Sessions,
)

_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[/\\][\w.~+-]+(?:[/\\][\w.~+-]*)*")


LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names under which a browser on the same machine calls the page."""


class Site:
    """A server of one record.

    Attributes:
        record: the record.
        accounts: who may use it.
        hosts: names under which browsers may call it.
        secure: whether they reach it by TLS alone, through a proxy.
        reader: of the log.
        sessions: who is logged in.
        failures: failed logins by name.
        all_failures: failed logins together.
    """

    def __init__(
        self,
        record: Record,
        accounts: Accounts,
        *,
        hosts: frozenset[str] = LOOPBACK,
        secure: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.record, self.accounts, self.hosts, self.secure = record, accounts, hosts, secure
        self.reader, self.sessions = RecordReader(record), Sessions(clock)
        self.failures = FailureLimit(MOST_FAILURES, FAILURE_SECONDS, clock)
        self.all_failures = FailureLimit(MOST_FAILURES_OF_ALL, FAILURE_SECONDS, clock)

    @property
    def cookie(self) -> str:
        """Name of the cookie. With the prefix, browsers accept it only by TLS and for this host (RFC 6265bis)."""
        return "__Host-obliq" if self.secure else "obliq"

    def without_paths(self, text: str) -> str:
        """A message without the folders of this machine, for people who look at it from another one."""
        for folder, words in ((self.record.keys.folder, "the keys"), (self.record.folder, "the record")):
            for form in {str(folder), str(folder.resolve())}:
                text = text.replace(form, words)
        return visible_text(_PATH.sub("(a file of the server)", text))


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request, after its account was checked.

    Attributes:
        site: the server.
        account: who makes it; None before login.
        session: theirs in a browser; None for programs.
        secret: of the session, from the cookie; empty for programs.
        query: what follows the question mark.
        form: fields of the form.
        upload: content of the uploaded file; None where there is none.
        json: what a program sends; empty for a browser.
    """

    site: Site
    account: Account | None
    session: Session | None
    secret: str
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)
    upload: bytes | None = None
    json: Mapping[str, Any] = field(default_factory=dict)

    @property
    def actor(self) -> str:
        """The name that the log keeps."""
        assert self.account is not None
        return self.account.name

    @property
    def role(self) -> Role | None:
        """What the account may do; None before login."""
        return self.account.role if self.account else None

    def snapshot(self) -> Snapshot:
        """The record as it is now."""
        return self.site.reader.read()
