"""Routes that send the files of stores to Zarr clients."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from hsifeat.service.byte_sources import ByteSource, LocalFile, MadeFile, ObjectFile
from hsifeat.service.consolidated import consolidated_metadata
from hsifeat.service.file_response import FILE_RESPONSES, IMMUTABLE, REVALIDATED, file_response
from hsifeat.service.problems import ProblemError, problem_responses
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.rights import Reader
from hsifeat.service.service import service_of
from hsifeat.service.store_index import ServedStore
from hsifeat.store.keys import is_store_file, record_of_shard
from hsifeat.store.location import RemoteLocation
from hsifeat.store.plane_layout import DIGEST_BYTES

router = APIRouter(tags=["stores"])
_FULL_KEY_DIGITS = 64
_TEMPORARY = (".part", ".partial")
_RETRY = {"Retry-After": "2"}
_RESPONSES: dict[int | str, dict[str, Any]] = {**FILE_RESPONSES, **problem_responses(404, 409, 416)}
_FilePath = Annotated[str, Path(description="Path of a file in the store, such as planes/t0050/mid_block/zarr.json.")]


@router.head("/stores/{key}.consolidated.zarr/{path:path}", responses=_RESPONSES, response_class=Response)
@router.get("/stores/{key}.consolidated.zarr/{path:path}", responses=_RESPONSES, response_class=Response)
async def read_consolidated(request: Request, caller: Reader, key: StoreKey, path: _FilePath) -> Response:
    """Read a file of a store. The metadata of a group contains the metadata of all its arrays, so xarray finds the arrays."""
    if path != "zarr.json" and not path.endswith("/zarr.json"):
        return await read_file(request, caller, key, path)
    store, index = await _find(request, key), service_of(request).stores

    def make() -> bytes | None:
        return consolidated_metadata(index.features(store), path) if is_store_file(path) else None

    content = await anyio.to_thread.run_sync(make)
    if content is None:
        return await read_file(request, caller, key, path)
    return file_response(request, MadeFile(content), media_type="application/json", cache_control=REVALIDATED)


@router.head("/stores/{key}.zarr/{path:path}", responses=_RESPONSES, response_class=Response)
@router.get("/stores/{key}.zarr/{path:path}", responses=_RESPONSES, response_class=Response)
async def read_file(request: Request, _caller: Reader, key: StoreKey, path: _FilePath) -> Response:
    """Read a file of a store, or a range of its bytes.

    A finished shard never changes. The status is 503 for a shard that is being computed, and 404 for a missing shard.
    """
    store = await _find(request, key)
    if not is_store_file(path) or path.endswith(_TEMPORARY):
        raise ProblemError(404, f"a store has no file {path:.200}: zarr.json is its root")
    record = record_of_shard(path)
    if record is not None and not await _is_finished(store, record):
        raise await _missing(store, path)
    try:
        source = await _open(store, path)
    except FileNotFoundError:
        raise await _missing(store, path) from None
    constant = (record is not None or path.startswith("scene/cube/c/")) and len(key) == _FULL_KEY_DIGITS
    media_type = "application/json" if path.endswith(".json") else "application/octet-stream"
    return file_response(request, source, media_type=media_type, cache_control=IMMUTABLE if constant else REVALIDATED)


async def _find(request: Request, key: str) -> ServedStore:
    index = service_of(request).stores
    store = index.known(key)
    if store is None:
        store = await anyio.to_thread.run_sync(index.find, key)
    index.mark_used(store)
    return store


async def _open(store: ServedStore, key: str) -> ByteSource:
    if store.folder is not None:
        return LocalFile(store.folder, key)
    if isinstance(store.location, RemoteLocation):
        return await ObjectFile.open(store.location, key)
    raise FileNotFoundError(key)


async def _is_finished(store: ServedStore, record: str) -> bool:
    """Return whether a shard is finished. Its progress record, the file `record`, is written after the shard."""
    version = store.version_of(record)
    if version is not None and store.finished.get(record) == version:
        return True
    try:
        source = await _open(store, record)
    except FileNotFoundError:
        return False
    try:
        finished = any(await source.first(DIGEST_BYTES))
    finally:
        source.close()
    if finished and version is not None:
        store.finished[record] = version
    return finished


async def _missing(store: ServedStore, key: str) -> ProblemError:
    if await anyio.to_thread.run_sync(lambda: store.is_being_written):
        return ProblemError(503, f"{key:.200} is being written: try again", _RETRY)
    return ProblemError(404, f"the store has no {key:.200}")
