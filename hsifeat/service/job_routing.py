"""Shared parts of the routes of jobs and uploads: the running `JobService`, and the HTTP status of each error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from hsifeat.errors import DiskFullError
from hsifeat.service.jobs.job_service import JobService
from hsifeat.service.jobs.queue import NotOwnerError, QueueFullError, UnknownJobError
from hsifeat.service.problems import problem_response
from hsifeat.service.uploads.folder import UnknownUploadError, UploadTooLargeError
from hsifeat.service.uploads.upload import OffsetError

_STATUSES = {
    DiskFullError: 507,
    NotOwnerError: 403,
    OffsetError: 409,
    QueueFullError: 429,
    UnknownJobError: 404,
    UnknownUploadError: 404,
    UploadTooLargeError: 413,
}


def add_job_problems(app: FastAPI) -> None:
    """Register handlers that answer the errors of jobs and uploads with HTTP statuses."""
    for error_type in _STATUSES:
        app.add_exception_handler(error_type, _on_error)


async def _on_error(_request: Request, error: Exception) -> JSONResponse:
    headers = {}
    if isinstance(error, QueueFullError):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, OffsetError):
        headers["Upload-Offset"] = str(error.offset)
    status = next(status for error_type, status in _STATUSES.items() if isinstance(error, error_type))
    return problem_response(status, str(error), headers)


@asynccontextmanager
async def run_job_service(app: FastAPI) -> AsyncIterator[None]:
    """Open the database of jobs, and execute jobs until the application ends."""
    jobs = await run_in_threadpool(JobService, app.state.service.config)
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
