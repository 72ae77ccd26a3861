"""Extraction with a network: read and encode tiles, add noise, run the network and combine feature maps of its layers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.device import device_name, pick_device
from hsifeat.backbones.exclusive import exclusive_use
from hsifeat.backbones.network import NetworkBackbone
from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.recall import RecalledBackbone
from hsifeat.cube_digest import changed_scene_error
from hsifeat.errors import BackboneError
from hsifeat.extraction.config import DEFAULT_BATCH
from hsifeat.extraction.extractor import Extractor, StepResult, check_finite
from hsifeat.extraction.model_input import ModelInput
from hsifeat.extraction.noise.policy import CleanUnit, NoisedTiles, NoisePolicy
from hsifeat.extraction.plan import Plan, Step
from hsifeat.extraction.tiling.pixel_list import PixelList
from hsifeat.extraction.tiling.tiling import Tiling
from hsifeat.extraction.writer import STEPS_IN_MEMORY
from hsifeat.formatting import format_bytes, format_duration
from hsifeat.projection import Projection
from hsifeat.runtime.allocator import keep_freed_memory
from hsifeat.store.plane_layout import PixelListLayout, PlaneSpec, SceneLayout, Unit, size_bytes
from hsifeat.store.recipe import CompanionPart
from hsifeat.store.timings import Timing
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch

# Work space of torch's convolutions, of compression and of the first use of libraries.
_LIBRARY_BYTES = 2**26
_LEAST_BATCH, _CPU_BATCH_PX = 4, 128**2


@dataclass(frozen=True)
class DiffusionExtractor(Extractor):
    """Extractor that computes the features of a scene with a network, one unit (one shard of each plane) at a time.

    Attributes
    ----------
    scene : Scene
        The scene.
    model_input : ModelInput
        Input image of the model.
    backbone : Backbone
        The diffusion model.
    tiling : Tiling
        Division of the scene into tiles, and combination of their feature maps.
    noise : NoisePolicy
        Noise policy for the tiles.
    tiles_per_batch : int or None
        Maximum number of tiles per forward pass; None for the result of `default_batch`. A batch has tiles of one unit at
        one timestep, in row-major order. The values of a plane therefore do not depend on the other requested planes, or
        on interruptions of the run.
    requested_device : str
        Device of the network, or ``auto``.
    pooled : mapping of str to int
        Number of feature-map cells along one side of a scene pixel, for each layer that is finer than the scene. Features of
        these layers are averaged over each scene pixel.
    """

    model_input: ModelInput
    backbone: Backbone
    tiling: Tiling
    noise: NoisePolicy
    tiles_per_batch: int | None
    requested_device: str
    pooled: Mapping[str, int]

    @cached_property
    def device(self) -> str:
        """Device of the network."""
        return pick_device(self.requested_device)

    @property
    def source(self) -> Backbone:
        """The diffusion model."""
        return self.backbone

    @property
    def projection(self) -> Projection:
        """Projection from the bands of the scene to the input channels of the model."""
        return self.model_input.projection

    @property
    def provenance(self) -> dict[str, Any]:
        """Names of those channels of the companion image that the projection reads; empty if they are unknown or the model reads the bands."""
        names = self.scene.companion_names if self.model_input.cube is self.scene.companion else ()
        used = [name for name, weights in zip(names, self.projection.weights, strict=bool(names)) if weights.any()]
        return {"companion": {"channels": used}} if names else {}

    @property
    def layout(self) -> SceneLayout | PixelListLayout:
        """Layout of a new store. Each unit (one shard of each plane) consists of whole tiles."""
        return self.tiling.layout

    @property
    def pixels(self) -> PixelList | None:
        """Pixels at which features are extracted; None if planes cover the scene."""
        return self.tiling.pixels

    @property
    def batch(self) -> int:
        """Maximum number of tiles per forward pass."""
        if self.tiles_per_batch is not None:
            return self.tiles_per_batch
        rows, cols = (side * self.model_input.factor for side in self.tiling.tile)
        return default_batch(rows, cols, device=self.device)

    def check_companion(self, part: CompanionPart | None) -> None:
        """Check that the companion image has not changed since the recipe was made. The whole image is read.

        Parameters
        ----------
        part : CompanionPart or None
            Companion image in the recipe; None if the input of the model is not a companion image.

        Raises
        ------
        SceneError
            If the image has changed.
        """
        if part is not None and self.model_input.companion_part() != part:
            raise changed_scene_error(f"the companion image of {self.scene.name}")

    def with_batch(self, batch: int) -> Self:
        """Return a copy of the extractor that uses the batch size of an existing store."""
        return replace(self, tiles_per_batch=batch)

    def count_tiles(self, window: Window) -> int:
        """Return the number of tiles that have to be computed for a window. See `Tiling.valid_tiles`.

        `window` is the window of one unit (one shard of each plane), or of all units together.
        """
        return self.tiling.count_tiles(window, self.scene.valid)

    def passes(self, t: int, previous: int | None) -> int:
        """Return the number of forward passes per tile at timestep `t`.

        With DDIM inversion, the passes from timestep `previous` to `t` count, too. `previous` is the last timestep
        computed for the same tiles; None before their first timestep.
        """
        return self.noise.passes(t, previous)

    def step_computer(self) -> StepComputer:
        """Return a function that computes a step (one shard of each plane at one timestep)."""
        keep_freed_memory()
        return StepComputer(self)

    def describe(self, plan: Plan) -> list[str]:
        """Return lines of text with the tiles and forward passes of a plan, and the estimated time and memory.

        The time is estimated from one timed batch.
        """
        seconds = plan.passes * self.seconds_per_pass(plan) if plan.steps else 0.0
        side = " x ".join(map(str, dict.fromkeys(self.tiling.tile)))
        tiles = self.count_tiles(plan.layout.extent)  # a tile that overlaps several units counts once
        repeated = sum(plan.unit_tiles.values()) - tiles
        kind = "tiles" if self.pixels is None else "windows, one around each pixel"
        overlap = f", and {repeated} computed again in a neighbouring block of the scene" if repeated else ""
        return [
            f"{kind}: {tiles}{overlap}",
            f"forward passes: {plan.passes} remaining of {plan.total_passes}, tiles of {side} px, batches of {self.batch}",
            f"time: about {format_duration(seconds)} on {self.device} (from one timed batch)",
            f"memory: about {format_bytes(self.peak_bytes(plan))}, without the model's weights",
        ]

    def seconds_per_pass(self, plan: Plan) -> float:
        """Measure the run time of a forward pass. A batch of n tiles counts as n passes.

        One batch of the first step that has tiles is run twice, and the second run is timed.

        Returns
        -------
        float
            Seconds per forward pass of one tile; 0 if no step of the plan has tiles.
        """
        step = next((step for step in plan.steps if plan.unit_tiles[step.unit]), None)
        if step is None:
            return 0.0
        with exclusive_use(self.backbone):
            self.backbone.to(self.device)
            encoded = self.encode_unit(step.unit)
            noised = next(iter(encoded.noised.at(slice(0, self.batch), step.t)))
            layers = [plane.id.layer for plane in step.planes]
            for _ in range(2):
                start = time.perf_counter()
                self.noise.probe(self.backbone, noised, step.t, layers).cpu()
            return (time.perf_counter() - start) / len(noised)

    def peak_bytes(self, plan: Plan) -> int:
        """Estimate the peak memory of a run in bytes, without the model's weights.

        The estimate includes the feature maps of a batch, the tiles and noise of a unit (one shard of each plane), and
        features that are not written yet. For a backbone of another package, the size of the feature maps is unknown
        and not included.
        """
        if not plan.steps:
            return 0
        tile = [side * self.model_input.factor for side in self.tiling.tile]
        channels = max(self.projection.channels, self.backbone.denoiser_channels)
        tile_bytes = 4 * channels * tile[0] * tile[1]
        # Blending keeps float32 sums in addition to the stored float16 values.
        copies = (1 if len(plan.steps) == 1 else STEPS_IN_MEMORY) + (4 / 2 if self.tiling.blends else 0)
        steps = (
            (1 + self.noise.draws) * plan.unit_tiles[step.unit] * tile_bytes
            + copies * sum(size_bytes(plan.layout, plane, step.unit.window) for plane in step.planes)
            for step in plan.steps
        )
        return int(max(steps)) + self._map_bytes(plan)

    def _map_bytes(self, plan: Plan) -> int:
        """Return the peak memory of the feature maps of a batch, plus the memory of torch's libraries."""
        if not isinstance(self.backbone, NetworkBackbone | RecalledBackbone):
            return 0
        step = max(plan.steps, key=lambda step: plan.unit_tiles[step.unit])
        count = min(self.batch, plan.unit_tiles[step.unit])
        rows, cols = (int(side * self.model_input.factor / self.backbone.cell_px) for side in self.tiling.tile)
        layers = [plane.id.layer for plane in step.planes]
        maps = self.backbone.map_bytes((max(count, 1), self.backbone.denoiser_channels, rows, cols), step.t, layers)
        return maps + _LIBRARY_BYTES

    def encode_unit(self, unit: Unit) -> EncodedUnit:
        """Read the tiles of a unit (one shard of each plane), and encode them batch by batch."""
        import torch

        tiles = self.tiling.valid_tiles(unit.window, self.scene.valid)
        encoded = []
        for start in range(0, len(tiles), self.batch):
            images = np.stack([self.model_input.read(tile) for tile in tiles[start : start + self.batch]])
            # torch.tensor copies to aligned memory. Rounding errors of convolutions depend on the alignment.
            with exclusive_use(self.backbone):
                clean = self.backbone.encode(torch.tensor(images).to(self.device))
            encoded.append(clean.cpu())
        clean = torch.cat(encoded) if encoded else torch.empty(0)
        scale = self.model_input.factor / self.backbone.cell_px
        cells = [Window(*(int(n * scale) for n in (tile.row, tile.col, tile.rows, tile.cols))) for tile in tiles]
        noised = self.noise.noised_tiles(CleanUnit(self.backbone, clean, cells, self.device, self.batch))
        return EncodedUnit(unit, tiles, noised)

    def compute_blocks(self, step: Step, encoded: EncodedUnit) -> dict[PlaneSpec, NDArray[np.generic]]:
        """Compute the features of a step (one shard of each plane at one timestep) from encoded tiles.

        Parameters
        ----------
        step : Step
            Step to compute.
        encoded : EncodedUnit
            Result of `encode_unit` for the unit of the step.

        Returns
        -------
        dict of PlaneSpec to array
            Maps each plane to a block of its features. A block has the plane's dtype, and the shape that the store's
            layout gives to the unit.

        Raises
        ------
        StoreError
            If a feature is not finite in the dtype of its plane.
        """
        blocks = {plane: self.tiling.new_block(plane, step.unit.window) for plane in step.planes}
        layers = [plane.id.layer for plane in step.planes]
        for start in range(0, len(encoded.tiles), self.batch):
            batch = slice(start, start + self.batch)
            with exclusive_use(self.backbone):  # Noise policies run the network, too.
                taps = self._mean_taps(encoded.noised.at(batch, step.t), step.t, layers)
            for plane, block in blocks.items():
                _check_size(plane, encoded.tiles[batch], taps[plane.id.layer])
                block.add(encoded.tiles[batch], taps[plane.id.layer])
        return {
            plane: check_finite(plane, block.finish(), cause="the weights may be damaged")
            for plane, block in blocks.items()
        }

    def _mean_taps(self, draws: Iterable[torch.Tensor], t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Map each layer to its (n, channels, rows, cols) feature maps, averaged over `draws`.

        Each item of `draws` is the same batch of n tiles with another draw of noise.
        """
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


def _check_size(plane: PlaneSpec, tiles: Sequence[Window], maps: torch.Tensor) -> None:
    """Raise `BackboneError` unless feature maps have the stride and the channels of their plane."""
    rows, cols = tiles[0].rows, tiles[0].cols
    expected = (len(tiles), plane.channels, rows // plane.stride, cols // plane.stride)
    if tuple(maps.shape) != expected:
        raise BackboneError(
            f"the layer {plane.id.layer} gives maps of shape {tuple(maps.shape)} for {len(tiles)} tiles of {rows} x {cols} pixels, and not {expected}: "
            "its maps do not follow the size of the image; leave the layer out"
        )


def default_batch(rows_px: int, cols_px: int, *, device: str) -> int:
    """Return the batch size for a new store: the maximum number of tiles per forward pass.

    On a CPU, batches of large tiles are smaller, because the feature maps of more tiles would not fit into the CPU's caches.

    Parameters
    ----------
    rows_px, cols_px : int
        Size of a tile in pixels of the model input.
    device : str
        ``cpu`` or ``cuda``.

    Examples
    --------
    >>> default_batch(64, 64, device="cuda"), default_batch(32, 32, device="cpu"), default_batch(128, 128, device="cpu")
    (16, 16, 4)
    """
    fitting = DEFAULT_BATCH if device != "cpu" else _CPU_BATCH_PX // (rows_px * cols_px)
    return min(max(fitting, _LEAST_BATCH), DEFAULT_BATCH)


@dataclass(frozen=True)
class EncodedUnit:
    """Encoded tiles of a unit (one shard of each plane). Tiles that contribute no valid pixel are omitted.

    Attributes
    ----------
    unit : Unit
        The unit.
    tiles : list of Window
        Positions of the tiles in scene pixels.
    noised : NoisedTiles
        Source of the noised tiles at any timestep.
    """

    unit: Unit
    tiles: list[Window]
    noised: NoisedTiles


class StepComputer:
    """Callable that computes the features of a step, and measures the time for encoding tiles and for the network.

    A step is one shard of each plane at one timestep. The encoded tiles of the last unit are kept, since consecutive steps
    often have the same unit.

    Parameters
    ----------
    extractor : DiffusionExtractor
        Extractor that computes the features.
    """

    def __init__(self, extractor: DiffusionExtractor) -> None:
        self._extractor, self._device = extractor, device_name(extractor.device)
        self._encoded: EncodedUnit | None = None
        self._clock = time.perf_counter()

    def __call__(self, step: Step) -> StepResult:
        """Compute the features of a step, and measure the time for encoding tiles and for the network."""
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
