"""The ASGI extension ``http.response.zerocopysend`` for uvicorn.

If a part of a file is in memory, Linux sends the part without a copy in Python. Otherwise, a thread reads the part.
https://asgi.readthedocs.io/en/latest/extensions.html#zero-copy-send describes the extension.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import anyio.to_thread
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

ZERO_COPY = "http.response.zerocopysend"
# On other systems, os.sendfile has other arguments or doesn't exist.
IS_SUPPORTED = sys.platform == "linux"
# With this flag of Linux, a read returns only bytes that are in memory. It does not block, and needs no thread.
_NO_WAIT = getattr(os, "RWF_NOWAIT", None)
# The system sends a larger part in several steps, between which other requests are answered.
_PART_BYTES = 2**20
# Size of a block that is read from a disk.
_BLOCK_BYTES = 2**19
# Size of a small block that waits in the buffer of a connection. Writing resumes when the client can receive more.
_WAITING_BYTES = 2**14


class FileSendingCycle(RequestResponseCycle):
    """A request and its response. The response can contain parts of files.

    The application sends a part of a file by a message of type `ZERO_COPY`. The keys of the message are ``file`` (a file
    descriptor), ``offset`` and ``count`` (in bytes), and ``more_body``. The response must have a header Content-Length.
    """

    async def send(self, message: Any) -> None:
        """Send the part of the response that a message of the application contains."""
        if message["type"] == ZERO_COPY:
            sent = await self._send_part(message["file"], message["offset"], message["count"])
            if sent < message["count"]:  # The client has gone, or the file was truncated.
                return
            message = {"type": "http.response.body", "more_body": message["more_body"]}
        await super().send(message)

    async def _send_part(self, file: int, offset: int, count: int) -> int:
        """Send bytes of a file, and return their number."""
        socket, sent = self.transport.get_extra_info("socket").fileno(), 0
        while sent < count:
            if self.flow.write_paused:
                await self.flow.drain()
            if self.disconnected:
                break
            length = min(count - sent, _PART_BYTES)
            step, block_bytes = 0, _BLOCK_BYTES
            # Bytes in the buffer of the connection come first.
            if not self.transport.get_write_buffer_size() and _is_in_memory(file, offset + sent, length):
                try:
                    step = os.sendfile(socket, file, offset + sent, length)
                except BlockingIOError:
                    block_bytes = _WAITING_BYTES
                except ConnectionError:
                    self.disconnected = True  # as uvicorn does when it notices later
                    self.transport.abort()
                    break
            if not step:
                block = await read_part(file, offset + sent, min(length, block_bytes))
                if not block or self.transport.is_closing():  # The client may leave while a part is read in a thread.
                    break
                self.transport.write(block)
                step = len(block)
            sent += step
            self.expected_content_length -= step
        return sent


def _is_in_memory(file: int, offset: int, length: int) -> bool:
    """Return whether the last of some bytes of a file can be read without waiting for a disk."""
    if _NO_WAIT is None:
        return False
    try:
        return os.preadv(file, [bytearray(1)], offset + length - 1, _NO_WAIT) == 1
    except OSError:  # not in memory, or not supported by this file system
        return False


async def read_part(file: int, offset: int, length: int) -> bytes | bytearray:
    """Read bytes of a file without blocking the event loop.

    If the operating system has all of these bytes in memory, they are read directly. Otherwise, a thread reads them.

    Parameters
    ----------
    file : int
        Descriptor of the file.
    offset, length : int
        Position of the first byte in the file, and number of bytes.

    Returns
    -------
    bytes or bytearray
        The bytes. There are fewer than `length` at the end of the file.
    """
    if _NO_WAIT is not None:
        buffer = bytearray(length)
        with suppress(OSError):  # not in memory, or not supported by this file system
            if os.preadv(file, [buffer], offset, _NO_WAIT) == length:
                return buffer  # a copy would take as long as reading
    return await anyio.to_thread.run_sync(os.pread, file, length, offset)
