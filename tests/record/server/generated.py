"""Calls of the page and of the API that are drawn at random, and what must hold of every answer."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from hashlib import shake_128
from typing import Any
from urllib.parse import quote, urlencode

from obliq.data import Partition
from obliq.record.folder import Record
from obliq.record.server.accounts import Account, new_token, token_digest
from tests.hostile.mutations import NUMBERS, Choices, altered_bytes
from tests.record.server.browser import Answer, Browser, Clock, new_site

CASE = "CANARY-17"
"""The number of a case in the record: nobody without an account may see it."""

MARK = "<i x='&\"'>"
"""What is typed must not become markup of a page."""

TEXTS: list[object] = [
    *(
        "",
        "0",
        "-1",
        "1",
        "C-1",
        CASE,
        "../../etc/passwd",
        "a" * 300,
        "=1+1",
        "{{7*7}}",
        "%00",
        "1 2",
        "subject",
    ),
    *(
        MARK,
        "\x1b[31m",
        "\r\nset-cookie: a=b",
        "\u202e",
        "\ud800",
        "٣",
        "é" * 100,
        "ids",
        "class",
        "2026-01-31",
    ),
    *("2026-02-30", "on", "https://example.org", "json", "html", '"', "\\", "//example.org", "\0"),
]
FIELDS: list[object] = [
    *("csrf", "case", "kind", "value", "reason", "draft", "floor", "devices", "name", "password", "received"),
    *("accept", "again", "method", "settings", "number", "as", "file", "accept_large", "dry_run", "state"),
]
METHODS: list[object] = (
    ["GET"] * 6 + ["POST"] * 6 + ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X"]
)
HEADERS: list[object] = [
    *(
        ("range", "bytes=0-0,1-1,-1"),
        ("content-type", "multipart/form-data; boundary="),
        ("content-length", "-1"),
    ),
    *(("content-type", "application/x-www-form-urlencoded; charset=utf-7"), ("content-type", "text/plain")),
    *(
        ("origin", "https://example.org"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("host", "example.org"),
    ),
    *(
        ("host", "127.0.0.1:99999"),
        ("content-length", "99999999"),
        ("cookie", "a=b; a=c;;;="),
        ("accept", "*/*"),
    ),
    *(("x-forwarded-for", "10.0.0.1"), ("x-forwarded-host", "example.org"), ("authorization", "Bearer")),
    *(
        ("if-none-match", "*"),
        ("transfer-encoding", "chunked"),
        ("content-encoding", "gzip"),
        ("expect", "x"),
    ),
]


@dataclass
class Calls:
    """What came of all calls so far.

    Attributes:
        statuses: how many answers had each status.
        seconds: the most of the processor that a call took.
        findings: number of a call, and what was wrong with its answer.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    findings: list[tuple[int, str]] = field(default_factory=list)


class Callers:
    """Everybody who may call: people with a session, programs with a token, and strangers."""

    def __init__(self, record: Record, parts: Partition) -> None:
        self.clock = Clock()
        self.site = site = new_site(record, load=lambda: parts, clock=self.clock)
        self.tokens = {role: new_token() for role in ("officer", "engineer", "auditor", "device")}
        for role, token in self.tokens.items():
            account = Account(name=f"program {role}", role=role, password=None, token=token_digest(token))  # type: ignore[arg-type]
            site.accounts.put(account)
        site.run.start = lambda words: None  # type: ignore[method-assign]  # no unlearning for each call

    def call(self, number: int, found: Calls) -> None:
        """Make one call and judge its answer."""
        from obliq.record.server.api import OPERATIONS
        from obliq.record.server.application import PAGES

        choices = Choices(shake_128(f"call {number}".encode()).digest(400))
        self.clock.now += 600  # between calls, so that wrong passwords lock nobody out
        who, role = choices.of(["stranger", "person", "program"]), str(choices.of([*self.tokens]))
        browser = Browser(self.site)
        if who == "person" and role != "device":
            assert browser.log_in(role).status == 303
        api = who == "program" if choices.below(4) else choices.below(2) == 0
        known = OPERATIONS if api else PAGES
        one: Any = known[choices.below(len(known))]
        path = one.path.replace("{case}", quote(self._text(choices))).replace(
            "{floor}", quote(self._text(choices))
        )
        if not choices.below(8):
            path = "/" + quote(self._text(choices))
        query = {str(choices.of(FIELDS)): self._text(choices) for _ in range(choices.below(3))}
        method = one.method if choices.below(4) else str(choices.of(METHODS))
        kind, body = self._body(choices, browser.csrf, api)
        headers = {"content-type": kind, "sec-fetch-site": "same-origin"}
        if who == "program":
            headers["authorization"] = f"Bearer {self.tokens[role]}"
        for _ in range(choices.below(3) if not choices.below(3) else 0):
            name, value = choices.of(HEADERS)  # type: ignore[misc]
            headers[name] = value
        head, started = self.site.record.state().head, time.process_time()
        try:
            answer = browser.send(method, f"{path}?{urlencode(query, errors='replace')}", body, headers)
        except Exception as error:
            found.findings.append((number, f"{method} {path}: {type(error).__name__}: {error}"))
            return
        found.seconds = max(found.seconds, time.process_time() - started)
        found.statuses[answer.status] += 1
        wrong = [*self.wrong_with(answer, stranger=not browser.cookies and "authorization" not in headers)]
        reads = who == "stranger" or role == "auditor"
        if reads and self.site.record.state().head != head:
            wrong.append("it changed the record")
        found.findings += [(number, f"{method} {path}: {answer.status}: {words}") for words in wrong]

    @staticmethod
    def _text(choices: Choices) -> str:
        return str(choices.of(TEXTS)).encode("utf-8", "replace").decode()

    def _body(self, choices: Choices, csrf: str, api: bool) -> tuple[str, bytes]:
        values: list[object] = [None, True, [], {}, 1.5, [[]], {"a": 1}, *NUMBERS, *TEXTS]
        fields = {str(choices.of(FIELDS)): choices.of(values) for _ in range(choices.below(6))}
        if api:
            full = {
                "case": f"G-{choices.below(50)}",
                "kind": "class",
                "value": "0",
                "devices": choices.below(4),
            }
            some = {name: value for name, value in full.items() if choices.below(3)}
            body = json.dumps({**some, **(fields if choices.below(2) else {})}).encode()
            return "application/json", altered_bytes(body, choices) if not choices.below(4) else body
        typed = {"csrf": csrf, "case": CASE, "kind": "class", "value": "0", "reason": MARK}
        given = {**typed, **{name: str(value) for name, value in fields.items()}}
        if choices.below(3):
            return "application/x-www-form-urlencoded", urlencode(given, errors="replace").encode()
        parts = [
            f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode(
                errors="replace"
            )
            for name, value in given.items()
        ]
        file = (
            b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n1\n2\r\n--edge--\r\n'
        )
        body = b"".join(parts) + file
        return "multipart/form-data; boundary=edge", altered_bytes(body, choices) if choices.below(
            2
        ) else body

    def wrong_with(self, answer: Answer, *, stranger: bool) -> list[str]:
        """What may not be in an answer, in words."""
        text, headers = answer.body.decode(errors="replace"), answer.headers
        kind = headers.get("content-type", "")
        found = []
        if answer.status >= 500:
            found.append("the server failed")
        if headers.get("x-content-type-options") != "nosniff" or "content-security-policy" not in headers:
            found.append("headers are missing")
        if MARK in text and kind.startswith("text/html"):
            found.append("what was typed is markup")
        if str(self.site.record.folder.parent) in text or "Traceback" in text:
            found.append("it names a folder")
        if any(ord(letter) < 32 and letter not in "\n\r\t" for letter in text):
            found.append("it holds control characters")
        if any(value != value.strip() or "\r" in value for value in headers.values()):
            found.append("headers are broken")
        if not headers.get("location", "/").startswith("/") or headers.get("location", "/")[1:2] == "/":
            found.append("it leads to another site")
        if stranger and CASE in text:
            found.append("a stranger sees a case")
        return found
