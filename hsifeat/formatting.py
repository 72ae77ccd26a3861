"""Durations as people read them: in reports, and where a command says how long it will take."""

from __future__ import annotations


def seconds(value: float) -> str:
    """Write a duration in seconds to about three figures.

    >>> seconds(0.1234), seconds(12.34), seconds(1234.5)
    ('0.12', '12.3', '1,234')
    """
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def duration(value: float) -> str:
    """Write a duration, given in seconds, in a unit that people read.

    >>> duration(12.34), duration(200), duration(50_000)
    ('12.3 s', '3.3 min', '13.9 h')
    """
    unit, name = next((u, n) for u, n in ((3600, "h"), (60, "min"), (0, "s")) if value >= 2 * u)
    return f"{seconds(value)} s" if not unit else f"{value / unit:,.1f} {name}"
