"""ASGI middleware that logs and counts requests, and adds an identifier and security headers to responses."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hsifeat.service.file_sending import ZERO_COPY
from hsifeat.service.request_metrics import Metrics

_log = logging.getLogger("hsifeat.service.requests")
# Attributes that the records of all requests have in common.
_RECORD = vars(
    logging.makeLogRecord({"name": _log.name, "levelno": logging.INFO, "levelname": "INFO", "msg": "request"})
)
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

    The log contains no headers, no query strings, and no signatures of signed addresses.

    Parameters
    ----------
    app : ASGI application
        The application that answers the requests.
    metrics : Metrics
        Metrics in which the requests are counted.
    secure : bool
        Whether responses have the header Strict-Transport-Security, which tells browsers to use only TLS for this host.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, secure: bool) -> None:
        self._app, self._metrics = app, metrics
        self._headers = [*_SECURITY_HEADERS.items()]
        if secure:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

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
                headers = message["headers"]
                names = {name for name, _ in headers}
                own = [header for header in self._headers if header[0] not in names]
                message["headers"] = [*headers, *own, (b"x-request-id", request_id.encode())]
            else:
                size_bytes += message["count"] if message["type"] == ZERO_COPY else len(message.get("body", b""))
            await send(message)

        self._metrics.in_progress.inc()
        try:
            await self._app(scope, receive, observed_send)
        finally:
            self._metrics.in_progress.dec()
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.observe(route, scope["method"], status, seconds, size_bytes)
            caller = state.get("caller")
            _log_request({
                "request": request_id,
                "method": scope["method"],
                "path": _SIGNATURE.sub("/signed/…", path)[:_LOGGED_CHARACTERS],
                "status": status,
                "ms": round(seconds * 1000, 1),
                "bytes": size_bytes,
                "caller": caller.name if caller else None,
                "client": scope["client"][0] if scope.get("client") else None,
            })  # fmt: skip


def _log_request(fields: dict[str, Any]) -> None:
    """Log a request. This takes a fraction of the time of `Logger.info`, which looks up facts that no line contains."""
    if _log.isEnabledFor(logging.INFO):
        record = logging.LogRecord.__new__(logging.LogRecord)
        now = time.time()
        record.__dict__ = {**_RECORD, "created": now, "msecs": now % 1 * 1000, "fields": fields}
        _log.handle(record)
