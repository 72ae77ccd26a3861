"""ASGI middleware that refuses requests before a route sees them.

Reasons for a refusal are too many connections, an unknown host name, large headers, and a large or slow body.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hsifeat.service.connections import MAX_HEADER_BYTES, SURPLUS
from hsifeat.service.problems import problem_response

_CLOSE = {"Connection": "close"}
_LENGTH_DIGITS = 18
# A body above this size takes up to twenty times its size in memory when it is parsed, so few of them are read at once.
_LARGE_BODY_BYTES = 2**16
_LARGE_BODIES_AT_ONCE = 4


def header_value(scope: Scope, name: bytes) -> str | None:
    """Return the value of the first header `name`, or None if there is no such header. `name` must be in lower case."""
    for other, value in scope["headers"]:
        if other == name:
            return str(value, "latin-1")
    return None


class HeaderGuard:
    """ASGI middleware that refuses requests because of their connection or headers.

    A request is refused if too many connections are open, if its headers are too large, or if its Host header is not
    allowed.

    The check of the Host header prevents DNS rebinding. In this attack, a page of another site sends requests to the
    service. The Host header of these requests has the name of that site.

    Parameters
    ----------
    app : ASGI application
        The application to guard.
    names : tuple of str
        Allowed names and addresses in the Host header, in lower case and without ports.
    """

    def __init__(self, app: ASGIApp, names: tuple[str, ...]) -> None:
        self._app, self._names = app, frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the headers of a request, and pass the request on."""
        refusal = header_refusal(scope, self._names) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)


def header_refusal(scope: Scope, names: Collection[str]) -> Response | None:
    """Check connection and headers of a request. Return the response that refuses the request, or None if it is allowed.

    Parameters
    ----------
    scope : dict
        ASGI scope of the request.
    names : collection of str
        Allowed names and addresses in the header Host, in lower case and without ports.
    """
    if SURPLUS in scope["state"]:
        detail = "too many connections are open; the option --connections allows more: try again"
        return problem_response(503, detail, {**_CLOSE, "Retry-After": "5"})
    size_bytes, hosts = 0, []
    for name, value in scope["headers"]:
        size_bytes += len(name) + len(value)
        if name == b"host":
            hosts.append(value)
    if size_bytes > MAX_HEADER_BYTES:
        return problem_response(431, f"the headers are larger than {MAX_HEADER_BYTES} bytes", _CLOSE)
    if len(hosts) != 1 or _host_name(hosts[0]) not in names:
        detail = "this service is not known under the name in the header Host; the option --hosts allows names"
        return problem_response(421, detail)
    return None


def _host_name(header: bytes) -> str:
    """Return the host of a Host header without its port.

    >>> _host_name(b"GPU.example.org:8765"), _host_name(b"[::1]:80"), _host_name(b"a@b")
    ('gpu.example.org', '::1', 'a@b')
    """
    text = header.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    name, colon, port = text.rpartition(":")
    return name if colon and port.isdecimal() else text


class BodyGuard:
    """ASGI middleware that refuses request bodies that are too large or arrive too slowly.

    The received bytes are counted, so a wrong header Content-Length has no effect. To save memory, at most four requests
    with bodies above 64 kB are answered at the same time. Other requests with bodies above 64 kB wait. Requests to paths
    with a prefix in `larger` never wait, because their routes do not keep bodies in memory.

    Parameters
    ----------
    app : ASGI application
        The application to guard.
    max_bytes : int
        Maximum size of a body in bytes.
    larger : mapping of str to int
        Maps a prefix of paths to the maximum size in bytes of a body sent to such a path. This maximum replaces `max_bytes`.
    seconds : float
        Time in seconds within which the whole body must arrive. A request is also refused if it waits for its
        turn longer than this time.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, larger: Mapping[str, int], seconds: float) -> None:
        self._app, self._max_bytes, self._larger, self._seconds = app, max_bytes, larger, seconds
        self._large_bodies = asyncio.Semaphore(_LARGE_BODIES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and check its body while the application reads it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"].removeprefix(scope.get("root_path", "")))
        declared = header_value(scope, b"content-length") or "0"
        too_large = f"the body is larger than {limit} bytes: send less, or an upload in parts"
        if not declared.isdecimal() or len(declared) > _LENGTH_DIGITS or int(declared) > limit:
            await problem_response(413, too_large, _CLOSE)(scope, receive, send)
            return
        is_chunked = header_value(scope, b"transfer-encoding") is not None
        if limit != self._max_bytes or (int(declared) <= _LARGE_BODY_BYTES and not is_chunked):
            await self._pass_on(scope, receive, send, limit, too_large)
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._large_bodies.acquire()
        except TimeoutError:
            detail = "too many large requests are in progress: try again, or send a smaller one"
            await problem_response(503, detail, {**_CLOSE, "Retry-After": "10"})(scope, receive, send)
            return
        try:
            await self._pass_on(scope, receive, send, limit, too_large)
        finally:
            self._large_bodies.release()

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, limit: int, too_large: str) -> None:
        end, received, complete = time.monotonic() + self._seconds, 0, False

        async def guarded_receive() -> Message:
            nonlocal received, complete
            if complete:  # The only message after the body is the disconnection of the client.
                return await receive()
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                detail = f"the body did not arrive within {self._seconds:g} seconds"
                raise HTTPException(408, detail, _CLOSE) from None
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, too_large, _CLOSE)
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, guarded_receive, send)

    def _limit(self, path: str) -> int:
        return next((size for start, size in self._larger.items() if path.startswith(start)), self._max_bytes)
