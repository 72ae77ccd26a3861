"""Limits on connections: the number of connections, and deadlines for sending headers and for receiving responses."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

# Above this multiple of the limit, new connections are closed at once. Between the limit and the multiple, requests get 503.
_HARD_LIMIT = 2


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 on one connection, which is closed if the client sends headers or receives a response too slowly.

    Attributes
    ----------
    header_seconds : float
        Seconds within which a client must send all headers. The time starts with the connection, or with the first byte of a
        later request.
    stall_seconds : float
        Seconds within which a client must receive the bytes that are buffered, at most some hundred kilobytes.
    """

    header_seconds = 10.0
    stall_seconds = 60.0
    _header_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    @classmethod
    def with_deadlines(cls, header_seconds: float, stall_seconds: float) -> type[GuardedProtocol]:
        """Return a subclass with other deadlines, in seconds."""
        return type("GuardedProtocol", (cls,), {"header_seconds": header_seconds, "stall_seconds": stall_seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or close it if too many are open."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > _HARD_LIMIT * self.limit_concurrency:
            transport.close()
            return
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Receive bytes of a request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_expecting_headers()
        elif self._header_timer is None and not self.transport.is_closing():
            self._expect_headers()

    def on_response_complete(self) -> None:
        """Wait for the next request on the connection."""
        self._stop_expecting_headers()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Pause until the client has received the buffered bytes. Abort the connection after `stall_seconds`."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue to send, and stop the timer of `pause_writing`."""
        self._stop_stall_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers of the connection."""
        self._stop_expecting_headers()
        self._stop_stall_timer()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._header_timer = self.loop.call_later(self.header_seconds, self.timeout_keep_alive_handler)

    def _stop_expecting_headers(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
