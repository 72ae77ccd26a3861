"""Write imported features to a store, unit by unit (one shard of each plane)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.extraction.extractor import Extractor, StepResult, check_finite
from hsifeat.extraction.plan import Plan, Step
from hsifeat.formatting import format_bytes
from hsifeat.imports.placed_features import PlacedFeatures, fill_gaps
from hsifeat.store.plane_layout import PlaneSpec, SceneLayout
from hsifeat.store.timings import Timing
from hsifeat.types import PlaneId, Tap, Window


@dataclass(frozen=True)
class ImportedSource:
    """Source of imported features, which takes the place of a backbone in an extraction.

    Attributes
    ----------
    name : str
        Name shown to users.
    taps : list of Tap
        Layers, one for each imported plane.
    source : str
        Always empty. The `source` of a backbone is the argument of `open_backbone` that opens the backbone.
    """

    name: str
    taps: list[Tap]
    source: str = ""

    def identity(self) -> dict[str, Any]:
        """Return a dict that states only the kind of the source.

        The section ``imported`` of the recipe identifies the features themselves.
        """
        return {"kind": "imported"}

    def to(self, device: str) -> None:
        """Check that the device is the CPU, on which features are copied and resampled.

        Raises
        ------
        HsifeatError
            If the device is neither ``auto`` nor ``cpu``.
        """
        if device not in {"auto", "cpu"}:
            raise HsifeatError(f"features are imported on the CPU; found the device {device!r}")


@dataclass(frozen=True)
class ImportExtractor(Extractor):
    """Extractor for features that another tool computed. It places them on the grid of the scene.

    Attributes
    ----------
    planes : mapping of PlaneId to PlacedFeatures
        Features on the grid of the scene.
    unit_px : int
        Side of a unit (one shard of each plane) of a new store, in pixels.
    facts : dict
        Origin of each plane, for the manifest.
    """

    planes: Mapping[PlaneId, PlacedFeatures]
    unit_px: int
    facts: dict[str, Any]

    @property
    def device(self) -> str:
        """Device of the computation: ``cpu``."""
        return "cpu"

    @property
    def source(self) -> ImportedSource:
        """Source of the features, with one layer for each imported plane."""
        taps = [Tap(plane.layer, "", one.features.channels, one.stride, None) for plane, one in self.planes.items()]
        return ImportedSource("imported " + "-".join(plane.layer for plane in self.planes), taps)

    @property
    def projection(self) -> None:
        """None, since imported features have no projection."""
        return

    @property
    def layout(self) -> SceneLayout:
        """Layout of a new store: shape of the scene, and side of a unit."""
        return SceneLayout(self.scene.rows, self.scene.cols, self.unit_px)

    @property
    def provenance(self) -> dict[str, Any]:
        """Origin of each plane."""
        return self.facts

    def count_tiles(self, window: Window) -> int:  # noqa: ARG002  # a unit is written at once
        """Return 1, since an import counts each unit (one shard of each plane) as one tile."""
        return 1

    def step_computer(self) -> Callable[[Step], StepResult]:
        """Return a function that reads the features of a step (one unit at one timestep)."""
        return self._read

    def describe(self, plan: Plan) -> list[str]:
        """Return lines of text for ``--dry-run``: the placement of each plane, and the estimated memory."""
        lines = [f"{plane}: {one.features.source}, {one.rule}" for plane, one in self.planes.items()]
        if plan.steps:
            lines.append(f"memory: about {format_bytes(self.peak_bytes())}")
        return lines

    def peak_bytes(self) -> int:
        """Estimate the peak memory of an import in bytes."""
        units = sum(4 * one.features.channels * (self.unit_px // one.stride + 2) ** 2 for one in self.planes.values())
        block = max(4 * one.features.channels * one.block_cells for one in self.planes.values())
        return 2 * units + 6 * block + sum(one.kept_bytes for one in self.planes.values())

    def _read(self, step: Step) -> StepResult:
        start = time.perf_counter()
        blocks = {plane: self._unit(plane, step.unit.window) for plane in step.planes}
        return StepResult(blocks, [Timing(step.t, "cpu (threads: 1)", 1, time.perf_counter() - start)])

    def _unit(self, plane: PlaneSpec, unit: Window) -> NDArray[np.generic]:
        placed = self.planes[plane.id]
        cells = unit.coarsen(plane.stride)
        window, values = cells, placed.read(cells)
        if plane.stride == 1:  # Planes at the scene's resolution are not interpolated.
            filled = np.where(np.isfinite(values), values, np.float32(0))
        else:
            # Cells without a value are filled from the cells around them. At an edge, these lie in other units.
            missing = np.isnan(values[..., 0])
            if missing[[0, -1]].any() or missing[:, [0, -1]].any():
                window = Window(cells.row - 1, cells.col - 1, cells.rows + 2, cells.cols + 2)
                window = window.clip(placed.rows, placed.cols)
                values = placed.read(window)
            filled = fill_gaps(values)
        inner = Window(cells.row - window.row, cells.col - window.col, cells.rows, cells.cols)
        with np.errstate(over="ignore"):  # `check_finite` reports values that float16 can't hold.
            block = filled[inner.slices].astype(plane.dtype)
        return check_finite(plane, block, cause="values in the file exceed the range of float32")
