"""The request class of each kind of job."""

from __future__ import annotations

from hsifeat.service.jobs.analysis_requests import BenchRequest, FitRequest, PredictRequest
from hsifeat.service.jobs.extract_request import ExtractRequest
from hsifeat.service.jobs.records import JobKind, JobRecord
from hsifeat.service.jobs.request import JobRequest

REQUESTS: dict[JobKind, type[JobRequest]] = {
    request.kind: request for request in (ExtractRequest, FitRequest, PredictRequest, BenchRequest)
}
"""Request class of each kind of job."""


def request_of(job: JobRecord) -> JobRequest:
    """Return the request of a job.

    Raises
    ------
    HsifeatError
        If an option is wrong.
    """
    return REQUESTS[job.kind].from_options(job.request)
