"""The web application: routes, error handlers and guards, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI

from hsifeat import __version__
from hsifeat.service import routes_health
from hsifeat.service.config import ServiceConfig
from hsifeat.service.problems import add_problem_handlers, problem_responses
from hsifeat.service.service import Service

# Each part of the service adds its router here.
ROUTERS: tuple[APIRouter, ...] = (routes_health.router,)
# What starts and ends together with the service, in this order.
LIFESPANS: tuple[Callable[[FastAPI], AbstractAsyncContextManager[None]], ...] = ()


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
        Options contradict each other, or a file or folder does not exist.

    Examples
    --------
    >>> app = create_app(ServiceConfig())
    >>> app.title
    'hsifeat'
    """
    config.check()
    app = FastAPI(
        title="hsifeat",
        version=__version__,
        description="Features of frozen diffusion models for hyperspectral scenes, computed once and cached.",
        root_path=config.root_path,
        # Their pages load scripts from the network.
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses=problem_responses(401, 403, 422, 503),
    )
    app.state.service = Service.of_config(config)
    add_problem_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for lifespan in LIFESPANS:
            await stack.enter_async_context(lifespan(app))
        yield
