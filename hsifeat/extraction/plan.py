"""The plan: which units of which planes are missing, and what it takes to compute them. Pure: nothing is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hsifeat.cache.grid import PlaneSpec, Unit
from hsifeat.extraction.noising import Noising
from hsifeat.extraction.tiles import Tiling
from hsifeat.types import PlaneId, Window, windows

# Units are about this large: big enough for a shard of some MB, small enough that little is lost with one.
_UNIT_PX = 128
# Tiles that reach over the border of blended units are run for each, so that memory is bounded by one: larger, fewer.
_BLENDED_UNIT_PX = 512


def unit_side(tiling: Tiling) -> int:
    """Return the side of a unit in pixels: the fewest steps that reach 128 px, 512 where tiles blend."""
    if tiling.stitch == "whole":
        return max(tiling.tile)
    step = tiling.step[0]
    return step * -(-(_BLENDED_UNIT_PX if tiling.blends else _UNIT_PX) // step)


@dataclass(frozen=True)
class Step:
    """One unit at one timestep: the least that is computed and recorded together.

    Attributes
    ----------
    unit : Unit
        Where.
    t : int
        Training timestep.
    planes : tuple of PlaneSpec
        Those of the planes at `t` that lack this unit; their layers are tapped in one forward.
    passes : int
        Forwards that each of its tiles takes.
    """

    unit: Unit
    t: int
    planes: tuple[PlaneSpec, ...]
    passes: int = 1


@dataclass(frozen=True)
class Plan:
    """What an extraction will do.

    Attributes
    ----------
    planes : tuple of PlaneSpec
        All planes asked for, those that are there included.
    steps : tuple of Step
        What is missing, unit by unit and then t by t, so that a unit's tiles are read once.
    tiling : Tiling
        How tiles are cut.
    unit_px : int
        Side of a unit.
    tiles : int
        Tiles of the scene of which a valid pixel is kept.
    forwards : dict of Unit to int
        Those of each unit, which take a forward at each timestep, or several.
    passes_each : int
        Forwards that a tile takes for all planes from nothing.
    rows, cols : int
        The scene's shape.
    """

    planes: tuple[PlaneSpec, ...]
    steps: tuple[Step, ...]
    tiling: Tiling
    unit_px: int
    tiles: int
    forwards: dict[Unit, int]
    passes_each: int
    rows: int
    cols: int

    @property
    def passes(self) -> int:
        """Forwards of a tile that are still to do."""
        return sum(self.forwards[step.unit] * step.passes for step in self.steps)

    @property
    def all_passes(self) -> int:
        """Forwards of a tile that the planes take from nothing."""
        return self.passes_each * sum(self.forwards.values())

    @property
    def missing_bytes(self) -> int:
        """Bytes that are still to be written, before compression."""
        cells = (
            np.prod(plane.cells(step.unit.window.rows, step.unit.window.cols)) * np.dtype(plane.dtype).itemsize
            for step in self.steps
            for plane in step.planes
        )
        return int(sum(cells))

    TABLE: ClassVar = ("plane", "stride", "channels", "MB", "state")

    def rows_of_table(self) -> list[dict[str, str | float]]:
        """Return a row for each plane, with the columns `TABLE`: what ``--dry-run`` shows."""
        missing = {plane for step in self.steps for plane in step.planes}
        return [
            {
                "plane": str(plane.id),
                "stride": plane.stride,
                "channels": plane.channels,
                "MB": plane.size_bytes(self.rows, self.cols) / 1e6,
                "state": "to do" if plane in missing else "there",
            }
            for plane in self.planes
        ]


def make_plan(
    valid: NDArray[np.bool_],
    tiling: Tiling,
    unit_px: int,
    planes: Sequence[PlaneSpec],
    noising: Noising,
    done: Callable[[PlaneId], NDArray[np.bool_]] | None,
) -> Plan:
    """Plan an extraction.

    Parameters
    ----------
    valid : (rows, cols) bool array
        The scene's valid pixels.
    tiling : Tiling
        How tiles are cut.
    unit_px : int
        Side of a unit.
    planes : sequence of PlaneSpec
        What is asked for.
    noising : Noising
        Decides how many forwards a timestep takes.
    done : callable or None
        Which units of a plane are there, on the grid of units; None where nothing is.
    """
    rows, cols = valid.shape
    units = [Unit((w.row // unit_px, w.col // unit_px), w) for w in windows(rows, cols, unit_px)]
    there = {plane.id: done(plane.id) for plane in planes} if done else {}

    timesteps = sorted({plane.id.t for plane in planes})

    def steps() -> Iterator[Step]:
        for unit in units:
            before = None
            for t in timesteps:
                of_t = (plane for plane in planes if plane.id.t == t)
                missing = tuple(p for p in of_t if not there or not there[p.id][unit.index])
                if missing:
                    yield Step(unit, t, missing, noising.passes(t, before))
                    before = t

    return Plan(
        planes=tuple(planes),
        steps=tuple(steps()),
        tiling=tiling,
        unit_px=unit_px,
        tiles=len(tiling.seen(Window(0, 0, rows, cols), valid)),
        forwards={unit: len(tiling.seen(unit.window, valid)) for unit in units},
        passes_each=sum(noising.passes(t, before) for before, t in zip([None, *timesteps], timesteps, strict=False)),
        rows=rows,
        cols=cols,
    )
