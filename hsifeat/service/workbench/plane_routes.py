"""Routes of the workbench that compute planes of a diffusion model for the scene.

A job computes the planes. When the job is done, the workbench offers the planes as inputs.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hsifeat.extraction.config import ExtractionConfig
from hsifeat.service.job_routing import Jobs
from hsifeat.service.jobs.extract_request import ExtractRequest
from hsifeat.service.jobs.job_service import JobService
from hsifeat.service.jobs.scene_source import SceneSource
from hsifeat.service.pages.job_pages import job_row
from hsifeat.service.pages.rendering import render
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.rights import Author, Reader
from hsifeat.service.workbench.workspace import BACKBONE, workbench_of

router = APIRouter(prefix="/label/{key}/planes", include_in_schema=False)


@router.get("")
def plane_state(request: Request, caller: Reader, jobs: Jobs, key: StoreKey) -> HTMLResponse:
    """Return the state of the planes of the scene: none, being computed, ready, or in use."""
    space = workbench_of(request).workspace(key)
    models = [store.store.manifest.provenance.get("backbone") for store in space.stores if not store.is_context]
    job = None if models else jobs.latest(_plane_request(space.features.key))
    return render(
        request,
        "workbench/planes.html.j2",
        backbone=BACKBONE,
        models=models,
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
    """Queue a job that extracts planes for the scene of a store. If the planes exist or are being computed, queue no job.

    Parameters
    ----------
    jobs : JobService
        Jobs of the service.
    key : str
        Key of the store.
    owner : str
        Name of the person who requests the planes.

    Raises
    ------
    HsifeatError
        If `JobService.submit` refuses the request.
    """
    jobs.submit(_plane_request(key), owner, admin=False)


def _plane_request(key: str) -> ExtractRequest:
    return ExtractRequest(scene=SceneSource(store=key), options=ExtractionConfig(backbone=BACKBONE), priority="low")
