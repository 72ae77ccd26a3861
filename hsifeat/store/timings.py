"""Timings: the seconds that an extraction spent on each timestep and device.

The file ``timings.json`` of a store has the timings of the store. They are for information only, and do not affect the key
or the checksums of the store.
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
    """Time that an extraction spent on one timestep and one device.

    Attributes
    ----------
    t : int or None
        Timestep. None for the work that is done once for all timesteps: reading the scene and encoding tiles.
    device : str
        Device of the model, such as ``cuda``.
    tiles : int
        Number of tiles in all forward passes. If `t` is None, number of encoded tiles. A tile that is computed twice,
        because the extraction was interrupted, counts twice.
    seconds : float
        Wall time, including waits for the disk.
    """

    t: int | None
    device: str
    tiles: int
    seconds: float


def read(location: Location) -> tuple[Timing, ...]:
    """Return the timings of a store; an empty tuple if the file ``timings.json`` is missing or damaged."""
    return decode(location.get(FILE)) or ()


def add(location: Location, timings: Sequence[Timing]) -> None:
    """Add `timings` to the timings of a store.

    If a new timing has the timestep and device of a stored timing, its tiles and seconds are added to the stored timing.

    If `timings` is empty, nothing happens. Otherwise, the file ``timings.json`` is read and written again, so only one
    process at a time may add timings.
    """
    if not timings:
        return
    sums = {(timing.t, timing.device): timing for timing in read(location)}
    for timing in timings:
        index = timing.t, timing.device
        total = sums.get(index, replace(timing, tiles=0, seconds=0.0))
        sums[index] = replace(
            timing, tiles=total.tiles + timing.tiles, seconds=round(total.seconds + timing.seconds, 6)
        )
    location.put(FILE, encode(list(sums.values())))


def total_seconds(timings: Collection[Timing], timesteps: Collection[int | None]) -> float | None:
    """Return the sum of the seconds of `timesteps` on all devices; None if one of `timesteps` has no timing.

    The item None of `timesteps` is the work that is done once for all timesteps. It needs no timing, because context stores
    have no such work.

    >>> timings = [Timing(None, "cpu", 9, 1.0), Timing(50, "cpu", 9, 4.0), Timing(50, "cuda", 1, 0.5)]
    >>> total_seconds(timings, [50]), total_seconds(timings, [None, 50]), total_seconds(timings, [50, 100])
    (4.5, 5.5, None)
    >>> total_seconds([Timing(0, "cpu", 1, 2.0)], [None, 0])
    2.0
    """
    if not timings or not set(timesteps) - {None} <= {timing.t for timing in timings}:
        return None
    return sum(timing.seconds for timing in timings if timing.t in timesteps)


def encode(timings: Sequence[Timing]) -> bytes:
    """Return the content of ``timings.json`` for the given timings. It includes a checksum."""
    rows = [asdict(timing) for timing in sorted(timings, key=lambda timing: (timing.t is not None, timing.t or 0))]
    return json.dumps({"timings": rows, "checksum": _checksum(rows)}, indent=0).encode()


def decode(content: bytes | None) -> tuple[Timing, ...] | None:
    """Return the timings in the content of ``timings.json``; None if the content is damaged or None."""
    try:
        timings = tuple(Timing(**row) for row in json.loads(content or b"")["timings"])
        return timings if encode(timings) == content else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _checksum(rows: list[dict[str, object]]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
