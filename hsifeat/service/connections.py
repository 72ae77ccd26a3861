"""Connections of clients: a limit on their number, and a deadline for the headers of each request."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

# Connections beyond this multiple of the limit are closed at once; those below are answered with 503.
_HARD_LIMIT = 2


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 on one connection, which is closed if the headers of a request do not arrive in time.

    Attributes
    ----------
    header_seconds : float
        Time from the first byte of a request, or from the connection, to the end of the headers.
    """

    header_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None

    @classmethod
    def with_deadline(cls, header_seconds: float) -> type[GuardedProtocol]:
        """Return this class with another deadline."""
        return type("GuardedProtocol", (cls,), {"header_seconds": header_seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or close it if there are too many."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > _HARD_LIMIT * self.limit_concurrency:
            transport.close()
            return
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Receive bytes of a request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._clear_deadline()
        elif self._deadline is None and not self.transport.is_closing():
            self._set_deadline()

    def on_response_complete(self) -> None:
        """Wait for the next request on the connection."""
        self._clear_deadline()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._clear_deadline()
        super().connection_lost(exc)

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self.timeout_keep_alive_handler)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
