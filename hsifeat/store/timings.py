"""Timings: the seconds that extraction spent on a store, by timestep and device, kept in ``timings.json``.

They are for people. No key or checksum of another file depends on them, so that two stores of one recipe are otherwise
equal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace

from hsifeat.store.location import Location

FILE = "timings.json"


@dataclass(frozen=True)
class Timing:
    """Time that extraction spent on one timestep.

    Attributes
    ----------
    t : int or None
        The timestep; all layers tapped at it come from the same forward passes. None for the work that all timesteps
        share: reading the scene and encoding its tiles.
    device : str
        Device that the model ran on.
    tiles : int
        Forward passes of one tile each, including those that were lost and repeated.
    seconds : float
        Wall time, including waits for the disk.
    """

    t: int | None
    device: str
    tiles: int
    seconds: float


def read(location: Location) -> tuple[Timing, ...]:
    """Read the timings of a store; empty if there are none or they are damaged."""
    return decode(location.get(FILE)) or ()


def add(location: Location, timings: Sequence[Timing]) -> None:
    """Add to the timings of a store: tiles and seconds of equal timestep and device are summed."""
    sums = {(timing.t, timing.device): timing for timing in read(location)}
    for timing in timings:
        index = timing.t, timing.device
        total = sums.get(index, replace(timing, tiles=0, seconds=0.0))
        sums[index] = replace(
            timing, tiles=total.tiles + timing.tiles, seconds=round(total.seconds + timing.seconds, 6)
        )
    location.put(FILE, encode(list(sums.values())))


def total_seconds(timings: Collection[Timing], timesteps: Collection[int | None]) -> float | None:
    """Return the seconds spent on some timesteps on all devices; None if one of them has no timing.

    >>> timings = [Timing(None, "cpu", 9, 1.0), Timing(50, "cpu", 9, 4.0), Timing(50, "cuda", 1, 0.5)]
    >>> total_seconds(timings, [50]), total_seconds(timings, [None, 50]), total_seconds(timings, [50, 100])
    (4.5, 5.5, None)
    """
    if not set(timesteps) <= {timing.t for timing in timings}:
        return None
    return sum(timing.seconds for timing in timings if timing.t in timesteps)


def encode(timings: Sequence[Timing]) -> bytes:
    """Return the content of ``timings.json``: the timings, and a checksum over them."""
    rows = [asdict(timing) for timing in sorted(timings, key=lambda timing: (timing.t is not None, timing.t or 0))]
    return json.dumps({"timings": rows, "checksum": _checksum(rows)}, indent=0).encode()


def decode(content: bytes | None) -> tuple[Timing, ...] | None:
    """Parse a ``timings.json``; None if it is damaged or missing."""
    try:
        timings = tuple(Timing(**row) for row in json.loads(content or b"")["timings"])
        return timings if encode(timings) == content else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _checksum(rows: list[dict[str, object]]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
