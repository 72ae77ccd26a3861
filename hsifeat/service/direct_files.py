"""Fast responses to requests for files of stores, without FastAPI."""

from __future__ import annotations

import re

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hsifeat.errors import HsifeatError
from hsifeat.service import routes_files
from hsifeat.service.addresses import PREFIX
from hsifeat.service.guards import header_refusal
from hsifeat.service.rights import caller_of
from hsifeat.service.service import Service
from hsifeat.service.tokens import Caller

# Documents with consolidated metadata are made by their route.
_ADDRESS = re.compile(
    rf"({PREFIX}(?P<grant>[^/]*))?"
    r"(?P<target>/stores/(?P<key>[0-9a-f]{64})(\.consolidated(?!.*zarr\.json$))?\.zarr/(?P<path>.+))"
)


class DirectFiles:
    """ASGI middleware that answers requests for finished files of stores on this machine.

    The middleware checks headers, signed addresses and tokens with the functions that `app` uses. Its responses equal the
    responses of `app`. All other requests are passed to `app`. Examples are requests that must be refused, requests with a
    body, and requests for missing files.

    Parameters
    ----------
    app : ASGI application
        The application that answers other requests.
    service : Service
        The objects that the routes share.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service, self._hosts = app, service, frozenset(service.config.host_names)
        self._route = next(
            route for route in routes_files.router.routes if getattr(route, "endpoint", None) is routes_files.read_file
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = self._response(scope) if scope["type"] == "http" else None
        await (response or self._app)(scope, receive, send)

    def _response(self, scope: Scope) -> Response | None:
        match = _ADDRESS.fullmatch(scope["path"].removeprefix(scope["root_path"]))
        if match is None or scope["method"] not in {"GET", "HEAD"} or _has_body(scope):
            return None
        if header_refusal(scope, self._hosts) is not None:
            return None
        caller = self._caller(scope, match)
        if caller is None or not caller.may("read"):
            return None
        response = routes_files.finished_file(scope, self._service.stores, match["key"], match["path"])
        if response is not None:
            scope["route"], scope["state"]["caller"] = self._route, caller  # for the log and the metrics
        return response

    def _caller(self, scope: Scope, match: re.Match[str]) -> Caller | None:
        tokens = self._service.tokens
        try:
            if match["grant"] is None:
                return caller_of(scope, tokens)
            return self._service.signer.check(match["grant"], match["target"], tokens)
        except HsifeatError:  # The tokens can't be read.
            return None


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])
