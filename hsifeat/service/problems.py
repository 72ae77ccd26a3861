"""Responses to errors, in the format ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from hsifeat.errors import DiskFullError, HsifeatError, OutOfMemoryError, RecipeMismatchError
from hsifeat.formatting import printable

MEDIA_TYPE = "application/problem+json"
# Folders of absolute paths.
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/:'\"]+/)+")
_STATUSES = {OutOfMemoryError: 503, RecipeMismatchError: 409, DiskFullError: 507}
_log = logging.getLogger("hsifeat.service")


class ProblemError(HsifeatError):
    """An error that the service answers with a given HTTP status.

    Parameters
    ----------
    status : int
        HTTP status.
    detail : str
        What is wrong, what is allowed, and what to do.
    headers : mapping, optional
        Further headers of the response, such as ``Retry-After``.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})


def problem_of(error: HsifeatError) -> ProblemError:
    """Return the `ProblemError` for an error, with the HTTP status, the message and the headers of the response."""
    if isinstance(error, ProblemError):
        return error
    status = next((status for error_type, status in _STATUSES.items() if isinstance(error, error_type)), 422)
    return ProblemError(status, public_text(str(error)), {"Retry-After": "30"} if status == 503 else None)


def public_text(message: str) -> str:
    """Shorten every absolute path in a message to the file name, so that clients do not see where the service keeps files.

    >>> public_text("/srv/scenes/fields.npy has 2 axes; see https://example.org/formats/npy")
    'fields.npy has 2 axes; see https://example.org/formats/npy'
    """
    return _FOLDERS.sub("", message)


class ProblemDetails(BaseModel):
    """Body of an error response."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None


def problem_response(
    status: int, detail: str, headers: Mapping[str, str] | None = None, errors: list[dict[str, Any]] | None = None
) -> JSONResponse:
    """Return a response in the form of RFC 9457.

    Parameters
    ----------
    status : int
        HTTP status.
    detail : str
        What was found, what is allowed, and what to do.
    headers : mapping of str to str, optional
        Further header fields.
    errors : list of dict, optional
        One dict for each invalid field of the request.

    Returns
    -------
    JSONResponse
        The response.
    """
    content = ProblemDetails(title=HTTPStatus(status).phrase, status=status, detail=printable(detail), errors=errors)
    return JSONResponse(content.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def response_of(error: HsifeatError) -> JSONResponse:
    """Return the response to an error."""
    problem = problem_of(error)
    return problem_response(problem.status, str(problem), problem.headers)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return descriptions of error responses, for the parameter ``responses`` of a router."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def add_problem_handlers(app: FastAPI) -> None:
    """Register handlers that answer every error with a response in the form of RFC 9457."""
    app.add_exception_handler(HsifeatError, _on_hsifeat_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_failure)


async def _on_hsifeat_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HsifeatError)  # noqa: S101  # the handler is registered for this class
    return response_of(error)


async def _on_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    # The input itself is left out: it may be large, or secret.
    errors = [{"loc": list(problem["loc"]), "msg": problem["msg"]} for problem in problems]
    first = errors[0] if errors else {"loc": [], "msg": "invalid request"}
    place = ".".join(str(part) for part in first["loc"])
    return problem_response(422, f"{place}: {first['msg']}"[:500], errors=errors[:20])


async def _on_http_exception(_request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    headers = error.headers if isinstance(error, HTTPException) else None
    return problem_response(status, detail, headers)


async def _on_failure(_request: Request, error: Exception) -> JSONResponse:
    _log.error("request failed", exc_info=error)
    return problem_response(500, "the service failed; its log has the details")
