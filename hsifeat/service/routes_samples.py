"""Route that sends the features of pixels as an Arrow stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from hsifeat.service.job_settings import MB
from hsifeat.service.problems import problem_responses
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.rights import Reader
from hsifeat.service.samples import MEDIA_TYPE, Sample, SampleRequest, prepare_sample
from hsifeat.service.service import service_of

# A client must receive a piece of this size before the next piece is sent.
_PIECE_BYTES = 2**18
router = APIRouter(tags=["stores"])
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An Arrow IPC stream",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


async def sample_slot(request: Request) -> AsyncIterator[None]:
    """Limit the number of sample requests in progress: wait for a free slot, and hold it until the response is sent."""
    async with service_of(request).sample_slots:
        yield


@router.post(
    "/stores/{key}/sample",
    responses={**_STREAM, **problem_responses(404, 408, 409, 413)},
    response_class=StreamingResponse,
    dependencies=[Depends(sample_slot)],
)
async def sample_store(request: Request, _caller: Reader, key: StoreKey, wanted: SampleRequest) -> StreamingResponse:
    """Read the features of pixels.

    The response is an Arrow stream with the columns `row` and `col`, and one column for each plane. The value of a plane is
    a list of float32, one number for each channel. If a label map selects the pixels, there is a column `class`. If spectra
    are requested, there is a column `spectrum`.
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
    message: bytes | None = first
    while message is not None:
        for start in range(0, len(message), _PIECE_BYTES):
            yield message[start : start + _PIECE_BYTES]
        message = await anyio.to_thread.run_sync(next, messages, None, limiter=limiter)
