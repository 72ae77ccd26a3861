"""Rendering of pages from templates, and error pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute

from hsifeat import formatting
from hsifeat.errors import HsifeatError
from hsifeat.service.pages.static_files import static_version
from hsifeat.service.problems import ProblemError, problem_of
from hsifeat.service.service import service_of

if TYPE_CHECKING:
    from jinja2 import Environment

# Scripts and styles come from the service only. Maps are drawn on a canvas, so they need no source for images.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


# First words of messages that get a capital letter. Others may be the name of a file or a person.
_FIRST_WORDS = re.compile("(a|all|an|each|no|only|the|there|these|this|too) ")


def _sentence(message: str) -> str:
    """Return a message with a full stop, and with a capital first letter unless it may begin with a name.

    >>> _sentence("there is no such page")
    'There is no such page.'
    >>> _sentence("fields.tif has no CRS")
    'fields.tif has no CRS.'
    """
    if _FIRST_WORDS.match(message):
        message = message[0].upper() + message[1:]
    return message.rstrip(".") + "."


@cache
def environment() -> Environment:
    """Return the jinja environment of the page templates."""
    templates = formatting.template_environment("hsifeat.service.pages")
    templates.filters.update(
        size=formatting.format_bytes,
        duration=formatting.format_duration,
        sentence=_sentence,
        pretty_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False, default=str),
    )
    return templates


def render(request: Request, template: str, status: int = 200, **content: Any) -> HTMLResponse:
    """Render a template, and return the page.

    Parameters
    ----------
    request : Request
        The request that the page answers.
    template : str
        File name of the template.
    status : int
        HTTP status.
    **content
        Values for the template by name. The function adds ``root`` (path prefix of the service), ``static`` (path of the
        static files) and ``caller``.
    """
    root = service_of(request).config.root_path
    caller = getattr(request.state, "caller", None)
    text = environment().get_template(template).render(
        root=root, static=f"{root}/static/{static_version()}", caller=caller, **content
    )  # fmt: skip
    return HTMLResponse(text, status, {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})


class PageRoute(APIRoute):
    """A route that answers errors with pages.

    If the page needs a token and the caller has no valid token, the answer is a sign-in form. The answer to any other error
    is a page with the error message.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route, which answers errors with pages."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except HsifeatError as error:
                return _error_page(request, problem_of(error))
            except RequestValidationError:
                return _error_page(request, ProblemError(404, "there is no such page"))

        return answer


def _error_page(request: Request, problem: ProblemError) -> Response:
    if problem.status == HTTPStatus.UNAUTHORIZED:
        target = request.scope["path"].removeprefix(service_of(request).config.root_path)
        page = render(request, "sign_in.html.j2", problem.status, target=target)
    else:
        title = HTTPStatus(problem.status).phrase
        page = render(request, "error.html.j2", problem.status, message=str(problem), title=title)
    page.headers.update(problem.headers)
    return page
