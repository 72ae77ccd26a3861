"""The runner: computes the steps of a plan and writes them, one unit at one timestep after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.device import device_name
from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import StoreError
from hsifeat.extraction.model_input import ModelInput
from hsifeat.extraction.noise.policy import NoisedTiles, NoisePolicy
from hsifeat.extraction.plan import Plan, Step
from hsifeat.extraction.tiling.pixel_windows import PixelWindows
from hsifeat.extraction.tiling.stitching import new_block
from hsifeat.extraction.tiling.tiles import Tiling
from hsifeat.extraction.writer import BackgroundWriter
from hsifeat.runtime.events import Advanced, Finished, Listener, Started
from hsifeat.scenes.scene import Scene
from hsifeat.store.layout import PlaneSpec, Unit, size_bytes
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class EncodedTiles:
    """A unit's tiles that hold a valid pixel, and what becomes of them on the way through the timesteps."""

    tiles: list[Window]
    noised: NoisedTiles


@dataclass(frozen=True)
class Extractor:
    """Everything that turns a unit into plane values.

    Attributes
    ----------
    scene, sight, backbone
        What is extracted, what is shown of it, to whom.
    tiling : Tiling or PixelWindows
        What the model sees, and what is kept of it.
    noise : NoisePolicy
        How they are noised.
    batch : int
        Most tiles in a forward. A batch holds tiles of one unit at one timestep, in row-major order, so what a plane
        holds never depends on what else was asked for, or on where an interrupted run began again.
    device : str
        Where the network runs.
    pooled : dict of str to int
        Cells along a pixel of the scene, of layers that are finer than it; their mean over each pixel is kept.
    """

    scene: Scene
    sight: ModelInput
    backbone: Backbone
    tiling: Tiling | PixelWindows
    noise: NoisePolicy
    batch: int
    device: str
    pooled: Mapping[str, int]

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
        device, watch = device_name(self.device), _Watch()
        finished, unit, seen = already, None, None
        with BackgroundWriter(store) as behind:
            for step in plan.steps:
                spent = []
                if seen is None or unit != step.unit:
                    unit, seen = step.unit, self._see(step.unit)
                    spent.append(Timing(None, device, len(seen.tiles), watch.lap()))
                blocks, tiles = self._compute(step, seen), len(seen.tiles) * step.passes
                behind.write(step.unit, blocks, [*spent, Timing(step.t, device, tiles, watch.lap())])
                finished += tiles
                listen(Advanced("extract", finished, f"t = {step.t}"))
        listen(Finished("extract"))

    def seconds_per_pass(self, plan: Plan) -> float:
        """Time one full batch of the plan's first step that has any, after one to warm up; seconds a tile."""
        step = next((step for step in plan.steps if plan.forwards[step.unit]), None)
        if step is None:
            return 0.0
        self.backbone.to(self.device)
        seen = self._see(step.unit)
        first = slice(0, self.batch)
        noised = next(seen.noised.at(first, step.t))
        layers = [plane.id.layer for plane in step.planes]
        for _ in range(2):
            start = time.perf_counter()
            self.noise.probe(self.backbone, noised, step.t, layers).cpu()
        return (time.perf_counter() - start) / len(seen.tiles[first])

    def peak_bytes(self, plan: Plan) -> int:
        """Estimate the most memory that one step holds beside the model: a unit's tiles, their noise, its blocks."""
        side, channels = self.tiling.tile, max(self.sight.projection.channels, self.backbone.denoiser_channels)
        tile = 4 * channels * side[0] * side[1] * self.sight.factor**2
        # Sums in float32, and weights, beside what is stored.
        wider = 1 + (4 / 2 if self.tiling.blends else 0)
        steps = (
            (1 + self.noise.draws) * plan.forwards[step.unit] * tile
            + wider * sum(size_bytes(plan.layout, plane, step.unit.window) for plane in step.planes)
            for step in plan.steps
        )
        return int(max(steps, default=0))

    def _see(self, unit: Unit) -> EncodedTiles:
        """Read a unit's tiles and encode them, batch by batch."""
        import torch

        tiles = self.tiling.seen(unit.window, self.scene.valid)
        encoded = []
        for start in range(0, len(tiles), self.batch):
            images = np.stack([self.sight.read(tile) for tile in tiles[start : start + self.batch]])
            # torch.tensor copies to memory aligned as torch does it; the last bits of a convolution depend on that.
            encoded.append(self.backbone.encode(torch.tensor(images).to(self.device)).cpu())
        clean = torch.cat(encoded) if encoded else torch.empty(0)
        cells = [self._cells(tile) for tile in tiles]
        return EncodedTiles(
            tiles, self.noise.noised_tiles(self.backbone, clean, cells, device=self.device, batch=self.batch)
        )

    def _cells(self, tile: Window) -> Window:
        """Return where a tile lies on the grid of noised cells."""
        scale = self.sight.factor / self.backbone.cell_px
        return Window(*(int(n * scale) for n in (tile.row, tile.col, tile.rows, tile.cols)))

    def _compute(self, step: Step, seen: EncodedTiles) -> dict[PlaneSpec, NDArray[np.generic]]:
        """Run a unit's tiles at one timestep; return each plane's block, 0 where no tile is."""
        begun = {plane: new_block(plane, self.tiling, step.unit.window) for plane in step.planes}
        for some, taken in self._forwards(step, seen):
            for plane, block in begun.items():
                block.add(seen.tiles[some], taken[plane.id.layer])
        blocks = {plane: block.finish() for plane, block in begun.items()}
        for plane, values in blocks.items():
            _check_finite(plane, values)
        return blocks

    def _forwards(self, step: Step, seen: EncodedTiles) -> Iterator[tuple[slice, dict[str, torch.Tensor]]]:
        """Run a unit's tiles batch by batch; give which tiles they were, and their taps, averaged over the draws."""
        from torch.nn.functional import avg_pool2d

        layers = [plane.id.layer for plane in step.planes]
        for start in range(0, len(seen.tiles), self.batch):
            some = slice(start, start + self.batch)
            taken: dict[str, torch.Tensor] = {}
            for noised in seen.noised.at(some, step.t):
                for layer, maps in self.backbone.forward_to(noised, step.t, layers).items():
                    taken[layer] = taken[layer] + maps.float() if layer in taken else maps.float()
            for layer in layers:
                if self.noise.draws > 1:
                    taken[layer] = taken[layer] / self.noise.draws
                if layer in self.pooled:
                    taken[layer] = avg_pool2d(taken[layer], self.pooled[layer])
            yield some, taken


class _Watch:
    """Gives the seconds from lap to lap."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        before, self._last = self._last, time.perf_counter()
        return self._last - before


def _check_finite(plane: PlaneSpec, block: NDArray[np.generic]) -> None:
    wrong = block.size - int(np.isfinite(block).sum())
    if wrong:
        advice = (
            "store float32 with --dtype float32, in another --out"
            if plane.dtype == "float16"
            else "the weights may be damaged"
        )
        raise StoreError(f"{wrong} of {block.size} values of {plane.id} are no finite {plane.dtype}: {advice}")
