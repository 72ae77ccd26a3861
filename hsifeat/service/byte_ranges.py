"""Parsing of the HTTP headers Range and If-None-Match (RFC 9110). Requests for several ranges are refused."""

from __future__ import annotations

import re

# 18 digits are enough for any file. Longer numbers are slow to convert.
_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


class UnsatisfiableRangeError(ValueError):
    """Raised if the requested range is empty, lies outside of the file, or is not a single range."""


def parse_range(header: str | None, size_bytes: int) -> range | None:
    """Return the range of bytes that a Range header requests.

    If the header is missing, or if its unit is not bytes, the result is None. None means the whole file.

    Parameters
    ----------
    header : str or None
        Value of the header.
    size_bytes : int
        Size of the file in bytes.

    Raises
    ------
    UnsatisfiableRangeError
        If the range is empty, lies outside of the file, or is not a single range.

    Examples
    --------
    >>> parse_range("bytes=0-3", 10), parse_range("bytes=8-", 10), parse_range("bytes=-4", 10)
    (range(0, 4), range(8, 10), range(6, 10))
    >>> parse_range("lines=1-2", 10)
    """
    if header is None or not header.startswith("bytes="):
        return None
    match = _RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        raise UnsatisfiableRangeError
    first, last = match.groups()
    if first:
        bounds = range(int(first), min(int(last) + 1 if last else size_bytes, size_bytes))
    else:
        bounds = range(max(size_bytes - int(last), 0), size_bytes)
    if not bounds:
        raise UnsatisfiableRangeError
    return bounds


def matches(header: str | None, etag: str) -> bool:
    """Return whether a header such as If-None-Match lists an entity tag.

    >>> matches('"a", W/"b"', '"b"'), matches("*", '"b"'), matches(None, '"b"')
    (True, True, False)
    """
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags
