"""Pages of stores: a list that can be searched, and one page for each store."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from hsifeat.cache.usage import store_bytes
from hsifeat.service.job_routing import Jobs
from hsifeat.service.jobs.records import JobRecord
from hsifeat.service.pages.job_pages import job_row
from hsifeat.service.pages.pictures import plane_picture, scene_picture
from hsifeat.service.pages.rendering import PageRoute, render
from hsifeat.service.problems import ProblemError
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.rights import Reader
from hsifeat.service.service import service_of
from hsifeat.service.store_index import ServedStore
from hsifeat.service.store_models import PlaneInfo, details_of
from hsifeat.store.location import LocalLocation

router = APIRouter(include_in_schema=False, route_class=PageRoute)
_ROWS_PER_PAGE = 60
_SEARCHED_JOBS = 200
_KEPT = {"Cache-Control": "private, max-age=3600"}


# Routes without `async` run in threads, because they read files.
@router.get("/")
def stores_page(
    request: Request,
    _caller: Reader,
    search: Annotated[str, Query(max_length=200)] = "",
    page: Annotated[int, Query(ge=0, lt=10**6)] = 0,
) -> HTMLResponse:
    """List the stores."""
    found = service_of(request).summaries.search(search)
    found.sort(key=lambda entry: (entry[1].scene, entry[1].name, entry[1].key))
    shown = found[page * _ROWS_PER_PAGE : (page + 1) * _ROWS_PER_PAGE]
    rows = [{"summary": summary, "size_bytes": _size_bytes(store)} for store, summary in shown]
    following = page + 1 if len(found) > (page + 1) * _ROWS_PER_PAGE else None
    return render(request, "stores.html.j2", rows=rows, total=len(found), search=search, following=following)


@router.get("/pages/stores/{key}")
def store_page(request: Request, _caller: Reader, jobs: Jobs, key: StoreKey) -> HTMLResponse:
    """Show a store: its scene, planes, label maps and recipe, and the jobs that created or used the store."""
    service = service_of(request)
    store = service.stores.find(key)
    features = service.stores.features(store)
    details = details_of(store, features)
    nm = details.facts.wavelengths_nm
    georeference = features.georeference
    grid: dict[str, dict[int, PlaneInfo]] = {}
    for plane in details.plane_list:
        grid.setdefault(plane.layer, {})[plane.t] = plane
    return render(
        request,
        "store.html.j2",
        details=details,
        size_bytes=_size_bytes(store),
        wavelengths=f"{min(nm):.0f} to {max(nm):.0f}" if nm else "",
        crs=georeference.crs_name if georeference and georeference.crs else "",
        steps=sorted({plane.t for plane in details.plane_list}),
        grid=grid,
        siblings=[
            one
            for _, one in service.summaries.search()
            if one.key != store.key and one.scene_digest == details.scene_digest
        ],
        jobs=[job_row(job) for job in jobs.queue.jobs(count=_SEARCHED_JOBS) if _uses(job, store.key)],
        address=str(request.base_url),
    )


@router.get("/pages/stores/{key}/scene.png")
def scene_image(request: Request, _caller: Reader, key: StoreKey) -> Response:
    """Return the picture of a scene."""
    index = service_of(request).stores
    return Response(scene_picture(index.features(index.find(key))), media_type="image/png", headers=_KEPT)


@router.get("/pages/stores/{key}/plane.png")
def plane_image(
    request: Request, _caller: Reader, key: StoreKey, plane: Annotated[str, Query(max_length=200)]
) -> Response:
    """Return the picture of a plane."""
    index = service_of(request).stores
    features = index.features(index.find(key))
    spec = next((known for known in features.planes if str(known.id) == plane), None)
    if spec is None:
        raise ProblemError(404, f"{features.name} has no complete plane {plane}")
    return Response(plane_picture(features, spec), media_type="image/png", headers=_KEPT)


def _uses(job: JobRecord, key: str) -> bool:
    stores = job.request.get("stores")
    # Requests name a store by the first digits of its key.
    named = stores if isinstance(stores, list) else []
    return job.result.get("store") == key or any(key.startswith(str(digits)) for digits in named)


def _size_bytes(store: ServedStore) -> int | None:
    return store_bytes(store.location, store.key) if isinstance(store.location, LocalLocation) else None
