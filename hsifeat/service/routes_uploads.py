"""Routes of uploads: creation, parts, completion and deletion."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from hsifeat.service.job_routing import Jobs
from hsifeat.service.job_settings import MB
from hsifeat.service.problems import problem_responses
from hsifeat.service.request_parameters import UploadId
from hsifeat.service.rights import Author
from hsifeat.service.uploads.folder import UploadTooLargeError
from hsifeat.service.uploads.upload import FileManifest, Upload

router = APIRouter(tags=["uploads"])

_BINARY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class UploadRequest(BaseModel):
    """Files to upload: the files of a scene, and possibly files with label maps. A scene in ENVI format has two files."""

    model_config = ConfigDict(extra="forbid")

    files: Annotated[list[FileManifest], Field(min_length=1, max_length=20)]


class UploadedFile(FileManifest):
    """A file of an upload, and the number of its bytes that the service has received."""

    offset: int


class UploadState(BaseModel):
    """State of an upload."""

    id: str
    files: list[UploadedFile]
    complete: Annotated[bool, Field(description="Whether the files are complete and checked.")]
    expires: Annotated[float, Field(description="Time of deletion in seconds since 1970, unless the upload is used.")]
    part_bytes: Annotated[int, Field(description="Maximum size of one part in bytes.")]


def _state(upload: Upload, jobs: Jobs) -> UploadState:
    files = [UploadedFile(**file.model_dump(), offset=upload.offset(file.name)) for file in upload.manifest.files]
    part_bytes = jobs.context.settings.upload_part_mb * MB
    return UploadState(
        id=upload.id, files=files, complete=upload.manifest.complete, expires=upload.expires, part_bytes=part_bytes
    )


@router.post("/uploads", status_code=201, responses=problem_responses(413, 507))
def create_upload(request: UploadRequest, caller: Author, jobs: Jobs) -> UploadState:
    """Create an upload. Its files are sent afterwards, in parts."""
    return _state(jobs.context.uploads.create(request.files, caller.name), jobs)


@router.get("/uploads")
def list_uploads(caller: Author, jobs: Jobs) -> list[UploadState]:
    """List the uploads of the caller. An administrator gets all uploads."""
    uploads = jobs.context.uploads.uploads()
    return [_state(upload, jobs) for upload in uploads if upload.manifest.owner == caller.name or caller.may("admin")]


@router.get("/uploads/{upload_id}", responses=problem_responses(404))
def show_upload(upload_id: UploadId, caller: Author, jobs: Jobs) -> UploadState:
    """Return the state of an upload. The next part of each file must begin at the `offset` of this file."""
    return _state(jobs.upload(upload_id, caller.name, admin=caller.may("admin")), jobs)


@router.put("/uploads/{upload_id}/files/{name}", responses=problem_responses(404, 409, 413, 507), openapi_extra=_BINARY)
async def append_part(
    upload_id: UploadId,
    name: Annotated[str, PathParameter(max_length=100, description="Name of the file.")],
    offset: Annotated[int, Query(ge=0, le=2**50, description="Position of the part in the file.")],
    caller: Author,
    jobs: Jobs,
    request: Request,
) -> UploadState:
    """Append a part to a file of an upload.

    If the connection breaks, the received bytes are kept. If the part begins at a wrong position, the status is 409. The
    header ``Upload-Offset`` then has the right position.
    """
    limit = jobs.context.settings.upload_part_mb * MB
    upload = await run_in_threadpool(jobs.upload, upload_id, caller.name, admin=caller.may("admin"))
    size = 0
    async with contextmanager_in_threadpool(upload.open_part(name, offset)) as part:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise UploadTooLargeError(f"a part has at most {limit:,} bytes: send the rest in further parts")
            await run_in_threadpool(part.write, chunk)
    return await run_in_threadpool(_state, upload, jobs)


@router.post("/uploads/{upload_id}/complete", responses=problem_responses(404, 409))
def complete_upload(upload_id: UploadId, caller: Author, jobs: Jobs) -> UploadState:
    """Check the digests and contents of all files. If all files are good, extractions can use the upload."""
    return _state(jobs.upload(upload_id, caller.name, admin=caller.may("admin")).complete(), jobs)


@router.delete("/uploads/{upload_id}", status_code=204, responses=problem_responses(404))
def delete_upload(upload_id: UploadId, caller: Author, jobs: Jobs) -> None:
    """Delete an upload."""
    jobs.upload(upload_id, caller.name, admin=caller.may("admin")).delete()
