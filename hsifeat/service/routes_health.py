"""Routes for monitoring: liveness, readiness and metrics."""

from __future__ import annotations

import logging
from typing import Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from hsifeat.errors import HsifeatError
from hsifeat.service.problems import ProblemError
from hsifeat.service.rights import Reader
from hsifeat.service.service import service_of

router = APIRouter(tags=["operation"])
_log = logging.getLogger("hsifeat.service")
_METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


class Health(BaseModel):
    """State of the service."""

    status: Literal["ok"] = "ok"


# Some monitors and load balancers ask with HEAD.
@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health() -> Health:
    """Return `ok` while the process runs."""
    return Health()


@router.head("/ready", include_in_schema=False)
@router.get("/ready")
async def ready(request: Request) -> Health:
    """Return `ok` if the stores and the tokens can be read."""
    service = service_of(request)

    def check() -> None:
        service.stores.stores()
        service.tokens.caller_of_id("")

    try:
        await anyio.to_thread.run_sync(check)
    except Exception as error:
        _log.error("the service is not ready: %s", error, exc_info=not isinstance(error, HsifeatError))
        raise ProblemError(
            503, "the stores or the tokens can't be read; the log has the reason", {"Retry-After": "10"}
        ) from error
    return Health()


@router.get("/metrics", responses=_METRICS, response_class=PlainTextResponse)
async def metrics(request: Request, _caller: Reader) -> PlainTextResponse:
    """Return counters of requests, bytes and seconds in the text format of Prometheus."""
    return PlainTextResponse(service_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)
