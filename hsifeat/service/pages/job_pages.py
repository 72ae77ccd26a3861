"""Pages of jobs: the list of jobs, and for each job a page with its progress."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from hsifeat.service.job_routing import Jobs
from hsifeat.service.jobs.records import JobRecord
from hsifeat.service.pages.rendering import PageRoute, render
from hsifeat.service.request_parameters import JobId
from hsifeat.service.rights import Author, Reader
from hsifeat.service.service import service_of
from hsifeat.service.tokens import Caller

router = APIRouter(include_in_schema=False, route_class=PageRoute)
_LATEST = 50


@router.get("/pages/jobs")
def jobs_page(request: Request, _caller: Reader, jobs: Jobs) -> HTMLResponse:
    """List the latest jobs."""
    rows = [job_row(job) for job in jobs.queue.jobs(count=_LATEST)]
    return render(request, "jobs.html.j2", rows=rows, live=any(not row["ended"] for row in rows))


@router.get("/pages/jobs/{job_id}")
def job_page(request: Request, caller: Reader, jobs: Jobs, job_id: JobId) -> HTMLResponse:
    """Show a job with its progress and its log."""
    job = jobs.job(job_id)
    return render(request, "job.html.j2", job=job, row=job_row(job), may_cancel=_may_cancel(job, caller))


@router.post("/pages/jobs/{job_id}/cancel")
def cancel_job(request: Request, caller: Author, jobs: Jobs, job_id: JobId) -> RedirectResponse:
    """Withdraw the caller's request for a job, and redirect the browser to the page of the job."""
    jobs.queue.cancel(job_id, caller.name, anyone=caller.may("admin"))
    return RedirectResponse(f"{service_of(request).config.root_path}/pages/jobs/{job_id}", 303)


def job_row(job: JobRecord) -> dict[str, object]:
    """Return the values of a job for the templates of pages, as a dict."""
    progress = job.progress
    share = None if progress is None or not progress.total else min(progress.done / progress.total, 1.0)
    ended = job.state.is_final
    seconds = (job.finished or time.time()) - job.started if job.started else None
    return {
        "id": job.id,
        "what": f"{job.kind} {_subject(job)}".strip(),
        "owners": ", ".join(job.owners),
        "state": "cancelling" if job.cancelling and not ended else str(job.state),
        "reason": job.reason,
        "ended": ended,
        "share": 1.0 if job.state == "done" else share,
        "progress": "" if progress is None else f"{progress.done:g} of {progress.total:g} {progress.unit}",
        "created": time.strftime("%Y-%m-%d %H:%M", time.localtime(job.created)),
        "seconds": seconds,
        "store": job.result.get("store", ""),
        "download": bool(job.result.get("download")),
    }


def _subject(job: JobRecord) -> str:
    scene = job.request.get("scene")
    if isinstance(scene, dict):
        return str(next((value for value in scene.values() if value), ""))
    stores = job.request.get("stores")
    return ", ".join(str(store)[:12] for store in stores) if isinstance(stores, list) else ""


def _may_cancel(job: JobRecord, caller: Caller) -> bool:
    mine = caller.name in job.owners and caller.may("write")
    return not job.state.is_final and not job.cancelling and (mine or caller.may("admin"))
