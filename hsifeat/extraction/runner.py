"""The runner: computes the steps of a plan and writes them, one unit at one timestep after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.cache.store import PlaneSpec, Store, Unit
from hsifeat.diffusion.backbone import Backbone
from hsifeat.errors import StoreError
from hsifeat.extraction.behind import Behind
from hsifeat.extraction.noise import noise_field
from hsifeat.extraction.plan import Plan, Step
from hsifeat.extraction.tiles import Tiling, read_tile
from hsifeat.projection import Projection
from hsifeat.scenes.scene import Scene
from hsifeat.types import Window
from hsifeat.work.events import Advanced, Finished, Listener, Started

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Extractor:
    """Everything that turns a unit into plane values.

    Attributes
    ----------
    scene, projection, backbone
        What is seen, through what, by whom.
    tiling : Tiling
        How tiles are cut.
    seed : int
        Seed of the noise field.
    batch : int
        Most tiles in a forward. A batch holds tiles of one unit at one timestep, in row-major order, so what a plane
        holds never depends on what else was asked for, or on where an interrupted run began again.
    device : str
        Where the network runs.
    """

    scene: Scene
    projection: Projection
    backbone: Backbone
    tiling: Tiling
    seed: int
    batch: int
    device: str

    def run(self, plan: Plan, store: Store, listen: Listener) -> None:
        """Compute and write all steps of a plan; what is written stays, whatever happens next.

        A thread writes what the model gave while the model goes on. At most two steps wait for it, so memory stays
        bounded; an interrupt ends the run once what was computed is written.
        """
        already = plan.all_passes - plan.passes
        listen(Started("extract", plan.all_passes, "tiles", already))
        self.backbone.to(self.device)
        for plane in plan.planes:
            store.add_plane(plane)
        finished, unit, tiles = already, None, None
        with Behind(store) as behind:
            for step in plan.steps:
                if tiles is None or unit != step.unit:
                    unit, tiles = step.unit, self._read(step.unit)
                behind.write(step.unit, self._compute(step, *tiles))
                finished += len(tiles[0])
                listen(Advanced("extract", finished, f"t = {step.t}"))
        listen(Finished("extract"))

    def seconds_per_pass(self, plan: Plan) -> float:
        """Time one full batch of the plan's first step that has any, after one to warm up; seconds a tile."""
        import time

        step = next((step for step in plan.steps if plan.forwards[step.unit]), None)
        if step is None:
            return 0.0
        self.backbone.to(self.device)
        clean, noise = self._read(step.unit)
        for _ in range(2):
            start = time.perf_counter()
            some, _taken = next(self._forwards(step, clean, noise))
        return (time.perf_counter() - start) / len(clean[some])

    def peak_bytes(self, plan: Plan) -> int:
        """Estimate the most memory that one step holds beside the model: a unit's tiles, their noise, its blocks."""
        steps = {
            step: 2 * 4 * plan.forwards[step.unit] * self.projection.channels * self.tiling.tile_px**2
            + sum(plane.size_bytes(step.unit.window.rows, step.unit.window.cols) for plane in step.planes)
            for step in plan.steps
        }
        return max(steps.values(), default=0)

    def _read(self, unit: Unit) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return a unit's tiles and their noise, each (tiles, channels, tile_px, tile_px) float32."""
        tiles = [self.tiling.tile(core) for core in self.tiling.seen_cores(unit.window, self.scene.valid)]
        shape = (len(tiles), self.projection.channels, self.tiling.tile_px, self.tiling.tile_px)
        clean, noise = np.empty(shape, np.float32), np.empty(shape, np.float32)
        for i, tile in enumerate(tiles):
            clean[i] = read_tile(self.scene, self.projection, tile)
            noise[i] = noise_field(tile, self.projection.channels, self.seed)
        return clean, noise

    def _compute(
        self, step: Step, clean: NDArray[np.float32], noise: NDArray[np.float32]
    ) -> dict[PlaneSpec, NDArray[np.generic]]:
        """Run a unit's tiles at one timestep; return each plane's block (cell rows, cell cols, channels), 0 where none is."""
        window = step.unit.window
        blocks: dict[PlaneSpec, NDArray[np.generic]] = {
            plane: np.zeros(plane.cells(window.rows, window.cols), dtype=plane.dtype) for plane in step.planes
        }
        cores = self.tiling.seen_cores(window, self.scene.valid)
        for some, taken in self._forwards(step, clean, noise):
            for plane, block in blocks.items():
                maps = taken[plane.id.layer]
                for core, features in zip(cores[some], maps, strict=True):
                    self._place(block, plane, core, window, features)
        for plane, block in blocks.items():
            _check_finite(plane, block)
        return blocks

    def _forwards(
        self, step: Step, clean: NDArray[np.float32], noise: NDArray[np.float32]
    ) -> Iterator[tuple[slice, dict[str, torch.Tensor]]]:
        """Run a unit's tiles batch by batch; give which tiles they were, and their taps."""
        import torch

        layers = [plane.id.layer for plane in step.planes]
        for start in range(0, len(clean), self.batch):
            some = slice(start, start + self.batch)
            noised = self.backbone.schedule.add_noise(
                torch.from_numpy(clean[some]).to(self.device), torch.from_numpy(noise[some]).to(self.device), step.t
            )
            yield some, self.backbone.forward_to(noised, step.t, layers)

    def _place(
        self, block: NDArray[np.generic], plane: PlaneSpec, core: Window, unit: Window, features: torch.Tensor
    ) -> None:
        """Cut a core out of one tile's tap (channels, height, width), up to the scene's edge, and lay it into the block."""
        stride = plane.stride
        edge = self.tiling.context_px // stride
        row, col = (core.row - unit.row) // stride, (core.col - unit.col) // stride
        rows = min(core.rows // stride, block.shape[0] - row)
        cols = min(core.cols // stride, block.shape[1] - col)
        kept = features[:, edge : edge + rows, edge : edge + cols].permute(1, 2, 0).float().cpu().numpy()
        with np.errstate(over="ignore"):  # Overflow is looked for, and refused, once the unit is whole.
            block[row : row + rows, col : col + cols] = kept


def _check_finite(plane: PlaneSpec, block: NDArray[np.generic]) -> None:
    wrong = block.size - int(np.isfinite(block).sum())
    if wrong:
        advice = (
            "store float32 with --dtype float32, in another --out"
            if plane.dtype == "float16"
            else "the weights may be damaged"
        )
        raise StoreError(f"{wrong} of {block.size} values of {plane.id} are no finite {plane.dtype}: {advice}")
