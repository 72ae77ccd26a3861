"""The plan of an extraction: which units of which planes are missing, and how many passes they take. Pure; reads nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.extraction.tiling.tiling import Tiling
from hsifeat.store.layout import PixelListLayout, PlaneSpec, SceneLayout, Unit, size_bytes
from hsifeat.types import PlaneId


@dataclass(frozen=True)
class Step:
    """One unit at one timestep: the smallest piece that is computed and recorded.

    Attributes
    ----------
    unit : Unit
        The unit.
    t : int
        Training timestep.
    planes : tuple of PlaneSpec
        Planes at `t` that lack the unit; their layers are tapped in the same passes.
    passes : int
        Passes of the network per tile.
    """

    unit: Unit
    t: int
    planes: tuple[PlaneSpec, ...]
    passes: int = 1


@dataclass(frozen=True)
class Plan:
    """The steps of an extraction.

    Attributes
    ----------
    planes : tuple of PlaneSpec
        All requested planes, complete ones included.
    steps : tuple of Step
        What is missing, by unit and then by timestep, so that the tiles of a unit are read once.
    tiling : Tiling
        The tiles.
    layout : SceneLayout or PixelListLayout
        Layout of the planes.
    tiles : int
        Number of tiles with a valid pixel. Tiles that lie in several units count once.
    unit_tiles : dict of Unit to int
        Number of tiles of each unit that are computed.
    passes_per_tile : int
        Passes that a tile takes for all planes together, if none is there yet.
    """

    planes: tuple[PlaneSpec, ...]
    steps: tuple[Step, ...]
    tiling: Tiling
    layout: SceneLayout | PixelListLayout
    tiles: int
    unit_tiles: dict[Unit, int]
    passes_per_tile: int

    @property
    def passes(self) -> int:
        """Passes of single tiles that remain."""
        return sum(self.unit_tiles[step.unit] * step.passes for step in self.steps)

    @property
    def total_passes(self) -> int:
        """Passes of single tiles for all requested planes, if none were there yet."""
        return self.passes_per_tile * sum(self.unit_tiles.values())

    @property
    def missing_bytes(self) -> int:
        """Bytes that remain to be written, before compression."""
        return sum(size_bytes(self.layout, plane, step.unit.window) for step in self.steps for plane in step.planes)

    PLANE_COLUMNS: ClassVar = ("plane", "stride", "channels", "MB", "state")

    def plane_rows(self) -> list[dict[str, str | float]]:
        """Return a table row per plane with the columns `PLANE_COLUMNS`, as ``--dry-run`` prints it."""
        missing = {plane for step in self.steps for plane in step.planes}
        return [
            {
                "plane": str(plane.id),
                "stride": plane.stride,
                "channels": plane.channels,
                "MB": size_bytes(self.layout, plane, self.layout.extent) / 1e6,
                "state": "to do" if plane in missing else "complete",
            }
            for plane in self.planes
        ]


def make_plan(
    valid: NDArray[np.bool_],
    tiling: Tiling,
    layout: SceneLayout | PixelListLayout,
    planes: Sequence[PlaneSpec],
    noise: NoisePolicy,
    done: Callable[[PlaneId], NDArray[np.bool_]] | None,
) -> Plan:
    """Plan an extraction.

    Parameters
    ----------
    valid : (rows, cols) bool array
        Valid pixels of the scene.
    tiling : Tiling
        The tiles.
    layout : SceneLayout or PixelListLayout
        Layout of the planes: of the store if there is one, else of `tiling`.
    planes : sequence of PlaneSpec
        The requested planes.
    noise : NoisePolicy
        Says how many passes a timestep takes.
    done : callable or None
        Returns the complete units of a plane as a bool array over the grid of units; None if there is no store yet.
    """
    timesteps = sorted({plane.id.t for plane in planes})
    complete = {plane.id: done(plane.id) for plane in planes} if done else {}

    def steps() -> Iterator[Step]:
        for unit in layout.units:
            previous = None
            for t in timesteps:
                missing = tuple(
                    plane for plane in planes if plane.id.t == t and not (complete and complete[plane.id][unit.index])
                )
                if missing:
                    yield Step(unit, t, missing, noise.passes(t, previous))
                    previous = t

    return Plan(
        planes=tuple(planes),
        steps=tuple(steps()),
        tiling=tiling,
        layout=layout,
        tiles=tiling.count_tiles(layout.extent, valid),
        unit_tiles={unit: tiling.count_tiles(unit.window, valid) for unit in layout.units},
        passes_per_tile=sum(noise.passes(t, previous) for previous, t in pairwise([None, *timesteps]) if t is not None),
    )
