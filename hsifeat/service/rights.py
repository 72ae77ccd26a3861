"""Rights of callers: the dependency `require`, which each route of the service names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from hsifeat.service.problems import ProblemError
from hsifeat.service.service import service_of
from hsifeat.service.tokens import Caller, Right

COOKIE = "hsifeat_token"
_bearer = HTTPBearer(auto_error=False, description="A token of `hsifeat serve token add`.")
_UNAUTHENTICATED = {"WWW-Authenticate": 'Bearer realm="hsifeat"'}


def require(right: Right) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency that refuses callers without a right, and gives the caller to the route.

    Requests that need the right to write are recorded in the audit log before they run, the refused ones included.

    Parameters
    ----------
    right : str
        ``read``, ``write`` or ``admin``.

    Returns
    -------
    callable
        Dependency of FastAPI.

    Examples
    --------
    >>> from fastapi import APIRouter
    >>> router = APIRouter()
    >>> @router.get("/secrets")
    ... async def secrets(caller: Annotated[Caller, Depends(require("admin"))]) -> str:
    ...     return f"hello {caller.name}"
    """

    async def check(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Caller:
        service = service_of(request)
        caller = _caller(request, credentials)
        request.state.caller = caller
        allowed = caller is not None and caller.may(right)
        if right != "read":
            service.audit.record(request, caller, allowed=allowed)
        if caller is None:
            raise ProblemError(
                401,
                "no valid token: send the header 'Authorization: Bearer TOKEN'; hsifeat serve token add makes a token",
                _UNAUTHENTICATED,
            )
        if not allowed:
            raise ProblemError(
                403, f"{caller.name} has the right to {caller.right}, and this needs the right to {right}"
            )
        return caller

    return check


Reader = Annotated[Caller, Depends(require("read"))]
Author = Annotated[Caller, Depends(require("write"))]
Admin = Annotated[Caller, Depends(require("admin"))]


def _caller(request: Request, credentials: HTTPAuthorizationCredentials | None) -> Caller | None:
    tokens = service_of(request).tokens
    if credentials is not None:
        return tokens.caller_of_token(credentials.credentials)
    signed: Caller | None = getattr(request.state, "signed_caller", None)
    if signed is not None:
        return signed
    cookie = request.cookies.get(COOKIE)
    # A browser sends cookies with forms of other sites, too.
    if cookie is None or (request.method not in {"GET", "HEAD"} and not _is_same_origin(request)):
        return None
    return tokens.caller_of_token(cookie)


def _is_same_origin(request: Request) -> bool:
    return request.headers.get("sec-fetch-site") == "same-origin"
