"""Formatting and parsing of sizes in bytes, and formatting of durations."""

from __future__ import annotations


def format_bytes(count: float) -> str:
    """Format a size in bytes with decimal units.

    >>> format_bytes(12), format_bytes(1_234_567), format_bytes(5_000_000_000)
    ('12 Bytes', '1.2 MB', '5.0 GB')
    """
    from humanize import naturalsize

    return naturalsize(count)


def parse_bytes(text: str) -> int:
    """Convert a size such as ``200GB``, ``500 MB`` or ``1.5TiB`` to a number of bytes.

    Raises
    ------
    ValueError
        The text is not a number with a unit of bytes.

    >>> parse_bytes("200GB"), parse_bytes("1.5 kiB")
    (200000000000, 1536)
    """
    from dask.utils import parse_bytes as dask_parse_bytes

    # dask would read "GB" as one gigabyte and an empty text as one byte.
    if not text.strip()[:1].isdigit():
        raise ValueError(f"a size starts with a number; found {text!r}")
    return int(dask_parse_bytes(text))


def format_duration(seconds: float) -> str:
    """Format a duration in seconds as text with one or two units.

    >>> format_duration(12.34), format_duration(200), format_duration(50_000)
    ('12.3 seconds', '3 minutes and 20 seconds', '13 hours and 53 minutes')
    """
    from humanize import precisedelta

    if seconds < 60:
        return precisedelta(seconds, format="%0.1f")
    return precisedelta(seconds, minimum_unit="seconds" if seconds < 3600 else "minutes", format="%0.0f")


def format_seconds(seconds: float) -> str:
    """Format seconds for a table, with about three significant digits.

    >>> format_seconds(0.1234), format_seconds(12.34), format_seconds(1234.5)
    ('0.12', '12.3', '1,234')
    """
    return f"{seconds:,.{2 if seconds < 10 else 1 if seconds < 100 else 0}f}"
