"""Routes of jobs: submission, listing, events, cancellation and results."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

from hsifeat.errors import SceneError
from hsifeat.service.job_routing import Jobs
from hsifeat.service.jobs.allowed_files import resolve_below
from hsifeat.service.jobs.analysis_requests import BenchRequest, FitRequest, PredictRequest
from hsifeat.service.jobs.database import JobDatabase
from hsifeat.service.jobs.extract_request import ExtractRequest
from hsifeat.service.jobs.job_service import JobService
from hsifeat.service.jobs.queue import Submission
from hsifeat.service.jobs.records import JobKind, JobRecord, JobState
from hsifeat.service.jobs.request import JobRequest
from hsifeat.service.problems import ProblemError, problem_responses
from hsifeat.service.request_parameters import IDENTIFIER, JobId
from hsifeat.service.rights import Author, Reader
from hsifeat.service.tokens import Caller

router = APIRouter(tags=["jobs"])

_POLL_S = 0.3
_SUBMITTED: dict[str, Any] = {
    "status_code": 202,
    "responses": {
        200: {"model": Submission, "description": "A finished job answers the request."},
        202: {"model": Submission, "description": "A job was queued, or an equal unfinished job answers the request."},
        **problem_responses(403, 404, 429, 507),
    },
}


class ResultFile(BaseModel):
    """A file in the results of a job."""

    name: str
    size_bytes: int


@router.post("/extractions", **_SUBMITTED)
def submit_extraction(request: ExtractRequest, caller: Author, jobs: Jobs, response: Response) -> Submission:
    """Request the features of a scene.

    If the features already exist, the response is a finished job. Equal requests share one unfinished job.
    """
    return _submit(request, caller, jobs, response)


@router.post("/fits", **_SUBMITTED)
def submit_fit(request: FitRequest, caller: Author, jobs: Jobs, response: Response) -> Submission:
    """Request the fit of a head on stores. The result is the folder of a model, as a zip file."""
    return _submit(request, caller, jobs, response)


@router.post("/predictions", **_SUBMITTED)
def submit_prediction(request: PredictRequest, caller: Author, jobs: Jobs, response: Response) -> Submission:
    """Request a map of a scene from a model that this service fitted. The result is a GeoTIFF."""
    return _submit(request, caller, jobs, response)


@router.post("/benches", **_SUBMITTED)
def submit_bench(request: BenchRequest, caller: Author, jobs: Jobs, response: Response) -> Submission:
    """Request a report that compares heads. The result is the folder of the report, as a zip file."""
    return _submit(request, caller, jobs, response)


def _submit(request: JobRequest, caller: Caller, jobs: JobService, response: Response) -> Submission:
    submission = jobs.submit(request, caller.name, admin=caller.may("admin"))
    response.headers["Location"] = f"jobs/{submission.job.id}"
    if submission.outcome == "answered":
        response.status_code = 200
    return submission


@router.get("/jobs")
def list_jobs(
    _caller: Reader,
    jobs: Jobs,
    state: Annotated[list[JobState] | None, Query(description="Only jobs in these states.")] = None,
    kind: Annotated[list[JobKind] | None, Query(description="Only jobs of these kinds.")] = None,
    owner: Annotated[str | None, Query(max_length=100, description="Only jobs of this person.")] = None,
    before: Annotated[
        str | None, Query(pattern=IDENTIFIER, description="Only jobs older than the job with this identifier.")
    ] = None,
    count: Annotated[int, Query(ge=1, le=500, description="Maximum number of jobs.")] = 50,
) -> list[JobRecord]:
    """List jobs, latest first. To get the next page, pass the identifier of the last job of this page as `before`."""
    return jobs.queue.jobs(states=state or (), kinds=kind or (), owner=owner, before=before, count=count)


@router.get("/jobs/{job_id}", responses=problem_responses(404))
def show_job(job_id: JobId, _caller: Reader, jobs: Jobs) -> JobRecord:
    """Return a job with its state, its progress and a description of its result."""
    return jobs.job(job_id)


@router.post("/jobs/{job_id}/cancel", responses=problem_responses(404))
def cancel_job(job_id: JobId, caller: Author, jobs: Jobs) -> JobRecord:
    """Withdraw the caller's request for a job. If nobody else waits for the job, it is cancelled.

    If the caller is an administrator, the job is always cancelled. Finished parts of the work are kept, and a later equal
    request continues from them.
    """
    return jobs.queue.cancel(job_id, caller.name, anyone=caller.may("admin"))


@router.get(
    "/jobs/{job_id}/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problem_responses(404)},
)
def stream_events(
    job_id: JobId,
    _caller: Reader,
    jobs: Jobs,
    last_event_id: Annotated[
        str | None, Header(description="Identifier of the last event that the client has received.")
    ] = None,
) -> EventSourceResponse:
    """Send the events of a job as server-sent events, until the job ends.

    Names of events are ``state``, ``started``, ``advanced``, ``finished`` and ``note``.
    """
    jobs.queue.job(job_id)
    after = int(last_event_id) if last_event_id and re.fullmatch(r"[0-9]{1,18}", last_event_id) else 0
    return EventSourceResponse(_events(jobs.context.database, job_id, after))


async def _events(database: JobDatabase, job_id: str, after: int) -> AsyncIterator[dict[str, str]]:
    while True:
        # The state is read before the events, so that the last event is never missed.
        job = await run_in_threadpool(database.job, job_id)
        events = await run_in_threadpool(database.events, job_id, after)
        for event in events:
            after = event.id
            yield {"id": str(event.id), "event": event.name, "data": json.dumps(event.data)}
        if not events:
            if job is None or job.state.is_final:
                return
            await asyncio.sleep(_POLL_S)


@router.get("/jobs/{job_id}/result", response_class=FileResponse, responses=problem_responses(404, 409))
def download_result(job_id: JobId, _caller: Reader, jobs: Jobs) -> FileResponse:
    """Download the result of a finished job: the model or the report as a zip file, or the map as a GeoTIFF."""
    job = jobs.queue.job(job_id)
    name = str(job.result.get("download", ""))
    if not name:
        what = (
            "its features are in the store that the job names" if job.state is JobState.DONE else f"it is {job.state}"
        )
        raise ProblemError(409, f"job {job_id} has no file to download: {what}")
    return FileResponse(_result_file(jobs, job, name), filename=f"{job_id}-{name}")


@router.get("/jobs/{job_id}/files", responses=problem_responses(404))
def list_result_files(job_id: JobId, _caller: Reader, jobs: Jobs) -> list[ResultFile]:
    """List the files in the results of a job."""
    folder = jobs.context.result_folder(jobs.queue.job(job_id))
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return [
        ResultFile(name=file.relative_to(folder).as_posix(), size_bytes=file.stat().st_size)
        for file in files
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def _result_file(jobs: JobService, job: JobRecord, name: str) -> Path:
    try:
        path = resolve_below([jobs.context.result_folder(job)], name, "file")
    except SceneError:
        path = None
    if path is None or not path.is_file():
        raise ProblemError(404, f"job {job.id} has no file {name!r}: GET /jobs/{job.id}/files lists its files")
    return path
