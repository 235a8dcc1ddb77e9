"""A small record behind `obliq serve`, for scripts that measure or kill its processes."""

import contextlib
import http.client
import json
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from tests.cli.conftest import SHORT, pictures
from tests.record.server.browser import PASSWORD, person

from obliq.cli import main
from obliq.record.folder import Record
from obliq.record.server import application, serve  # noqa: F401  # imported once, for all copies of this process
from obliq.record.server.accounts import (
    Account,
    Accounts,
    accounts_beside,
    new_token,
    token_digest,
)

HOST = "127.0.0.1"
LONGEST_WAIT = 60.0
"""Seconds after which anything that is waited for counts as a failure."""


class Server:
    """`obliq serve` in a copy of this process, which saves the seconds of importing everything."""

    def __init__(self, record: Path) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = int(free.getsockname()[1])
        self.record, self.process = record, 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = os.fork()
        if self.process == 0:
            status = 70
            with contextlib.suppress(BaseException):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                os.dup2(null, 2)
                status = main(["serve", str(self.record), "--port", str(self.port), "--threads", "1", "-q"])
            os._exit(status)
        deadline = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/login")[0] == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError("the server does not answer")

    def kill(self) -> None:
        """Kill it at once."""
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)

    def ask(
        self, method: str, address: str, body: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, HTTPMessage, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=LONGEST_WAIT)
        try:
            connection.request(method, address, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def log_in(self, name: str) -> "Login":
        """A session of an account."""
        form = {"content-type": "application/x-www-form-urlencoded"}
        words = urlencode({"name": name, "password": PASSWORD})
        status, headers, _ = self.ask("POST", "/login", words, form)
        if status != 303:
            raise RuntimeError(f"the login of {name} gave {status}")
        cookies = [one.partition(";")[0] for one in headers.get_all("set-cookie", [])]
        cookie = {"cookie": "; ".join(cookies)}
        page = self.ask("GET", "/work", headers=cookie)[2].decode()
        return Login(self, {**form, **cookie}, page.split('name="csrf" value="')[1].split('"')[0])


@dataclass(frozen=True)
class Login:
    """A session in a browser."""

    server: Server
    headers: dict[str, str]
    csrf: str

    def post(self, address: str, **form: str) -> int:
        """Send a form; the status."""
        words = urlencode({"csrf": self.csrf, **form})
        return self.server.ask("POST", address, words, self.headers)[0]

    def progress(self) -> dict[str, Any]:
        """What the work does, as the page states it."""
        found: dict[str, Any] = json.loads(self.server.ask("GET", "/work.json", headers=self.headers)[2])
        return found

    def is_running(self) -> bool:
        """Whether the work runs."""
        return bool(self.progress()["running"])


def obliq(*words: object) -> None:
    """Run a command, which must succeed."""
    with contextlib.redirect_stdout(None):
        status = main([*map(str, words), "-q"])
    if status != 0:
        raise RuntimeError(f"{words} gave {status}")


def prepared(folder: Path, epochs: int) -> tuple[Path, list[int], str]:
    """A record with accounts; the people who may ask, and the token of a program that submits requests.

    The rules accept every result: no reference is retrained, so an audit reaches no verdict that refuses.
    """
    np.savez(folder / "people.npz", **pictures())  # type: ignore[arg-type]
    obliq("train", f"npz:{folder / 'people.npz'}", "--out", folder / "original", *SHORT)
    record = folder / "record"
    rules = ["--references", "0", "--method", "oeu", "--settings", f"epochs={epochs}", "--devices", "2"]
    obliq("record", "init", folder / "original", "--out", record, "--by", "A", *rules)
    parts = Record(record).partition(None)
    assert parts.collection.subjects is not None
    people = parts.collection.subjects[parts.train.indices].unique().tolist()
    accounts, token = Accounts(accounts_beside(record)), new_token()
    accounts.put(person("officer", "officer"))
    accounts.put(person("engineer", "engineer"))
    accounts.put(Account(name="office", role="officer", password=None, token=token_digest(token)))
    return record, people, token


def submit(server: Server, token: str, case: str, who: int, kind: str = "subject") -> int:
    """Submit a request for a person, or for one sample (kind `ids`), by the API; the status."""
    body = json.dumps({"case": case, "kind": kind, "value": str(who), "accept_large": True})
    return server.ask("POST", "/api/requests", body, {"authorization": f"Bearer {token}"})[0]


def worker_of(record: Path) -> int:
    """The process that holds the lock of `obliq record run`."""
    return int((record / ".lock-holder").read_text().split()[1])
