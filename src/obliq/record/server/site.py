"""What one server works with, and what a single request to it consists of."""

import hashlib
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from obliq.data import Partition
from obliq.io.visible_text import visible_text
from obliq.record.folder import Record
from obliq.record.server.accounts import Account, Accounts, Role
from obliq.record.server.background import BackgroundRun
from obliq.record.server.reader import RecordReader, Snapshot
from obliq.record.server.sessions import (
    FAILURE_SECONDS,
    MOST_FAILURES,
    MOST_FAILURES_OF_ALL,
    FailureLimit,
    Session,
    Sessions,
)
from obliq.run import utc_now

_OPTIONS = {
    "--reject REASON notes it and why": "rejecting it notes it and why",
    "--received": "the day of arrival",
    "or --reason to close": "or a reason to close",
    " (`obliq record confirm`)": "",
    "`obliq record confirm`": "a report of devices",
    " (`obliq record run`)": "",
    "`obliq record list` shows all": "the list of cases shows all",
    "--accept-large": "the box for large requests",
}
"""What messages call options of the command line, and what the page calls them."""
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
        run: `obliq record run` in a process of its own.
    """

    def __init__(
        self,
        record: Record,
        accounts: Accounts,
        *,
        hosts: frozenset[str] = LOOPBACK,
        secure: bool = False,
        clock: Callable[[], float] = time.monotonic,
        load: Callable[[], Partition] | None = None,
        run_options: Sequence[str] = (),
        port: int = 8017,
    ) -> None:
        which = f"{record.state().begun.record} {port}"
        self._mark = f"obliq-{hashlib.sha256(which.encode()).hexdigest()[:16]}"
        self.record, self.accounts, self.hosts, self.secure = record, accounts, hosts, secure
        self.reader, self.sessions = RecordReader(record), Sessions(clock)
        self.failures = FailureLimit(MOST_FAILURES, FAILURE_SECONDS, clock)
        self.all_failures = FailureLimit(MOST_FAILURES_OF_ALL, FAILURE_SECONDS, clock)
        self.run = BackgroundRun(accounts.file.parent)
        self._load, self._run_options = load or (lambda: record.partition(None)), tuple(run_options)
        self._partition: Partition | None = None
        self._loading = threading.Lock()

    @property
    def cookie(self) -> str:
        """Name of the cookie. With the prefix, browsers accept it only by TLS and for this host (RFC 6265bis).

        Browsers send the cookies of a host to all of its ports, so the name differs between servers.
        """
        return f"__Host-{self._mark}" if self.secure else self._mark

    @property
    def device_cookie(self) -> str:
        """Name of the cookie of browsers in which somebody logged in before."""
        return f"{self.cookie}-device"

    def partition(self) -> Partition:
        """The data of the record, which are loaded when they are first needed, and kept.

        Raises:
            ObliqError: when they are not there or not the same.
        """
        with self._loading:
            if self._partition is None:
                self._partition = self._load()
            return self._partition

    def run_words(self, words: Sequence[str]) -> list[str]:
        """The words of `obliq record run` for this record."""
        where = [str(self.record.folder.resolve()), "--keys", str(self.record.keys.folder.resolve())]
        return ["record", "run", *where, *self._run_options, *words]

    def report(self, words: str) -> None:
        """Print a line for the operator of the server; it holds no address, name or path."""
        print(f"obliq serve: {utc_now().isoformat(timespec='seconds')} {words}", file=sys.stderr, flush=True)

    def without_paths(self, text: str) -> str:
        """A message without the folders of this machine, for people who look at it from another one."""
        for folder, words in ((self.record.keys.folder, "the keys"), (self.record.folder, "the record")):
            # the folder may be called `record` or `.`, so that only its whole path counts, not a word of the message
            text = re.sub(rf"(?<![\w./\\~-]){re.escape(str(folder.resolve()))}(?![\w~-])", words, text)
            text = re.sub(rf"(?<![\w./\\~-]){re.escape(str(folder))}(?=[/\\])", words, text)
        for option, words in _OPTIONS.items():
            text = text.replace(option, words)
        return visible_text(_PATH.sub("(a file of the server)", text))


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request, after its account was checked.

    Attributes:
        site: the server.
        account: who makes it; None before login.
        session: theirs in a browser; None for programs.
        secret: of the session, from the cookie; empty for programs.
        device: the cookie of browsers in which somebody logged in before; empty where there is none.
        query: what follows the question mark.
        form: fields of the form.
        upload: content of the uploaded file; None where there is none.
        json: what a program sends; empty for a browser.
    """

    site: Site
    account: Account | None
    session: Session | None
    secret: str
    device: str = ""
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
