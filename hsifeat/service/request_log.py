"""ASGI middleware that logs and counts requests, and adds an identifier and security headers to responses."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hsifeat.service.file_sending import ZERO_COPY
from hsifeat.service.request_metrics import Metrics

_log = logging.getLogger("hsifeat.service.requests")
_SIGNATURE = re.compile(r"/signed/[^/]*")
_LOGGED_CHARACTERS = 500
# Routes that answer with a page set their own policy.
_SECURITY_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}


class RequestLog:
    """ASGI middleware that logs and counts requests, and adds headers to responses.

    The log contains no headers, no queries, and no grants of signed addresses. See `hsifeat.service.json_log`.

    Parameters
    ----------
    app : ASGI application
        The application that answers.
    metrics : Metrics
        Counts the requests.
    secure : bool
        Whether responses tell browsers to use TLS only for this host (HSTS).
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, secure: bool) -> None:
        self._app, self._metrics = app, metrics
        self._headers = dict(_SECURITY_HEADERS)
        if secure:
            self._headers[b"strict-transport-security"] = b"max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log it after the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = secrets.token_hex(16)
        path, start, status, size_bytes = scope["path"], time.perf_counter(), 0, 0

        async def observed_send(message: Message) -> None:
            nonlocal status, size_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {**self._headers, b"x-request-id": request_id.encode()}
                for name, _ in message["headers"]:
                    own.pop(name, None)
                message["headers"] = [*message["headers"], *own.items()]
            else:
                size_bytes += message["count"] if message["type"] == ZERO_COPY else len(message.get("body", b""))
            await send(message)

        try:
            with self._metrics.in_progress.track_inprogress():
                await self._app(scope, receive, observed_send)
        finally:
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.observe(route, scope["method"], status, seconds, size_bytes)
            caller = state.get("caller")
            fields = {
                "request": request_id,
                "method": scope["method"],
                "path": _SIGNATURE.sub("/signed/…", path)[:_LOGGED_CHARACTERS],
                "status": status,
                "ms": round(seconds * 1000, 1),
                "bytes": size_bytes,
                "caller": caller.name if caller else None,
                "client": scope["client"][0] if scope.get("client") else None,
            }
            _log.info("request", extra={"fields": fields})
