"""A browser without a network: it calls the application, keeps cookies, and fills in what forms need."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from obliq.record.events import Event
from obliq.record.folder import Record
from obliq.record.log import LOG_FILE
from obliq.record.server.accounts import Account, Accounts, PasswordHash, Role
from obliq.record.server.site import Site
from tests.record.events import chained

PASSWORD = "correct horse battery"
QUICK = (2, 1, 1)
"""Costs of scrypt with which a test takes no time."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Browser:
    def __init__(self, site: Site, host: str = "127.0.0.1:8017") -> None:
        from obliq.record.server.application import application

        self.site, self.host = site, host
        self.cookies: dict[str, str] = {}
        self._application = application(site)

    def get(self, address: str, **headers: str) -> Answer:
        return self.send("GET", address, headers=headers)

    def post(self, address: str, form: Mapping[str, str] = {}, **headers: str) -> Answer:
        """A form as a page of ours sends it."""
        fields = {"csrf": self.csrf, **form}
        kind = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
        return self.send("POST", address, urlencode(fields).encode(), headers={**kind, **headers})

    def upload(self, address: str, form: Mapping[str, str], content: bytes, name: str = "ids.txt") -> Answer:
        parts = [
            f'Content-Disposition: form-data; name="{field}"\r\n\r\n{value}'.encode()
            for field, value in {"csrf": self.csrf, **form}.items()
        ]
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        parts.append(f"{head}Content-Type: text/plain\r\n\r\n".encode() + content)
        body = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
        return self.send("POST", address, body, {"content-type": "multipart/form-data; boundary=edge"})

    @property
    def csrf(self) -> str:
        session = self.site.sessions.find(self.cookies.get(self.site.cookie, ""))
        return session.csrf if session else ""

    def log_in(self, name: str, password: str = PASSWORD) -> Answer:
        return self.post("/login", {"name": name, "password": password})

    def send(
        self, method: str, address: str, body: bytes = b"", headers: Mapping[str, str] = {}, pieces: int = 1
    ) -> Answer:
        path, _, query = address.partition("?")
        given = {"host": self.host, "content-length": str(len(body)), **headers}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items() if value],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8017),
        }
        size = max(1, -(-len(body) // pieces))
        chunks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not chunks:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

        async def keep(message: Any) -> None:
            sent.append(message)

        asyncio.run(self._application(scope, receive, keep))
        received: dict[str, str] = {}
        for name, value in sent[0]["headers"]:
            before = f"{received[name.decode()]}\n" if name.decode() in received else ""
            received[name.decode()] = before + value.decode()
        answer = Answer(
            sent[0]["status"],
            received,
            b"".join(message.get("body", b"") for message in sent[1:]),
        )
        for name, value in re.findall(
            r"^([^=]+)=([^;]*)", answer.headers.get("set-cookie", ""), re.MULTILINE
        ):
            self.cookies.pop(name, None)
            self.cookies |= {name: value} if value.strip('"') else {}
        return answer


def written_record(folder: Path, *events: Event) -> Record:
    """A record of these events, without networks."""
    folder.mkdir()
    (folder / LOG_FILE).write_bytes(b"".join(entry.line() for entry in chained(*events)))
    return Record(folder)


def person(name: str, role: Role) -> Account:
    return Account(name=name, role=role, password=PasswordHash.of(PASSWORD, QUICK), token=None)


def new_site(record: Record, **options: Any) -> Site:
    """A server with an officer, an engineer and an auditor, who are called by their roles."""
    accounts = Accounts(record.folder.resolve().with_name("record.serve") / "accounts.json")
    for role in ("officer", "engineer", "auditor"):
        accounts.put(person(role, role))  # type: ignore[arg-type]
    return Site(record, accounts, **{"clock": Clock(), **options})


def logged_in(site: Site, role: str) -> Browser:
    browser = Browser(site)
    assert browser.log_in(role).status == 303
    return browser
