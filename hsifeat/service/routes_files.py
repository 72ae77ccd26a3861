"""Routes that send the files of stores to Zarr clients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Path, Request
from starlette.responses import Response
from starlette.types import Scope

from hsifeat.service.byte_sources import ByteSource, LocalFile, MadeFile, ObjectFile
from hsifeat.service.consolidated import consolidated_metadata
from hsifeat.service.file_response import FILE_RESPONSES, IMMUTABLE, REVALIDATED, file_response
from hsifeat.service.problems import ProblemError, problem_responses
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.rights import Reader
from hsifeat.service.service import service_of
from hsifeat.service.store_index import ServedStore, StoreIndex
from hsifeat.store.keys import is_store_file, record_of_shard
from hsifeat.store.plane_layout import DIGEST_BYTES
from hsifeat.store.remote_location import RemoteLocation

router = APIRouter(tags=["stores"])
_FULL_KEY_DIGITS = 64
# Paths that clients send have up to 32 kB.
_REMEMBERED_PATHS = 1024
_TEMPORARY = (".part", ".partial")
_RETRY = {"Retry-After": "2"}
_RESPONSES: dict[int | str, dict[str, Any]] = {**FILE_RESPONSES, **problem_responses(404, 409, 416)}
_FilePath = Annotated[str, Path(description="Path of a file in the store, such as planes/t0050/mid_block/zarr.json.")]


@router.head("/stores/{key}.consolidated.zarr/{path:path}", responses=_RESPONSES, response_class=Response)
@router.get("/stores/{key}.consolidated.zarr/{path:path}", responses=_RESPONSES, response_class=Response)
async def read_consolidated(request: Request, caller: Reader, key: StoreKey, path: _FilePath) -> Response:
    """Read a file of a store. If it is the metadata of a group, the response also has the metadata of all arrays in the group."""
    if path != "zarr.json" and not path.endswith("/zarr.json"):
        return await read_file(request, caller, key, path)
    store, index = await _find(request, key), service_of(request).stores

    def make() -> bytes | None:
        return consolidated_metadata(index.features(store), path) if is_store_file(path) else None

    content = await anyio.to_thread.run_sync(make)
    if content is None:
        return await read_file(request, caller, key, path)
    return file_response(request.scope, MadeFile(content), media_type="application/json", cache_control=REVALIDATED)


@router.head("/stores/{key}.zarr/{path:path}", responses=_RESPONSES, response_class=Response)
@router.get("/stores/{key}.zarr/{path:path}", responses=_RESPONSES, response_class=Response)
async def read_file(request: Request, _caller: Reader, key: StoreKey, path: _FilePath) -> Response:
    """Read a file of a store, or a range of its bytes.

    If a shard is not finished, the status is 503 while a process of this machine writes to the store, and 404 otherwise.
    """
    store = await _find(request, key)
    file = _file_of(path)
    if file is None:
        raise ProblemError(404, f"a store has no file {path:.200}: zarr.json is its root")
    if file.record is not None and not await _is_finished(store, file.record):
        raise await _missing(store, path)
    try:
        source = await _open(store, path)
    except FileNotFoundError:
        raise await _missing(store, path) from None
    cache_control = file.cache_control if len(key) == _FULL_KEY_DIGITS else REVALIDATED
    return file_response(request.scope, source, media_type=file.media_type, cache_control=cache_control)


def finished_file(scope: Scope, stores: StoreIndex, key: str, path: str) -> Response | None:
    """Return the response that `read_file` gives to a request; None if a slow check is needed.

    A slow check is needed for a file in a bucket or in a changed store, for a missing file, and for a shard that
    `ServedStore.is_known_finished` does not confirm.

    Parameters
    ----------
    scope : dict
        Scope of the request.
    stores : StoreIndex
        The stores that clients can read.
    key : str
        Key of a store, 64 hexadecimal digits.
    path : str
        Path of a file in the store.
    """
    store, file = stores.known(key), _file_of(path)
    if store is None or store.folder is None or file is None:
        return None
    if file.record is not None and not store.is_known_finished(file.record):
        return None
    try:
        source = LocalFile(store.folder, path)
    except FileNotFoundError:
        return None
    stores.mark_used(store)
    try:
        return file_response(scope, source, media_type=file.media_type, cache_control=file.cache_control)
    except ProblemError:
        return None


@dataclass(frozen=True)
class _File:
    """The name of the progress record of a file in a store, if the file is a shard, and the values of two response headers."""

    record: str | None
    media_type: str
    cache_control: str


@lru_cache(_REMEMBERED_PATHS)
def _file_of(path: str) -> _File | None:
    if not is_store_file(path) or path.endswith(_TEMPORARY):
        return None
    record = record_of_shard(path)
    media_type = "application/json" if path.endswith(".json") else "application/octet-stream"
    is_constant = record is not None or path.startswith("scene/cube/c/")
    return _File(record, media_type, IMMUTABLE if is_constant else REVALIDATED)


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
    if store.is_known_finished(record):
        return True
    version = store.version_of(record)
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
