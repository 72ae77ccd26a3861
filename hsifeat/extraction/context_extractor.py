"""Extraction of context features: a scene is projected to components, and the components are filtered block by block."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.context.backbone import ContextBackbone
from hsifeat.context.filters import profile, reconstruction_profile, window_deviations, window_means
from hsifeat.context.layer_names import PROFILE_COMPONENTS, ContextLayer
from hsifeat.errors import HsifeatError
from hsifeat.extraction.extractor import Extractor, StepResult, check_finite
from hsifeat.extraction.plan import Plan, Step
from hsifeat.formatting import format_bytes
from hsifeat.projection import Projection
from hsifeat.runtime.allocator import return_freed_memory
from hsifeat.store.plane_layout import UNIT_PX, SceneLayout
from hsifeat.store.timings import Timing
from hsifeat.types import Window

RECONSTRUCTION_LIMIT_BYTES = 4_000_000_000
"""Maximum memory of filters by reconstruction, which need the whole scene at once."""

# Measured working memory per pixel of scikit-image's reconstruction of a float32 image, including the seed image.
_RECONSTRUCTION_BYTES_PER_PIXEL = 130
# Rounding errors of a matrix product depend on its shape. Spectra are therefore projected in runs of this fixed length.
_PROJECTED_COLS = 32
# Means are computed in float64 for this many components at a time, which takes less memory.
_FILTERED_CHANNELS = 16


@dataclass(frozen=True)
class ContextExtractor(Extractor):
    """Extractor that computes context features of a scene.

    The value of a filter at a pixel depends only on the pixels within a certain distance, the reach of the filter. A unit
    (one shard of each plane) is read with a margin as wide as the largest reach. Openings and closings by reconstruction
    have no finite reach, so they are computed for the whole scene at once.

    Attributes
    ----------
    backbone : ContextBackbone
        The filters.
    components : Projection
        Projection from the bands of the scene to the components that are filtered.
    layers : mapping of str to ContextLayer
        Maps names to layers. Each layer is one filter.
    """

    backbone: ContextBackbone
    components: Projection
    layers: Mapping[str, ContextLayer]

    @property
    def source(self) -> ContextBackbone:
        """Source of the features: the filters that ``--backbone context`` selects."""
        return self.backbone

    @property
    def device(self) -> str:
        """Device of the computation."""
        return "cpu"

    @property
    def projection(self) -> Projection:
        """Projection from the bands of the scene to the components that are filtered."""
        return self.components

    @property
    def layout(self) -> SceneLayout:
        """Layout of a new store."""
        return SceneLayout(self.scene.rows, self.scene.cols, UNIT_PX)

    def count_tiles(self, window: Window) -> int:
        """Return 1 if the window of a unit (one shard of each plane) has a valid pixel, else 0."""
        return int(self.scene.valid[window.slices].any())

    def step_computer(self) -> ContextComputer:
        """Return a function that computes a step (one shard of each plane)."""
        return ContextComputer(self)

    def describe(self, plan: Plan) -> list[str]:
        """Return lines of text with the number of blocks that a plan computes, and the estimated memory."""
        lines = [f"blocks: {plan.passes} remaining of {plan.total_passes}, each with all its layers"]
        if plan.steps:
            lines.append(f"memory: about {format_bytes(self.peak_bytes(plan))}")
        return lines

    def peak_bytes(self, plan: Plan) -> int:
        """Estimate the peak memory for computing a plan, in bytes.

        The estimate is the sum of two sizes: the arrays of one block with its margin, and the openings and closings by
        reconstruction for the whole scene.
        """
        layers = [self.layers[plane.id.layer] for step in plan.steps for plane in step.planes]
        unit_px = max((max(step.unit.window.rows, step.unit.window.cols) for step in plan.steps), default=0)
        side = unit_px + 2 * max((layer.reach_px for layer in layers), default=0)
        channels = sum(layer.channels(self.components.channels) for layer in set(layers))
        block = 8 * 4 * self.components.channels * side**2 + 2 * channels * unit_px**2
        return block + self.reconstruction_bytes()

    def reconstruction_bytes(self) -> int:
        """Return the maximum memory in bytes of openings and closings by reconstruction; 0 if the layers include none."""
        sizes = {layer.size_px for layer in self.layers.values() if layer.is_reconstruction}
        if not sizes:
            return 0
        components = min(PROFILE_COMPONENTS, self.components.channels)
        per_pixel = 4 * components + len(sizes) * 4 * 2 * components + _RECONSTRUCTION_BYTES_PER_PIXEL
        return self.scene.rows * self.scene.cols * per_pixel

    def check_memory(self) -> None:
        """Raise `HsifeatError` if openings and closings by reconstruction need more than `RECONSTRUCTION_LIMIT_BYTES`."""
        needed = self.reconstruction_bytes()
        if needed > RECONSTRUCTION_LIMIT_BYTES:
            others = ",".join(name for name, layer in self.layers.items() if not layer.is_reconstruction)
            advice = f"`layers={others!r}`" if others else "`layers`, such as mean-25,profile-7"
            raise HsifeatError(
                f"layers by reconstruction take the whole scene at once: {self.scene.rows} x {self.scene.cols} pixels need "
                f"about {format_bytes(needed)}, and {format_bytes(RECONSTRUCTION_LIMIT_BYTES)} are allowed: leave them out "
                f"with {advice}"
            )

    def read_components(self, window: Window) -> NDArray[np.float32]:
        """Read the bands in a window of the scene, and project them to the components that are filtered.

        The components of a pixel have the same bits in every window that contains the pixel.

        Parameters
        ----------
        window : Window
            Window within the scene.

        Returns
        -------
        (rows, cols, components) float32 array
            Components, 0 at invalid pixels.
        """
        first = window.col // _PROJECTED_COLS * _PROJECTED_COLS
        stop = min(-(-(window.col + window.cols) // _PROJECTED_COLS) * _PROJECTED_COLS, self.scene.cols)
        rows = slice(window.row, window.row + window.rows)
        valid = self.scene.valid[rows, first:stop]
        spectra = np.where(valid[..., np.newaxis], np.asarray(self.scene.cube[rows, first:stop]), 0)
        values = np.zeros((window.rows, stop - first, self.components.channels), np.float32)
        for col in range(0, stop - first, _PROJECTED_COLS):
            run = slice(col, col + _PROJECTED_COLS)
            values[:, run] = self.components.apply(spectra[:, run])
        values[~valid] = 0
        return values[:, window.col - first : window.col - first + window.cols]


class ContextComputer:
    """Callable that computes the features of a step (one shard of each plane), and measures the run time.

    Openings and closings by reconstruction are computed once for the whole scene, and kept for all steps.

    Parameters
    ----------
    extractor : ContextExtractor
        Extractor with the filters and the scene.
    """

    def __init__(self, extractor: ContextExtractor) -> None:
        self._extractor = extractor
        self._first_components: NDArray[np.float32] | None = None
        self._reconstructions: dict[int, NDArray[np.floating]] = {}

    def __call__(self, step: Step) -> StepResult:
        """Compute the features of a step (one shard of each plane), and measure the run time."""
        return_freed_memory()
        start, extractor, unit = time.perf_counter(), self._extractor, step.unit.window
        scene = extractor.scene
        layers = {plane: extractor.layers[plane.id.layer] for plane in step.planes}
        reach = max(layer.reach_px for layer in layers.values())
        window = Window(unit.row - reach, unit.col - reach, unit.rows + 2 * reach, unit.cols + 2 * reach)
        window = window.clip(scene.rows, scene.cols)
        valid = scene.valid[window.slices]
        inner = (
            slice(unit.row - window.row, unit.row - window.row + unit.rows),
            slice(unit.col - window.col, unit.col - window.col + unit.cols),
        )
        if not scene.valid[unit.slices].any():
            shapes = {plane: (unit.rows, unit.cols, plane.channels) for plane in step.planes}
            return StepResult({plane: np.zeros(shape, plane.dtype) for plane, shape in shapes.items()}, [])
        components = extractor.read_components(window)
        blocks = {}
        for plane, layer in layers.items():
            block = np.empty((unit.rows, unit.cols, plane.channels), plane.dtype)
            with np.errstate(over="ignore"):  # `check_finite` reports values that float16 can't hold.
                for channels, values in self._filter(layer, components, valid, window):
                    block[..., channels] = values[inner]
            blocks[plane] = check_finite(plane, block, cause="the projection does not fit the scene")
        timing = Timing(step.t, "cpu (threads: 1)", step.passes, time.perf_counter() - start)
        return StepResult(blocks, [timing])

    def _filter(
        self, layer: ContextLayer, components: NDArray[np.float32], valid: NDArray[np.bool_], window: Window
    ) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        """Yield some channels of a layer at a time: their indices, and a (rows, cols, channels) float array."""
        if layer.is_profile:
            if layer.is_reconstruction:
                values = self._reconstruction(layer.size_px)[window.slices]
            else:
                values = profile(components[..., :PROFILE_COMPONENTS], valid, layer.size_px)
            yield slice(None), window_means(values, valid, layer.mean_px) if layer.mean_px > 1 else values
            return
        function = window_means if layer.family == "mean" else window_deviations
        for first in range(0, components.shape[-1], _FILTERED_CHANNELS):
            some = slice(first, first + _FILTERED_CHANNELS)
            yield some, function(components[..., some], valid, layer.size_px)

    def _reconstruction(self, size_px: int) -> NDArray[np.floating]:
        """Return the openings and closings by reconstruction of the whole scene, with a square of side `size_px`.

        The result is a (rows, cols, channels) float array, and is kept for the next call.
        """
        if size_px not in self._reconstructions:
            scene = self._extractor.scene
            if self._first_components is None:
                count = min(PROFILE_COMPONENTS, self._extractor.components.channels)
                self._first_components = np.empty((scene.rows, scene.cols, count), np.float32)
                for unit in self._extractor.layout.units:
                    values = self._extractor.read_components(unit.window)
                    self._first_components[unit.window.slices] = values[..., :count]
            self._reconstructions[size_px] = reconstruction_profile(self._first_components, scene.valid, size_px)
        return self._reconstructions[size_px]
