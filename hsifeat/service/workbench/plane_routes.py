"""Planes of a diffusion model for the scene that is being labelled.

A job computes the planes, and they are offered as inputs when the job ends.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hsifeat.extraction.config import ExtractionConfig
from hsifeat.service.job_routing import Jobs
from hsifeat.service.jobs.extract_request import ExtractRequest
from hsifeat.service.jobs.job_service import JobService
from hsifeat.service.jobs.records import JobKind, JobRecord, JobState
from hsifeat.service.jobs.scene_source import SceneSource
from hsifeat.service.pages.job_pages import job_row
from hsifeat.service.pages.rendering import render
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.rights import Author, Reader
from hsifeat.service.workbench.workspace import workbench_of

router = APIRouter(prefix="/label/{key}/planes", include_in_schema=False)
BACKBONE = "natural32"
_LATEST = 100


@router.get("")
def plane_state(request: Request, caller: Reader, jobs: Jobs, key: StoreKey) -> HTMLResponse:
    """Return the state of the planes of the scene: none, being computed, ready, or in use."""
    features = workbench_of(request).workspace(key).features
    job = None if features.has_planes(context=False) else _latest_job(jobs, features.key)
    return render(
        request,
        "workbench/planes.html.j2",
        backbone=BACKBONE,
        joined=features.has_planes(context=False),
        job=job,
        row=None if job is None else job_row(job),
        editable=caller.may("write"),
        address=f"/label/{key}",
    )


@router.post("")
def compute_planes(request: Request, caller: Author, jobs: Jobs, key: StoreKey) -> HTMLResponse:
    """Request the planes of a diffusion model for the scene of a store."""
    submit_planes(jobs, workbench_of(request).workspace(key).features.key, caller.name)
    return plane_state(request, caller, jobs, key)


def submit_planes(jobs: JobService, key: str, owner: str) -> None:
    """Queue the extraction of planes from the scene of a store, unless they exist or are being computed.

    Raises
    ------
    HsifeatError
        If the request is refused, see `JobService.submit`.
    """
    request = ExtractRequest(scene=SceneSource(store=key), options=ExtractionConfig(backbone=BACKBONE), priority="low")
    jobs.submit(request, owner, admin=False)


def _latest_job(jobs: JobService, key: str) -> JobRecord | None:
    """Return the latest job that computes planes from the scene of a store; None if there is no such job, or if it was cancelled."""
    for job in jobs.queue.jobs(kinds=[JobKind.EXTRACT], count=_LATEST):
        if job.request.get("scene", {}).get("store") == key:
            return None if job.state is JobState.CANCELLED else job
    return None
