"""The plan: which units of which planes are missing, and what it takes to compute them. Pure: nothing is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.extraction.tiling.pixel_windows import PixelWindows
from hsifeat.extraction.tiling.tiles import Tiling
from hsifeat.store.layout import (
    BLENDED_UNIT_PX,
    UNIT_PX,
    PixelListLayout,
    PlaneSpec,
    SceneLayout,
    Unit,
    size_bytes,
)
from hsifeat.types import PlaneId


def unit_side(tiling: Tiling) -> int:
    """Return the side of a unit in pixels: the fewest steps that reach 128 px, 512 where tiles blend."""
    if tiling.stitch == "whole":
        return max(tiling.tile)
    step = tiling.step[0]
    return step * -(-(BLENDED_UNIT_PX if tiling.blends else UNIT_PX) // step)


def new_layout(tiling: Tiling | PixelWindows) -> SceneLayout | PixelListLayout:
    """Return over what the planes of a new store lie, and its units."""
    if isinstance(tiling, PixelWindows):
        return tiling.layout
    return SceneLayout(tiling.rows, tiling.cols, unit_side(tiling))


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
    tiling : Tiling or PixelWindows
        What the model sees.
    layout : SceneLayout or PixelListLayout
        Over what planes lie.
    tiles : int
        Tiles of the scene of which a valid pixel is kept, or windows.
    forwards : dict of Unit to int
        Those of each unit, which take a forward at each timestep, or several.
    passes_each : int
        Forwards that a tile takes for all planes from nothing.
    """

    planes: tuple[PlaneSpec, ...]
    steps: tuple[Step, ...]
    tiling: Tiling | PixelWindows
    layout: SceneLayout | PixelListLayout
    tiles: int
    forwards: dict[Unit, int]
    passes_each: int

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
        return sum(size_bytes(self.layout, plane, step.unit.window) for step in self.steps for plane in step.planes)

    TABLE: ClassVar = ("plane", "stride", "channels", "MB", "state")

    def rows_of_table(self) -> list[dict[str, str | float]]:
        """Return a row for each plane, with the columns `TABLE`: what ``--dry-run`` shows."""
        missing = {plane for step in self.steps for plane in step.planes}
        return [
            {
                "plane": str(plane.id),
                "stride": plane.stride,
                "channels": plane.channels,
                "MB": size_bytes(self.layout, plane, self.layout.extent) / 1e6,
                "state": "to do" if plane in missing else "there",
            }
            for plane in self.planes
        ]


def make_plan(
    valid: NDArray[np.bool_],
    tiling: Tiling | PixelWindows,
    layout: SceneLayout | PixelListLayout,
    planes: Sequence[PlaneSpec],
    noise: NoisePolicy,
    done: Callable[[PlaneId], NDArray[np.bool_]] | None,
) -> Plan:
    """Plan an extraction.

    Parameters
    ----------
    valid : (rows, cols) bool array
        The scene's valid pixels.
    tiling : Tiling or PixelWindows
        What the model sees.
    layout : SceneLayout or PixelListLayout
        Over what planes lie.
    planes : sequence of PlaneSpec
        What is asked for.
    noise : NoisePolicy
        Decides how many forwards a timestep takes.
    done : callable or None
        Which units of a plane are there, on the grid of units; None where nothing is.
    """
    units = layout.units
    there = {plane.id: done(plane.id) for plane in planes} if done else {}

    timesteps = sorted({plane.id.t for plane in planes})

    def steps() -> Iterator[Step]:
        for unit in units:
            before = None
            for t in timesteps:
                of_t = (plane for plane in planes if plane.id.t == t)
                missing = tuple(p for p in of_t if not there or not there[p.id][unit.index])
                if missing:
                    yield Step(unit, t, missing, noise.passes(t, before))
                    before = t

    return Plan(
        planes=tuple(planes),
        steps=tuple(steps()),
        tiling=tiling,
        layout=layout,
        tiles=tiling.count(layout.extent, valid),
        forwards={unit: tiling.count(unit.window, valid) for unit in units},
        passes_each=sum(noise.passes(t, before) for before, t in zip([None, *timesteps], timesteps, strict=False)),
    )
