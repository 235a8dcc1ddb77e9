"""Connections whose request does not arrive."""

import asyncio
from pathlib import Path

import pytest

from tests.record.events import begun
from tests.record.server.browser import new_site, written_record

pytest.importorskip("uvicorn", reason="the page needs the extra serve")
pytest.importorskip("starlette", reason="the page needs the extra serve")
pytest.importorskip("python_multipart", reason="the page needs the extra serve")

import uvicorn

from obliq.record.server import connections
from obliq.record.server.application import application

HEAD = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n"
GET = b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_half_open_connections_end_and_complete_requests_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.4)
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 6)
    config = uvicorn.Config(
        application(new_site(written_record(tmp_path / "record", begun()))),
        http=connections.TimedConnection,
        lifespan="off",
        ws="none",
        log_level="critical",
        timeout_keep_alive=60,
    )

    async def sent_until_closed(port: int, *pieces: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found = b""
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.05)
            found = await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:
            pass
        writer.close()
        return found

    async def all_of_them() -> None:
        listening = await asyncio.get_running_loop().create_server(
            lambda: connections.TimedConnection(config, state, {}), "127.0.0.1", 0
        )
        port = listening.sockets[0].getsockname()[1]
        slow = await asyncio.gather(
            sent_until_closed(port),
            sent_until_closed(port, *[b"G", b"E", b"T", b" "] * 2),
            sent_until_closed(port, HEAD, b"\r\n", *[b"a"] * 9),
        )
        assert list(slow) == [b""] * 3
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(GET)
            assert (await reader.readuntil(b"</html>")).startswith(b"HTTP/1.1 200")
        writer.write(b"G")
        assert (await asyncio.wait_for(reader.read(), 5)).strip() == b""
        writer.close()
        many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        await asyncio.sleep(0.05)
        assert len(state.connections) == 6  # further ones were closed at once
        await asyncio.sleep(0.3)
        assert not state.connections
        for _, writer in many:
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        listening.close()
        await listening.wait_closed()

    config.load()
    state = uvicorn.Server(config).server_state
    asyncio.run(all_of_them())
