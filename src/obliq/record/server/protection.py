"""What every request passes: the name of the host, the size of the body; and what every answer carries."""

import re
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect

_HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

LARGEST_FORM, LARGEST_UPLOAD = 64 * 2**10, 8 * 2**20
"""Bytes of a body; an upload holds a list of ids, some hundred thousand of them."""
OWN_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""Content Security Policy of the pages: nothing from other hosts, and no script or style within a page."""
DOCUMENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
)
"""That of reports and certificates, which are complete files with a style sheet of their own, and run no script."""
HEADERS = {
    "content-security-policy": OWN_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""Of every answer, unless it states the header itself."""


class Protection:
    """Wraps an application; an ASGI application itself.

    Args:
        inner: the application.
        hosts: names under which the page may be called. A page of a stranger cannot use another one that leads here
            (DNS rebinding).
        large: paths that take an upload.
        secure: whether browsers reach the page by TLS alone.
    """

    def __init__(self, inner: Any, hosts: frozenset[str], large: frozenset[str], *, secure: bool) -> None:
        self._inner, self._hosts, self._large, self._secure = inner, hosts, large, secure

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = self._headers(message.get("headers", []))
            await send(message)

        given = [(name.lower(), value) for name, value in scope["headers"]]
        hosts = [value.decode("latin-1") for name, value in given if name == b"host"]
        if len(hosts) != 1 or host_name(hosts[0]) not in self._hosts:
            await _refuse(answer, 421, "this server does not answer for this host name")
            return
        largest = self._largest(scope["path"])
        try:
            _require_small(given, largest)
            await self._inner(scope, _limited(receive, largest), answer)
        except _TooLargeError:
            if not started:
                await _refuse(answer, 413, f"the request is larger than {largest:,} bytes")
        except ClientDisconnect:
            pass  # nobody is there to answer
        except Exception as error:
            print(f"obliq serve: error: {_place(error)}", file=sys.stderr, flush=True)
            if not started:
                await _refuse(answer, 500, "the server failed; its operator finds the place in its output")

    def _largest(self, path: str) -> int:
        return LARGEST_UPLOAD if path in self._large else LARGEST_FORM

    def _headers(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        stated = {name.lower() for name, _ in given}
        added = dict(HEADERS)
        if self._secure:
            added["strict-transport-security"] = "max-age=31536000"
        return given + [
            (name.encode(), text.encode()) for name, text in added.items() if name.encode() not in stated
        ]


class _TooLargeError(Exception):
    """A body is larger than it may be."""


def host_name(text: str) -> str:
    """The name in a Host header, in small letters and without its port; empty where it is none."""
    found = _HOST.fullmatch(text.strip())
    return found[1].lower() if found else ""


def _require_small(headers: list[tuple[bytes, bytes]], largest: int) -> None:
    stated = next((value for name, value in headers if name == b"content-length"), b"0")
    if not stated.isdigit() or len(stated) > 15 or int(stated) > largest:
        raise _TooLargeError


def _limited(receive: Receive, largest: int) -> Receive:
    """The body of a request, which ends as soon as more of it came than may; its size need not be stated."""
    left = largest

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _TooLargeError
        return message

    return counted


async def _refuse(send: Send, status: int, words: str) -> None:
    text = f"{words}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def _place(error: Exception) -> str:
    """The kind of an error and the line of ours, without its message, which may name files or samples."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "obliq" in Path(frame.filename).parts] or frames[-1:]
    where = f" in {Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{where}"
