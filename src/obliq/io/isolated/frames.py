"""Messages between two processes: a JSON object, then bytes whose number it states, and at most one open file."""

import json
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

LARGEST_HEAD = 2**22
"""Bytes of the JSON object."""

_LENGTH = 4  # bytes of the number before it
_PIECES, _PIECE = 5000, 256  # parts in which bytes may arrive, and bytes for which there may be one more
_SMALL = 2**16  # bytes of a part that is copied before it is sent

Wait = Callable[[], None]
"""Called once for each second in which nothing moved; raises when that was long enough."""

Bytes = bytes | bytearray | memoryview


def send(
    to: socket.socket, head: dict[str, Any], parts: Sequence[Bytes], wait: Wait, file: int | None = None
) -> None:
    """Send one message.

    Args:
        to: a stream socket between two processes of this machine.
        head: any JSON object.
        parts: bytes that follow; the other side must know from `head` how many.
        wait: where the socket has a timeout.
        file: descriptor of a file that the other side receives, too.

    Raises:
        OSError: when the other side is gone.
    """
    text = json.dumps(head).encode()
    length = len(text).to_bytes(_LENGTH, "big")
    if file is None:
        _send_all(to, length, wait)
    else:
        socket.send_fds(to, [length], [file])
    joined: list[Bytes] = [text]  # one call of the system for many small parts
    for part in parts:
        if len(part) < _SMALL:
            joined.append(part)
        else:
            _send_all(to, b"".join(joined), wait)
            _send_all(to, part, wait)
            joined = []
    _send_all(to, b"".join(joined), wait)


def _send_all(to: socket.socket, part: Bytes, wait: Wait) -> None:
    view = memoryview(part).cast("B") if len(part) else memoryview(b"")
    while view:
        try:
            view = view[to.send(view) :]
        except TimeoutError:
            wait()


def receive_head(source: socket.socket, wait: Wait) -> tuple[dict[str, Any], int | None]:
    """The JSON object of the next message, and the descriptor of a file that came with it.

    Raises:
        EOFError: when the other side is gone.
        ValueError: for anything but a JSON object of at most `LARGEST_HEAD` bytes.
    """
    length, files = bytearray(), list[int]()
    try:
        while len(length) < _LENGTH:
            try:
                found, more, _, _ = socket.recv_fds(source, _LENGTH - len(length), 1)
            except TimeoutError:
                wait()
                continue
            files += more
            if not found:
                raise EOFError
            length += found
        size = int.from_bytes(length, "big")
        if size > LARGEST_HEAD or len(files) > 1:
            raise ValueError(f"{size} bytes before the content")
        text = bytearray(size)
        receive_into(source, memoryview(text), wait)
        try:
            head = json.loads(text)
        except RecursionError as error:
            raise ValueError("nested without end") from error
        if not isinstance(head, dict):
            raise ValueError("no object before the content")
    except BaseException:
        for file in files:
            os.close(file)
        raise
    return head, files[0] if files else None


def receive_into(source: socket.socket, view: memoryview, wait: Wait) -> None:
    """Fill a buffer with the next bytes.

    Raises:
        EOFError: when the other side is gone.
        ValueError: when it sends them so slowly that it would never end.
    """
    pieces = _PIECES + len(view) // _PIECE
    while view:
        pieces -= 1
        if not pieces:
            raise ValueError("a few bytes at a time")
        try:
            count = source.recv_into(view)
        except TimeoutError:
            wait()
            continue
        if not count:
            raise EOFError
        view = view[count:]
