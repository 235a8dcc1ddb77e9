"""HTTP connections that end when their request does not arrive in time, so that half-open ones do not use them up."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 500
"""At once; further ones are closed. Systems often allow a process 1,024 open files."""
HEAD_SECONDS, BODY_SECONDS = 10, 60
"""The head of a request must arrive within so long, and then its body."""


class TimedConnection(H11Protocol):  # type: ignore[misc]  # of no known type where uvicorn is not installed
    """A connection of uvicorn that waits only so long for each part of a request."""

    _awaited: Any = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        if len(self.connections) >= MOST_CONNECTIONS:
            transport.abort()
            return
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for the next part, once one is complete. Bytes of the same part give no more time."""
        if self.transport is not None:
            super().data_received(data)
            self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        if self.transport is not None:
            self._stop()
            super().connection_lost(exc)

    def _wait(self) -> None:
        state = self.conn.their_state
        if state is not self._awaited:
            self._stop()
            self._awaited = state
            seconds = {h11.IDLE: HEAD_SECONDS, h11.SEND_BODY: BODY_SECONDS}.get(state)
            if seconds is not None:
                self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
