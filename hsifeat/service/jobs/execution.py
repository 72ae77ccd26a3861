"""The request class of each kind of job, and the execution of jobs."""

from __future__ import annotations

from typing import Any

from hsifeat.runtime.events import Listener
from hsifeat.service.jobs.analysis_requests import BenchRequest, FitRequest, PredictRequest
from hsifeat.service.jobs.extract_request import ExtractRequest
from hsifeat.service.jobs.records import JobKind, JobRecord
from hsifeat.service.jobs.request import JobContext, JobRequest

REQUESTS: dict[JobKind, type[JobRequest]] = {
    request.kind: request for request in (ExtractRequest, FitRequest, PredictRequest, BenchRequest)
}
"""Request class of each kind of job."""


def execute(context: JobContext, job: JobRecord, listen: Listener) -> dict[str, Any]:
    """Do the work of a job, and return a description of its result as JSON values.

    Parameters
    ----------
    context : JobContext
        Folders, database and uploads.
    job : JobRecord
        The running job.
    listen : callable
        Function that receives progress events.

    Raises
    ------
    HsifeatError
        If the work can't be done.
    """
    request = REQUESTS[job.kind].from_options(job.request)
    return request.execute(context, job, listen)
