"""The extraction pipeline: read tiles, encode, noise at t, run to the taps, accumulate, finish; step by step of a plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from hsifeat.extraction.tiling.tiling import Tiling
from hsifeat.extraction.writer import BackgroundWriter
from hsifeat.runtime.events import Advanced, Finished, Listener, Started
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.scenes.scene import Scene
from hsifeat.store.layout import PlaneSpec, Unit
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Extractor:
    """Everything that turns a unit of a plan into values of planes.

    Attributes
    ----------
    scene : Scene
        The scene.
    model_input : ModelInput
        The image that the model sees.
    backbone : Backbone
        The model.
    tiling : Tiling
        The windows that it sees, and what is stored of them.
    noise : NoisePolicy
        How tiles are noised.
    batch : int
        Maximum number of tiles per pass. A batch holds tiles of one unit at one timestep, in row-major order, so that the
        values of a plane never depend on what else was requested, or on where an interrupted run was resumed.
    device : str
        Device of the network.
    pooled : mapping of str to int
        Cells along a scene pixel of the layers that are finer than the scene; they are averaged over each pixel.
    """

    scene: Scene
    model_input: ModelInput
    backbone: Backbone
    tiling: Tiling
    noise: NoisePolicy
    batch: int
    device: str
    pooled: Mapping[str, int]

    def run(
        self,
        plan: Plan,
        store: Store,
        listen: Listener,
        executor: Executor | None = None,
        compute: Callable[[Step], StepResult] | None = None,
    ) -> None:
        """Compute and write all steps of a plan; what is written stays, whatever happens next.

        A thread writes finished steps while the model goes on, see `BackgroundWriter`. An interrupt ends the run once the
        finished steps are written.

        Parameters
        ----------
        plan : Plan
            The steps.
        store : Store
            The store, opened for writing.
        listen : callable
            Called with the events of the run.
        executor : Executor, optional
            Runs the steps. [default: one after the other in this process]
        compute : callable, optional
            Computes a step; must suit the executor. [default: a `StepComputer` of this extractor, whose backbone is then
            moved to its device]
        """
        progress = plan.total_passes - plan.passes
        listen(Started("extract", plan.total_passes, "tiles", progress))
        if compute is None:
            self.backbone.to(self.device)
            compute = StepComputer(self)
        for plane in plan.planes:
            store.add_plane(plane)
        with BackgroundWriter(store) as writer:
            for step, result in (executor or InlineExecutor()).run(compute, plan.steps):
                writer.write(step.unit, result.blocks, result.timings)
                progress += plan.unit_tiles[step.unit] * step.passes
                listen(Advanced("extract", progress, f"t = {step.t}"))
        listen(Finished("extract"))

    def encode_unit(self, unit: Unit) -> EncodedUnit:
        """Read the tiles of a unit and encode them, batch by batch."""
        import torch

        tiles = self.tiling.valid_tiles(unit.window, self.scene.valid)
        encoded = []
        for start in range(0, len(tiles), self.batch):
            images = np.stack([self.model_input.read(tile) for tile in tiles[start : start + self.batch]])
            # torch.tensor copies to memory aligned as torch does it; the last bits of a convolution depend on that.
            encoded.append(self.backbone.encode(torch.tensor(images).to(self.device)).cpu())
        clean = torch.cat(encoded) if encoded else torch.empty(0)
        scale = self.model_input.factor / self.backbone.cell_px
        cells = [Window(*(int(n * scale) for n in (tile.row, tile.col, tile.rows, tile.cols))) for tile in tiles]
        noised = self.noise.noised_tiles(self.backbone, clean, cells, device=self.device, batch=self.batch)
        return EncodedUnit(unit, tiles, noised)

    def compute_blocks(self, step: Step, encoded: EncodedUnit) -> dict[PlaneSpec, NDArray[np.generic]]:
        """Compute one step from the encoded tiles of its unit.

        Parameters
        ----------
        step : Step
            Unit, timestep and planes.
        encoded : EncodedUnit
            What `encode_unit` returned for the unit.

        Returns
        -------
        dict of PlaneSpec to array
            Blocks of the shape that the layout gives to the unit, in the planes' dtypes.

        Raises
        ------
        StoreError
            A value is not finite in the plane's dtype.
        """
        blocks = {plane: self.tiling.new_block(plane, step.unit.window) for plane in step.planes}
        layers = [plane.id.layer for plane in step.planes]
        for start in range(0, len(encoded.tiles), self.batch):
            batch = slice(start, start + self.batch)
            taps = self._mean_taps(encoded.noised.at(batch, step.t), step.t, layers)
            for plane, block in blocks.items():
                block.add(encoded.tiles[batch], taps[plane.id.layer])
        return {plane: _check_finite(plane, block.finish()) for plane, block in blocks.items()}

    def _mean_taps(self, draws: Iterable[torch.Tensor], t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return the taps (n, channels, rows, cols) of a batch, averaged over the draws of its noise."""
        from torch.nn.functional import avg_pool2d

        taps: dict[str, torch.Tensor] = {}
        for noised in draws:
            for layer, maps in self.backbone.forward_to(noised, t, layers).items():
                taps[layer] = taps[layer] + maps.float() if layer in taps else maps.float()
        for layer in layers:
            if self.noise.draws > 1:
                taps[layer] = taps[layer] / self.noise.draws
            if layer in self.pooled:
                taps[layer] = avg_pool2d(taps[layer], self.pooled[layer])
        return taps


@dataclass(frozen=True)
class EncodedUnit:
    """The tiles of a unit that contribute a valid pixel, encoded and ready to be noised at any timestep."""

    unit: Unit
    tiles: list[Window]
    noised: NoisedTiles


@dataclass(frozen=True)
class StepResult:
    """The blocks of a step, and the time they took."""

    blocks: dict[PlaneSpec, NDArray[np.generic]]
    timings: list[Timing]


class StepComputer:
    """Computes steps, one call each, and times them; keeps the encoded tiles of the last unit for its next timestep."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor, self._device = extractor, device_name(extractor.device)
        self._encoded: EncodedUnit | None = None
        self._clock = time.perf_counter()

    def __call__(self, step: Step) -> StepResult:
        """Compute a step."""
        timings = []
        if self._encoded is None or self._encoded.unit != step.unit:
            self._encoded = self._extractor.encode_unit(step.unit)
            timings.append(Timing(None, self._device, len(self._encoded.tiles), self._lap()))
        blocks = self._extractor.compute_blocks(step, self._encoded)
        passes = len(self._encoded.tiles) * step.passes
        timings.append(Timing(step.t, self._device, passes, self._lap()))
        return StepResult(blocks, timings)

    def _lap(self) -> float:
        """Return the seconds since the last call, waits for the writer included."""
        start, self._clock = self._clock, time.perf_counter()
        return self._clock - start


def _check_finite(plane: PlaneSpec, block: NDArray[np.generic]) -> NDArray[np.generic]:
    count = block.size - int(np.isfinite(block).sum())
    if count:
        half = plane.dtype == "float16"
        advice = "store float32 with --dtype float32, in another --out" if half else "the weights may be damaged"
        raise StoreError(f"{count} of {block.size} values of {plane.id} are not finite in {plane.dtype}: {advice}")
    return block
