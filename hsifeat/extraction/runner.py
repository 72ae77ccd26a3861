"""The extraction pipeline: read and encode tiles, add noise, run the network and combine feature maps of its layers."""

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
    """Pipeline that computes the features of a scene, one unit (one shard of each plane) at a time.

    Attributes
    ----------
    scene : Scene
        The scene.
    model_input : ModelInput
        Input image of the model.
    backbone : Backbone
        The diffusion model.
    tiling : Tiling
        Division of the scene into tiles, and the combination of their feature maps.
    noise : NoisePolicy
        Noise policy for the tiles.
    batch : int
        Maximum number of tiles per forward pass. A batch has tiles of one unit at one timestep, in row-major order. The
        values of a plane therefore do not depend on the other requested planes or on interruptions of the run.
    device : str
        Device of the network.
    pooled : mapping of str to int
        For each layer that is finer than the scene, the number of its cells along one side of a scene pixel. Features are
        averaged over these cells.
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
        """Compute all steps of a plan, and write their features to a store.

        A background thread writes completed steps while the model computes the next ones. An error or interrupt ends the run
        after all completed steps are written.

        Parameters
        ----------
        plan : Plan
            Steps to compute.
        store : Store
            Store that is open for writing.
        listen : callable
            Receives progress events.
        executor : Executor, optional
            Runs the steps. [default: one step after the other in this process]
        compute : callable, optional
            Function that computes a step in a worker of the executor. [default: a `StepComputer`, for which the backbone is
            moved to the device]
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
        """Read the tiles of a unit (one shard of each plane), and encode them batch by batch."""
        import torch

        tiles = self.tiling.valid_tiles(unit.window, self.scene.valid)
        encoded = []
        for start in range(0, len(tiles), self.batch):
            images = np.stack([self.model_input.read(tile) for tile in tiles[start : start + self.batch]])
            # torch.tensor copies to aligned memory. Rounding errors of convolutions depend on the alignment.
            encoded.append(self.backbone.encode(torch.tensor(images).to(self.device)).cpu())
        clean = torch.cat(encoded) if encoded else torch.empty(0)
        scale = self.model_input.factor / self.backbone.cell_px
        cells = [Window(*(int(n * scale) for n in (tile.row, tile.col, tile.rows, tile.cols))) for tile in tiles]
        noised = self.noise.noised_tiles(self.backbone, clean, cells, device=self.device, batch=self.batch)
        return EncodedUnit(unit, tiles, noised)

    def compute_blocks(self, step: Step, encoded: EncodedUnit) -> dict[PlaneSpec, NDArray[np.generic]]:
        """Compute the features of a step (one unit at one timestep) from the encoded tiles of the unit.

        Parameters
        ----------
        step : Step
            Step to compute.
        encoded : EncodedUnit
            Result of `encode_unit` for the unit of the step.

        Returns
        -------
        dict of PlaneSpec to array
            Block of features per plane, with the shape that the store's layout gives to the unit, and the plane's dtype.

        Raises
        ------
        StoreError
            If a feature is not finite in the dtype of its plane.
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
        """Return the (n, channels, rows, cols) feature maps of each layer for a batch, averaged over noise draws."""
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
    """Encoded tiles of a unit (one shard of each plane) that contribute a valid pixel.

    Attributes
    ----------
    unit : Unit
        The unit.
    tiles : list of Window
        Positions of the tiles in scene pixels.
    noised : NoisedTiles
        Gives the noised tiles at any timestep.
    """

    unit: Unit
    tiles: list[Window]
    noised: NoisedTiles


@dataclass(frozen=True)
class StepResult:
    """Features and run times of a step (one shard of each plane at one timestep)."""

    blocks: dict[PlaneSpec, NDArray[np.generic]]
    timings: list[Timing]


class StepComputer:
    """Compute the features of steps (one shard of each plane at one timestep), and measure the run times.

    The encoded tiles of the last unit are kept, since consecutive steps often have the same unit.

    Parameters
    ----------
    extractor : Extractor
        Pipeline that computes the features.
    """

    def __init__(self, extractor: Extractor) -> None:
        self._extractor, self._device = extractor, device_name(extractor.device)
        self._encoded: EncodedUnit | None = None
        self._clock = time.perf_counter()

    def __call__(self, step: Step) -> StepResult:
        """Return the features of a step (one shard of each plane at one timestep) and its run times."""
        timings = []
        if self._encoded is None or self._encoded.unit != step.unit:
            self._encoded = self._extractor.encode_unit(step.unit)
            timings.append(Timing(None, self._device, len(self._encoded.tiles), self._lap()))
        blocks = self._extractor.compute_blocks(step, self._encoded)
        passes = len(self._encoded.tiles) * step.passes
        timings.append(Timing(step.t, self._device, passes, self._lap()))
        return StepResult(blocks, timings)

    def _lap(self) -> float:
        """Return the seconds since the last call, including time spent waiting for the writer."""
        start, self._clock = self._clock, time.perf_counter()
        return self._clock - start


def _check_finite(plane: PlaneSpec, block: NDArray[np.generic]) -> NDArray[np.generic]:
    count = block.size - int(np.isfinite(block).sum())
    if count:
        half = plane.dtype == "float16"
        advice = "store float32 with --dtype float32, in another --out" if half else "the weights may be damaged"
        raise StoreError(f"{count} of {block.size} values of {plane.id} are not finite in {plane.dtype}: {advice}")
    return block
