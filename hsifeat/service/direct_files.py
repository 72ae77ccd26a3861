"""ASGI middleware that sends stored files without FastAPI's search for a route, which takes longer than sending a file."""

from __future__ import annotations

import re

from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hsifeat.errors import HsifeatError
from hsifeat.service import routes_files
from hsifeat.service.problems import response_of

# Documents with consolidated metadata are made by the route.
_STORED = re.compile(r"/stores/(?P<key>[0-9a-f]{64})(\.consolidated(?!.*zarr\.json$))?\.zarr/(?P<path>.+)")


class DirectFiles:
    """Answers a request for a stored file if the caller has the right to read, and passes every other request to `app`.

    This middleware must be the innermost one, so that all middleware that refuses requests runs before it.

    Parameters
    ----------
    app : ASGI application
        The application that answers other requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._route = next(
            route for route in routes_files.router.routes if getattr(route, "endpoint", None) is routes_files.read_file
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self._response(Request(scope, receive, send)) if scope["type"] == "http" else None
        await (response or self._app)(scope, receive, send)

    async def _response(self, request: Request) -> Response | None:
        scope, caller = request.scope, request.scope["state"]["caller"]
        match = _STORED.fullmatch(scope["path"].removeprefix(scope.get("root_path", "")))
        if match is None or scope["method"] not in {"GET", "HEAD"} or caller is None or not caller.may("read"):
            return None
        try:
            response = await routes_files.read_file(request, caller, match["key"], match["path"])
        except HsifeatError as error:
            response = response_of(error)
        scope["route"] = self._route  # for the metrics
        return response
