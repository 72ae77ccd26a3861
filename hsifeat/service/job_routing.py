"""Start and end of the `JobService`, and the dependency by which routes use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from hsifeat.service.jobs.job_service import JobService


@asynccontextmanager
async def run_job_service(app: FastAPI) -> AsyncIterator[None]:
    """Open the database of jobs, and execute jobs until the application ends."""
    service = app.state.service
    jobs = await run_in_threadpool(JobService, service.config, service.stores)
    app.state.jobs = jobs
    jobs.supervisor.start()
    try:
        yield
    finally:
        await run_in_threadpool(jobs.supervisor.stop)


def _job_service(request: Request) -> JobService:
    service: JobService = request.app.state.jobs
    return service


Jobs = Annotated[JobService, Depends(_job_service)]
