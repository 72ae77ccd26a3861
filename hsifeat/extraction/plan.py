"""Plan an extraction: list the missing blocks of features and count the forward passes that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hsifeat.store.plane_layout import PixelListLayout, PlaneSpec, SceneLayout, Unit, size_bytes
from hsifeat.types import PlaneId, Window


@dataclass(frozen=True)
class Step:
    """A step of an extraction: the computation of one unit (one shard) of several planes at one timestep.

    A run records its progress after each step.

    Attributes
    ----------
    unit : Unit
        Unit to compute.
    t : int
        Training timestep.
    planes : tuple of PlaneSpec
        Planes at timestep `t` in which the unit is missing. The same forward passes compute all these planes.
    passes : int
        Number of forward passes per tile.
    """

    unit: Unit
    t: int
    planes: tuple[PlaneSpec, ...]
    passes: int = 1


@dataclass(frozen=True)
class Plan:
    """The remaining steps of an extraction.

    Attributes
    ----------
    planes : tuple of PlaneSpec
        All requested planes, including complete planes.
    steps : tuple of Step
        Steps that compute the missing features. They are ordered by unit and then by timestep, so that the tiles of a unit
        are read once.
    layout : SceneLayout or PixelListLayout
        Shape of the planes and their division into units.
    unit_tiles : dict of Unit to int
        Number of tiles that have to be computed for each unit.
    passes_per_tile : int
        Number of forward passes per tile for all requested planes, complete or not.
    """

    planes: tuple[PlaneSpec, ...]
    steps: tuple[Step, ...]
    layout: SceneLayout | PixelListLayout
    unit_tiles: dict[Unit, int]
    passes_per_tile: int

    @property
    def passes(self) -> int:
        """Number of remaining forward passes; a batch of n tiles counts as n passes."""
        return sum(self.unit_tiles[step.unit] * step.passes for step in self.steps)

    @property
    def total_passes(self) -> int:
        """Number of forward passes for all requested planes, complete or not; a batch of n tiles counts as n passes."""
        return self.passes_per_tile * sum(self.unit_tiles.values())

    @property
    def missing_bytes(self) -> int:
        """Uncompressed size of the features that remain to be computed, in bytes."""
        return sum(size_bytes(self.layout, plane, step.unit.window) for step in self.steps for plane in step.planes)

    PLANE_COLUMNS: ClassVar = ("plane", "stride", "channels", "MB", "state")

    def plane_rows(self) -> list[dict[str, str | float]]:
        """Return the table that ``--dry-run`` prints, with a row per plane and the columns `PLANE_COLUMNS`."""
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
    count_tiles: Callable[[Window], int],
    layout: SceneLayout | PixelListLayout,
    planes: Sequence[PlaneSpec],
    passes: Callable[[int, int | None], int],
    done: Callable[[PlaneId], NDArray[np.bool_]] | None,
) -> Plan:
    """Plan the steps that compute the missing features of an extraction.

    Parameters
    ----------
    count_tiles : callable
        Function that returns the number of tiles to compute for the window of a unit (one shard of
        each plane).
    layout : SceneLayout or PixelListLayout
        Layout of the store.
    planes : sequence of PlaneSpec
        Requested planes.
    passes : callable
        Function that returns the number of forward passes per tile. Its arguments are a timestep and the previous timestep.
        The second argument is None for the first timestep.
    done : callable or None
        Function that takes the name of a plane and returns a bool array with the shape of the grid of units (shards). The
        array is True for complete units. For a new store, `done` is None.

    Returns
    -------
    Plan
        The plan. If all planes are complete, the plan has no steps.
    """
    timesteps = sorted({plane.id.t for plane in planes})
    complete = {plane.id: done(plane.id) for plane in planes} if done else {}
    units = layout.units
    missing = {unit: [plane for plane in planes if not (complete and complete[plane.id][unit.index])] for unit in units}
    return Plan(
        planes=tuple(planes),
        steps=tuple(step for unit, lacking in missing.items() for step in unit_steps(unit, lacking, passes)),
        layout=layout,
        unit_tiles={unit: count_tiles(unit.window) for unit in units},
        passes_per_tile=sum(passes(t, previous) for previous, t in pairwise([None, *timesteps]) if t is not None),
    )


def unit_steps(unit: Unit, missing: Sequence[PlaneSpec], passes: Callable[[int, int | None], int]) -> Iterator[Step]:
    """Yield the steps that compute one unit, in the order of timesteps.

    Parameters
    ----------
    unit : Unit
        The unit.
    missing : sequence of PlaneSpec
        Planes in which the unit is missing.
    passes : callable
        Function that returns the number of forward passes per tile, see `make_plan`.

    Yields
    ------
    Step
        Step that computes all missing planes of one timestep.
    """
    previous = None
    for t in sorted({plane.id.t for plane in missing}):
        yield Step(unit, t, tuple(plane for plane in missing if plane.id.t == t), passes(t, previous))
        previous = t
