"""Identification of callers, and the dependency `require`, by which a route states the right that callers need."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from hsifeat.errors import HsifeatError
from hsifeat.service.guards import header_value
from hsifeat.service.problems import ProblemError, problem_response
from hsifeat.service.service import service_of
from hsifeat.service.tokens import Caller, Right, TokenSource

COOKIE = "hsifeat_token"
_UNAUTHENTICATED = (
    "no valid token: send the header 'Authorization: Bearer TOKEN'; hsifeat serve token add makes a token"
)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="hsifeat"'}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# This object only adds the token to the OpenAPI description. `Identification` reads the header.
_bearer = HTTPBearer(auto_error=False, description="A token of `hsifeat serve token add`.")
_log = logging.getLogger("hsifeat.service")


class Identification:
    """ASGI middleware that identifies the caller of a request by the token in the request.

    GET, HEAD and OPTIONS requests without a valid token are passed on. If their route needs a right, `require` refuses
    them. Other requests without a valid token are refused before their body is read.

    Parameters
    ----------
    app : ASGI application
        The application that answers.
    tokens : TokenSource
        Valid tokens.
    """

    def __init__(self, app: ASGIApp, tokens: TokenSource) -> None:
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Identify the caller of a request, and pass the request on."""
        if scope["type"] == "http":
            state = scope.setdefault("state", {})
            try:
                caller = state.get("caller") or caller_of(scope, self._tokens)
            except HsifeatError as error:
                _log.error("no token can be checked: %s", error)  # a traceback would add nothing
                detail = "the tokens can't be read; the log of the service has the reason"
                await problem_response(503, detail, {"Retry-After": "60"})(scope, receive, send)
                return
            state["caller"] = caller
            if caller is None and scope["method"] not in _SAFE_METHODS:
                headers = {**_CHALLENGE, "Connection": "close"}
                await problem_response(401, _UNAUTHENTICATED, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def caller_of(scope: Scope, tokens: TokenSource) -> Caller | None:
    """Return the caller whose token is in a header or a cookie of a request; None if the request has no valid token.

    Parameters
    ----------
    scope : dict
        Scope of the request.
    tokens : TokenSource
        Valid tokens.

    Raises
    ------
    HsifeatError
        If the tokens can't be read.
    """
    header = header_value(scope, b"authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        return tokens.caller_of_token(token.strip()) if scheme.lower() == "bearer" else None
    cookie = HTTPConnection(scope).cookies.get(COOKIE)
    # Browsers also send cookies with the forms of other sites.
    own = header_value(scope, b"sec-fetch-site") == "same-origin" or scope["method"] in _SAFE_METHODS
    return tokens.caller_of_token(cookie) if cookie is not None and own else None


def require(right: Right) -> Callable[..., Awaitable[Caller]]:
    """Return a FastAPI dependency that refuses callers who lack a given right.

    The route receives the `Caller` as the value of the dependency. If the right is ``write`` or ``admin``, every request
    with a valid token is recorded in the audit log before the route runs. This includes requests of callers who lack the
    right.

    Parameters
    ----------
    right : str
        The right that callers need: ``read``, ``write`` or ``admin``.

    Returns
    -------
    callable
        The dependency, an argument of ``fastapi.Depends``.

    Examples
    --------
    >>> from fastapi import APIRouter
    >>> router = APIRouter()
    >>> @router.get("/secrets")
    ... async def secrets(caller: Annotated[Caller, Depends(require("admin"))]) -> str:
    ...     return f"hello {caller.name}"
    """

    async def check(request: Request, _: Annotated[object, Depends(_bearer)]) -> Caller:
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None:
            raise ProblemError(401, _UNAUTHENTICATED, _CHALLENGE)
        allowed = caller.may(right)
        if right != "read":
            service_of(request).audit.record(request, caller, allowed=allowed)
        if not allowed:
            raise ProblemError(
                403, f"{caller.name} has the right to {caller.right}, and this needs the right to {right}"
            )
        return caller

    return check


Reader = Annotated[Caller, Depends(require("read"))]
Author = Annotated[Caller, Depends(require("write"))]
Admin = Annotated[Caller, Depends(require("admin"))]
