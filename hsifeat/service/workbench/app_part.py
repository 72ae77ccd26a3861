"""Routers of the workbench, and the context manager that opens and closes its database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from classifiers.labelling.labels_db import LabelDatabase
from hsifeat.service.workbench import (
    check_routes,
    file_routes,
    label_routes,
    map_routes,
    plane_routes,
    report_routes,
    scene_routes,
    workbench_page,
)
from hsifeat.service.workbench.workspace import Workbench

ROUTERS = (
    scene_routes.router,
    label_routes.router,
    check_routes.router,
    map_routes.router,
    plane_routes.router,
    file_routes.router,
    report_routes.router,
    workbench_page.router,
)


@asynccontextmanager
async def workbench_lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the label database, and close it when the application ends.

    If the option ``--state`` names a folder, the label database is in this folder. Otherwise, the default label database of
    the account that runs the service is opened.
    """
    service = app.state.service
    path = Path(service.config.state) / "labels.sqlite" if service.config.state else None
    database = await run_in_threadpool(LabelDatabase, path)
    app.state.workbench = Workbench(service.stores, service.summaries, database)
    try:
        yield
    finally:
        database.close()
