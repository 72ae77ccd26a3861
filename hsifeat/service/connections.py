"""Limits on the connections of clients.

The number of connections and the size of headers are limited. A client must send headers and receive responses in time.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hsifeat.service import file_sending
from hsifeat.service.problems import problem_response

# Above this multiple of the limit, new connections are closed at once. Between the limit and the multiple, requests get 503.
_HARD_LIMIT = 2
MAX_HEADER_BYTES = 2**15
_MAX_WAITING_REQUESTS = 8
# Above this size of the buffer of a connection, responses wait until the client has received it.
_BUFFER_BYTES = 2**16
# Key in the state of a request: its connection is one too many.
SURPLUS = "surplus_connection"


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection. If the client sends headers or receives a response too slowly, the connection is closed.

    Attributes
    ----------
    max_connections : int
        Maximum number of connections whose requests are answered. The state of a request on a further connection has
        the key `SURPLUS`. `HeaderGuard` refuses requests with this key.
    header_seconds : float
        Time in seconds within which a client must send all headers of a request. For the first request on a connection, the
        time starts when the client connects. For later requests, it starts with the first byte of the request.
    stall_seconds : float
        Time in seconds within which a client must receive the bytes that wait in the buffer of the connection. The buffer
        has at most some hundred kilobytes.
    """

    max_connections = 512
    header_seconds = 10.0
    stall_seconds = 60.0
    _header_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _in_headers = True
    # Bytes that the parser holds: of headers, and after them those without an event, such as trailers.
    _held_bytes = 0

    @classmethod
    def with_limits(cls, *, max_connections: int, header_seconds: float, stall_seconds: float) -> type[GuardedProtocol]:
        """Return a subclass of `GuardedProtocol` whose attributes have the given values.

        Parameters
        ----------
        max_connections : int
            Maximum number of connections. Requests on further connections are answered with status 503.
        header_seconds : float
            Time in seconds within which a client must send all headers of a request.
        stall_seconds : float
            Time in seconds within which a client must receive the bytes that wait in the buffer of the connection.
        """
        limits = {
            "max_connections": max_connections,
            "header_seconds": header_seconds,
            "stall_seconds": stall_seconds,
        }
        return type("GuardedProtocol", (cls,), limits)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection. If more than twice `max_connections` connections are open, close the new connection."""
        super().connection_made(transport)
        if self._sends_files:  # Writing resumes when the buffer is empty, so that the system can send files again.
            transport.set_write_buffer_limits(high=_BUFFER_BYTES, low=0)
        if len(self.connections) > _HARD_LIMIT * self.max_connections:
            transport.close()
            return
        if len(self.connections) > self.max_connections:
            self.app_state = {**self.app_state, SURPLUS: True}
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes of a request, and check the size of the headers."""
        self._held_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._held_bytes > MAX_HEADER_BYTES:
            self._refuse(431, f"the headers are larger than {MAX_HEADER_BYTES} bytes")
        elif self._is_answering:
            self._stop_expecting_headers()
        elif self._header_timer is None:
            self._expect_headers()

    def on_message_begin(self) -> None:
        """Begin a new request, when its first byte has arrived."""
        if len(self.pipeline) >= _MAX_WAITING_REQUESTS:
            raise ValueError("too many requests before the first answer")
        self._in_headers = True
        super().on_message_begin()
        if self._sends_files:
            self.scope["extensions"] = {file_sending.ZERO_COPY: {}}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header to the request. A header after the body (a trailer) is dropped."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the application for the request. The application sends the response."""
        self._in_headers, self._held_bytes = False, 0
        super().on_headers_complete()
        # The class of the cycle can't be set in uvicorn. The response begins later, in a task.
        self.cycle.__class__ = file_sending.FileSendingCycle

    def on_body(self, body: bytes) -> None:
        """Add received bytes to the body of the request."""
        self._held_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Record that the body of the request is complete."""
        self._held_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Prepare for the next request on the connection."""
        self._stop_expecting_headers()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not HTTP."""
        self._refuse(400, msg)

    def pause_writing(self) -> None:
        """Stop sending while the connection's buffer is full. If this lasts for `stall_seconds`, abort the connection."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue to send, and stop the timer that `pause_writing` started."""
        self._stop_stall_timer()
        super().resume_writing()

    def shutdown(self) -> None:
        """Close an idle connection at once, and any other connection after its response."""
        super().shutdown()
        if not self._is_answering and not self.transport.get_write_buffer_size():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers of the connection."""
        self._stop_expecting_headers()
        self._stop_stall_timer()
        super().connection_lost(exc)

    @property
    def _sends_files(self) -> bool:
        """Whether the operating system copies files to the connection. It can't with TLS, because Python encrypts the responses."""
        return file_sending.IS_SUPPORTED and self.scheme == "http"

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int, detail: str) -> None:
        """Send an error, unless another response is being sent, and close the connection."""
        if not self._is_answering:
            response = problem_response(status, detail, {"Connection": "close"})
            headers = [*self.server_state.default_headers, *response.raw_headers]
            lines = [b"%b: %b\r\n" % header for header in headers]
            self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", bytes(response.body)]))
        self.transport.close()

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
