"""Responses that send a file or a range of its bytes in blocks. Conditional requests (RFC 9110) are supported."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hsifeat.service.byte_ranges import UnsatisfiableRangeError, matches, parse_range
from hsifeat.service.byte_sources import ByteSource
from hsifeat.service.file_sending import ZERO_COPY
from hsifeat.service.guards import header_value
from hsifeat.service.problems import ProblemError

IMMUTABLE = "private, max-age=31536000, immutable"
REVALIDATED = "private, no-cache"
# A shorter part is read to its end even if the client has gone.
_WATCHED_BYTES = 2**23
_BYTES: dict[str, Any] = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
# Responses for the OpenAPI description of routes.
FILE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", **_BYTES},
    206: {"description": "The range of the file", **_BYTES},
    304: {"description": "The client has this version of the file"},
}


def file_response(scope: Scope, source: ByteSource, *, media_type: str, cache_control: str) -> Response:
    """Return the response to a GET or HEAD request for a file. The file is closed after the response.

    Parameters
    ----------
    scope : dict
        ASGI scope of the request. The headers Range, If-Range and If-None-Match are used.
    source : ByteSource
        The open file.
    media_type : str
        Media type of the file.
    cache_control : str
        Header Cache-Control of the response.

    Raises
    ------
    ProblemError
        If the range lies outside of the file. If the request has several ranges.
    """
    headers = [
        (b"etag", source.etag.encode()),
        (b"cache-control", cache_control.encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if matches(header_value(scope, b"if-none-match"), source.etag):
        source.close()
        return _Headers(304, headers)
    wanted = header_value(scope, b"range")
    if (version := header_value(scope, b"if-range")) is not None and version != source.etag:
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
        headers.append((b"content-range", b"bytes %d-%d/%d" % (part.start, part.stop - 1, source.size_bytes)))
    headers += (b"content-length", b"%d" % len(part)), (b"content-type", media_type.encode())
    if scope["method"] == "HEAD":
        source.close()
        return _Headers(status, headers)
    return _FilePart(source, part, status, headers)


class _Headers(Response):
    """A response without a body. Its headers are already encoded, because `Response` takes long to encode them."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code, self.raw_headers, self.body, self.background = status, headers, b"", None


class _FilePart(_Headers):
    """Sends a part of a file. A `StreamingResponse` would start several tasks for each part."""

    def __init__(self, source: ByteSource, part: range, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        super().__init__(status, headers)
        self._source, self._part = source, part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # of ASGI
        with closing(self._source):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if self._source.descriptor is not None and ZERO_COPY in scope.get("extensions", ()):
                await send(
                    {
                        "type": ZERO_COPY,
                        "file": self._source.descriptor,
                        "offset": self._part.start,
                        "count": len(self._part),
                        "more_body": False,
                    }
                )
                return
            gone = asyncio.create_task(_wait_for_end(receive)) if len(self._part) > _WATCHED_BYTES else None
            try:
                left = len(self._part)
                async for block in self._source.blocks(self._part):
                    left -= len(block)
                    await send({"type": "http.response.body", "body": block, "more_body": left > 0})
                    if gone is not None and gone.done():
                        return
                if not self._part:
                    await send({"type": "http.response.body"})
            finally:
                if gone is not None:
                    gone.cancel()


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
