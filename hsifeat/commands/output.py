"""Wrappers of standard output and standard error. Errors in writing output never stop a command.

A command must not fail after an hour of work because its output can't be written. `guard_output` replaces both streams
by wrappers. All commands, and the packages rich and typer, then print through the wrappers.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class GuardedStream:
    r"""A text stream whose methods do not raise when characters can't be encoded or the output can't be written.

    Characters outside the encoding of the stream are written as escapes, such as ``\xe9``. After an error of the operating
    system, such as a closed pipe or a full disk, further output is discarded.

    Parameters
    ----------
    stream : TextIO
        Stream to write to.

    Attributes
    ----------
    error : OSError or None
        The error that ended the output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    @property
    def lost(self) -> OSError | None:
        """Error that ended the output, or None. A closed pipe does not count as an error."""
        return None if self.error is None or self.error.errno in (errno.EPIPE, errno.ESHUTDOWN) else self.error

    def write(self, text: str) -> int:
        """Write text, and return its length."""
        if self.error is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._discard(error)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Write buffered text."""
        if self.error is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._discard(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _discard(self, error: OSError) -> None:
        self.error = error
        # Python writes the rest of the buffer at exit, and would fail again.
        with suppress(OSError):
            number = os.open(os.devnull, os.O_WRONLY)
            os.dup2(number, self._stream.fileno())
            os.close(number)


def guard_output() -> tuple[GuardedStream, GuardedStream]:
    """Replace standard output and standard error by guarded streams, and return the guarded streams."""
    streams = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        guarded = stream if isinstance(stream, GuardedStream) else GuardedStream(stream or io.StringIO())
        if stream is None:  # The process started with a closed descriptor.
            guarded.error = BrokenPipeError(errno.EPIPE, "closed")
        setattr(sys, name, guarded)
        streams.append(guarded)
    return streams[0], streams[1]
