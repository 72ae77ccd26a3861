"""The web application of the service: routes, error handlers and middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import Receive, Scope, Send

from hsifeat import __version__
from hsifeat.service import (
    routes_addresses,
    routes_files,
    routes_health,
    routes_jobs,
    routes_results,
    routes_samples,
    routes_stores,
    routes_uploads,
)
from hsifeat.service.addresses import SignedAddresses
from hsifeat.service.config import ServiceConfig
from hsifeat.service.direct_files import DirectFiles
from hsifeat.service.guards import BodyGuard, HeaderGuard
from hsifeat.service.job_routing import run_job_service
from hsifeat.service.job_settings import MB
from hsifeat.service.pages import job_pages, static_files, store_pages, token_pages
from hsifeat.service.problems import ProblemDetails, add_problem_handlers, problem_responses
from hsifeat.service.request_log import RequestLog
from hsifeat.service.rights import Identification
from hsifeat.service.service import Service
from hsifeat.service.workbench import app_part

# Each part of the service adds its router here.
ROUTERS: tuple[APIRouter, ...] = (
    routes_health.router,
    routes_stores.router,
    routes_samples.router,
    routes_files.router,
    routes_results.router,
    routes_addresses.router,
    static_files.router,
    store_pages.router,
    job_pages.router,
    token_pages.router,
    routes_jobs.router,
    routes_uploads.router,
    *app_part.ROUTERS,
)
# Context managers that are entered when the service starts, in this order, and left when it ends.
LIFESPANS: tuple[Callable[[FastAPI], AbstractAsyncContextManager[None]], ...] = (
    run_job_service,
    app_part.workbench_lifespan,
)


class ServiceApp(FastAPI):
    """A FastAPI application with a root path and a log of all requests.

    `DirectFiles` answers requests for finished files of stores on this machine. The routes answer all other requests.

    The OpenAPI description of the application contains the schema of error responses.

    Parameters
    ----------
    service : Service
        Objects that the routes share.
    **options : object
        Options of `FastAPI`.
    """

    def __init__(self, service: Service, **options: Any) -> None:
        super().__init__(**options)
        self.state.service = service
        self._root_path = service.config.root_path
        # The log comes before the middleware of FastAPI, and so contains the responses to all errors.
        self._entry = RequestLog(
            DirectFiles(super().__call__, service), service.metrics, secure=service.config.scheme == "https"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Proxies may keep the root path in the path of the request, or remove it."""
        scope["root_path"] = self._root_path
        await self._entry(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description of the service, as a dict."""
        description = super().openapi()
        description["components"]["schemas"].setdefault("ProblemDetails", ProblemDetails.model_json_schema())
        return description


def create_app(config: ServiceConfig) -> FastAPI:
    """Create the web application of a service.

    Parameters
    ----------
    config : ServiceConfig
        Options of the service.

    Returns
    -------
    fastapi.FastAPI
        An ASGI application. Its ``state.service`` is the `Service` that the routes share.

    Raises
    ------
    HsifeatError
        If options contradict each other, or if a file or folder does not exist.

    Examples
    --------
    >>> app = create_app(ServiceConfig())
    >>> app.title
    'hsifeat'
    """
    config.check()
    service = Service.of_config(config)
    app = ServiceApp(
        service,
        title="hsifeat",
        version=__version__,
        description="Features of frozen diffusion models for hyperspectral scenes, computed once and cached.",
        # The documentation pages of FastAPI load scripts from the network.
        docs_url=None,
        redoc_url=None,
        # The service has metrics of its own, and sends none elsewhere.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        lifespan=_lifespan,
        responses=problem_responses(400, 401, 403, 408, 413, 421, 422, 431, 503),
    )
    add_problem_handlers(app)
    # The middleware that is added last sees a request first.
    larger_bodies = {"/uploads/": config.upload_part_mb * MB}
    app.add_middleware(BodyGuard, config.body_mb * MB, larger_bodies, config.body_seconds)
    app.add_middleware(Identification, service.tokens)
    app.add_middleware(SignedAddresses, service.signer, service.tokens)
    app.add_middleware(HeaderGuard, config.host_names)
    for router in ROUTERS:
        app.include_router(router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for lifespan in LIFESPANS:
            await stack.enter_async_context(lifespan(app))
        yield
