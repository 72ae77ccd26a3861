"""Page of the tokens, for people with the right to administer the service."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from hsifeat.service.pages.rendering import PageRoute, render
from hsifeat.service.problems import ProblemError
from hsifeat.service.rights import Admin
from hsifeat.service.service import service_of
from hsifeat.service.tokens import NAME, Right, TokenFile

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/pages/tokens")
def tokens_page(request: Request, _caller: Admin) -> HTMLResponse:
    """List the tokens."""
    return _page(request)


@router.post("/pages/tokens")
def add_token(
    request: Request,
    _caller: Admin,
    name: Annotated[str, Form(pattern=f"^{NAME}$")],
    right: Annotated[Right, Form()],
    days: Annotated[int | None, Form(ge=1, le=3650)] = None,
) -> HTMLResponse:
    """Add a token, and show it once."""
    return _page(request, name, _token_file(request).add(name, right, days=days))


@router.post("/pages/tokens/{token_id}/revoke")
def revoke_token(
    request: Request, _caller: Admin, token_id: Annotated[str, Path(pattern="^[0-9a-f]{12}$")]
) -> RedirectResponse:
    """Revoke a token."""
    _token_file(request).revoke(token_id)
    return RedirectResponse(f"{service_of(request).config.root_path}/pages/tokens", 303)


def _page(request: Request, added_name: str = "", added: str = "") -> HTMLResponse:
    tokens = service_of(request).tokens
    entries = None
    if isinstance(tokens, TokenFile):
        entries = [
            {
                "name": entry.name,
                "right": entry.right,
                "id": entry.id,
                "is_valid": entry.is_valid,
                "end": time.strftime("%Y-%m-%d", time.localtime(entry.expires)) if entry.expires else "never",
            }
            for entry in tokens.entries()
        ]
    return render(request, "tokens.html.j2", entries=entries, added_name=added_name, added=added)


def _token_file(request: Request) -> TokenFile:
    tokens = service_of(request).tokens
    if not isinstance(tokens, TokenFile):
        raise ProblemError(409, "this service has one token only: start it with hsifeat serve --tokens FILE")
    return tokens
