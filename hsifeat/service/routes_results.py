"""Route for the results of jobs: maps, tables and reports, as files."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from hsifeat.service.byte_sources import LocalFile
from hsifeat.service.file_response import FILE_RESPONSES, REVALIDATED, file_response
from hsifeat.service.problems import ProblemError, problem_responses
from hsifeat.service.request_parameters import JobId
from hsifeat.service.rights import Reader
from hsifeat.service.service import service_of

router = APIRouter(tags=["jobs"])
_RESPONSES: dict[int | str, dict[str, Any]] = {**FILE_RESPONSES, **problem_responses(404, 416)}
_MEDIA_TYPES = {
    ".tif": "image/tiff",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
}
# A report contains names from files. The sandbox gives the report a separate origin without cookies.
_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; frame-ancestors 'none'"
)


@router.head("/jobs/{job_id}/files/{path:path}", responses=_RESPONSES, response_class=Response)
@router.get("/jobs/{job_id}/files/{path:path}", responses=_RESPONSES, response_class=Response)
async def read_result(
    request: Request,
    _caller: Reader,
    job_id: JobId,
    path: Annotated[str, Path(description="Path of a file in the results of the job, such as map.tif.")],
) -> Response:
    """Read a file in the results of a job, or a range of its bytes."""
    folder = service_of(request).config.results_folder / job_id
    try:
        source = LocalFile(folder, path)
    except FileNotFoundError:
        raise ProblemError(404, f"the job has no file {path:.200}: GET /jobs/{job_id}/files lists its files") from None
    media_type = _MEDIA_TYPES.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")
    response = file_response(request.scope, source, media_type=media_type, cache_control=REVALIDATED)
    response.headers["Content-Security-Policy"] = _POLICY
    return response
