"""Timings: the seconds that the extraction of a store took, by timestep and device, in ``timings.json``.

They are for people. No key, seal or digest knows them, so two stores of one recipe are equal in all else.
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
    """What an extraction spent on one timestep.

    Attributes
    ----------
    t : int or None
        The timestep; all layers that are tapped at it come from the same forwards. None for what timesteps share:
        reading the scene and encoding its tiles.
    device : str
        Where the model ran.
    tiles : int
        Forwards of one tile each, those of steps that were lost and done again included.
    seconds : float
        Wall time, waiting for the disk included.
    """

    t: int | None
    device: str
    tiles: int
    seconds: float


def read(location: Location) -> tuple[Timing, ...]:
    """Return what a store says of its timings; nothing where it says nothing, or what it said was damaged."""
    return decode(location.get(FILE)) or ()


def add(location: Location, timings: Sequence[Timing]) -> None:
    """Add to the timings of a store."""
    sums = {(known.t, known.device): known for known in read(location)}
    for new in timings:
        at = new.t, new.device
        old = sums.get(at, replace(new, tiles=0, seconds=0.0))
        sums[at] = replace(new, tiles=old.tiles + new.tiles, seconds=round(old.seconds + new.seconds, 6))
    location.put(FILE, encode(list(sums.values())))


def seconds_of(timings: Collection[Timing], timesteps: Collection[int | None]) -> float | None:
    """Return the seconds that some timesteps took on all devices; None if one of them has no timing.

    >>> found = [Timing(None, "cpu", 9, 1.0), Timing(50, "cpu", 9, 4.0), Timing(50, "cuda", 1, 0.5)]
    >>> seconds_of(found, [50]), seconds_of(found, [None, 50]), seconds_of(found, [50, 100])
    (4.5, 5.5, None)
    """
    if not set(timesteps) <= {timing.t for timing in timings}:
        return None
    return sum(timing.seconds for timing in timings if timing.t in timesteps)


def encode(timings: Sequence[Timing]) -> bytes:
    """Return the content of ``timings.json``: the timings, and a seal over them."""
    rows = [asdict(timing) for timing in sorted(timings, key=lambda timing: (timing.t is not None, timing.t or 0))]
    return json.dumps({"timings": rows, "seal": _seal(rows)}, indent=0).encode()


def decode(content: bytes | None) -> tuple[Timing, ...] | None:
    """Return the timings in a ``timings.json``; None if it was changed, or is not there."""
    try:
        found = tuple(Timing(**row) for row in json.loads(content or b"")["timings"])
        return found if encode(found) == content else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _seal(rows: list[dict[str, object]]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
