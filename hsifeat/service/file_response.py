"""Responses that stream a file or a range of its bytes. Conditional requests (RFC 9110) are supported."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from hsifeat.service.byte_ranges import UnsatisfiableRangeError, matches, parse_range
from hsifeat.service.byte_sources import ByteSource
from hsifeat.service.problems import ProblemError

IMMUTABLE = "private, max-age=31536000, immutable"
REVALIDATED = "private, no-cache"
_BYTES: dict[str, Any] = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
# Responses for the OpenAPI description of routes.
FILE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", **_BYTES},
    206: {"description": "The range of the file", **_BYTES},
    304: {"description": "The client has this version of the file"},
}


def file_response(request: Request, source: ByteSource, *, media_type: str, cache_control: str) -> Response:
    """Return the response to a GET or HEAD request for a file. The file is closed after the response.

    Parameters
    ----------
    request : Request
        The request, with its headers Range, If-Range and If-None-Match.
    source : ByteSource
        The open file.
    media_type : str
        Media type of the file.
    cache_control : str
        Header Cache-Control of the response.

    Raises
    ------
    ProblemError
        The range lies outside of the file, or the request has several ranges.
    """
    headers = {"ETag": source.etag, "Cache-Control": cache_control, "Accept-Ranges": "bytes"}
    if matches(request.headers.get("if-none-match"), source.etag):
        source.close()
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if (version := request.headers.get("if-range")) is not None and version != source.etag:
        wanted = None
    try:
        part = parse_range(wanted, source.size_bytes)
    except UnsatisfiableRangeError:
        source.close()
        raise ProblemError(
            416,
            f"the file has {source.size_bytes} bytes; send one range within them, such as bytes=0-99 or bytes=-100",
            {"Content-Range": f"bytes */{source.size_bytes}"},
        ) from None
    status = 200 if part is None else 206
    if part is None:
        part = range(source.size_bytes)
    else:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{source.size_bytes}"
    headers["Content-Length"] = str(len(part))
    if request.method == "HEAD":
        source.close()
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(_closing(source, part), status, headers, media_type)


async def _closing(source: ByteSource, part: range) -> AsyncIterator[bytes]:
    try:
        async for block in source.blocks(part):
            yield block
    finally:
        source.close()
