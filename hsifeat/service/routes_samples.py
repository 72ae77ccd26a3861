"""Route that samples pixels: an Arrow stream of the columns that a client asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from hsifeat.service.job_settings import MB
from hsifeat.service.problems import problem_responses
from hsifeat.service.rights import Reader
from hsifeat.service.routes_files import Key
from hsifeat.service.samples import MEDIA_TYPE, Sample, SampleRequest, prepare_sample
from hsifeat.service.service import service_of

router = APIRouter(tags=["stores"])
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An Arrow IPC stream",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/stores/{key}/sample",
    responses={**_STREAM, **problem_responses(404, 408, 409, 413)},
    response_class=StreamingResponse,
)
async def sample_store(request: Request, _caller: Reader, key: Key, wanted: SampleRequest) -> StreamingResponse:
    """Read the features of pixels.

    The response is an Arrow stream with the columns row and col; class, for the pixels of a label map; spectrum; and one column
    per plane, whose values are lists of float32 of the length of the plane's channels.
    """
    service = service_of(request)
    config, limiter = service.config, service.sampling

    def prepare() -> Sample:
        features = service.stores.features(service.stores.find(key))
        return prepare_sample(features, wanted, max_pixels=config.sample_pixels, max_bytes=config.sample_mb * MB)

    sample = await anyio.to_thread.run_sync(prepare, limiter=limiter)
    messages = sample.stream()
    first = await anyio.to_thread.run_sync(next, messages, limiter=limiter)
    return StreamingResponse(_in_threads(first, messages, limiter), media_type=MEDIA_TYPE)


async def _in_threads(first: bytes, messages: Iterator[bytes], limiter: CapacityLimiter) -> AsyncIterator[bytes]:
    yield first
    while (message := await anyio.to_thread.run_sync(next, messages, None, limiter=limiter)) is not None:
        yield message
