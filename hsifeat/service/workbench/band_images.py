"""False-colour images of any three bands of a scene."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.pixel_order import STEPS
from hsifeat.scenes.scene import Scene
from hsifeat.scenes.scene_blocks import blocks, read_bands
from hsifeat.service.pages.pictures import encode_png, stretch
from hsifeat.service.problems import ProblemError
from hsifeat.types import Window

# Memory of the overview of a scene, and of the parts that were shown in finer resolution lately. The overview takes more
# if it is larger even at the coarsest step of the page.
_OVERVIEW_BYTES = 128 * 2**20
_PARTS_BYTES = 64 * 2**20
_LIMIT_PIXELS = 50_000
# Images that wait longer for the reading of the scene are refused, because each occupies a thread. Their page asks again.
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Rendering:
    """Bands and contrast of a false-colour image.

    Attributes
    ----------
    bands : tuple of 3 ints
        Indices of the bands in red, green and blue.
    cut : float
        Percentage of the values of a band that become black. The same percentage of values gets full brightness.
    gamma : float
        Exponent that is applied to the brightness. Values below 1 brighten the image.
    """

    bands: tuple[int, int, int]
    cut: float = 2.0
    gamma: float = 1.0


class BandImages:
    """Bands of a scene at a coarse resolution, kept in memory to draw them quickly. The methods are thread-safe.

    The bands in memory are called the overview. For small scenes, it has full resolution. Images with a finer resolution
    than the overview are read from the scene.

    Parameters
    ----------
    scene : Scene
        The scene.

    Attributes
    ----------
    overview_step : int
        Distance between neighbouring pixels of the overview, in pixels of the scene; one of `pixel_order.STEPS`.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._dtype = np.dtype(scene.cube.dtype if np.dtype(scene.cube.dtype).itemsize <= 4 else np.float32)
        self.overview_step = 1
        while self._overview_bytes() > _OVERVIEW_BYTES and self.overview_step < max(STEPS):
            self.overview_step *= 2
        self._parts: OrderedDict[tuple[int, Window, int], NDArray[np.generic]] = OrderedDict()
        self._lock = threading.Lock()

    def png(self, rendering: Rendering, window: Window, step: int) -> bytes:
        """Return a false-colour image of a part of the scene as PNG. Invalid pixels are transparent.

        Parameters
        ----------
        rendering : Rendering
            Bands and contrast of the image.
        window : Window
            Part of the scene. Its first row and first column must be multiples of `step`.
        step : int
            Distance between neighbouring pixels of the image, in pixels of the scene; a power of two. If `step` is less
            than `overview_step`, the image is read from the scene. Otherwise, it is read from the overview in memory.

        Raises
        ------
        ProblemError
            If the call has waited for 10 seconds while the scene is read for other images.
        """
        if not self._lock.acquire(timeout=_PATIENCE_S):
            raise ProblemError(503, "the scene is being read for other images: try again", {"Retry-After": "1"})
        try:
            part = self._part(rendering.bands, window, step)
            limits = self._limits(rendering)
        finally:
            self._lock.release()
        if limits is None:
            return encode_png(np.zeros((*part.shape[:2], 4), np.uint8))
        shown = stretch(part, *limits)
        if rendering.gamma != 1:
            curve = np.round(255 * (np.arange(256) / 255) ** rendering.gamma).astype(np.uint8)
            shown = curve[shown]
        alpha = np.where(self._scene.valid[window.slices][::step, ::step], 255, 0).astype(np.uint8)
        return encode_png(np.dstack([shown, alpha]))

    def _limits(self, rendering: Rendering) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the values that become black and white, for each band; None if no pixel is valid."""
        valid = self._scene.valid[:: self.overview_step, :: self.overview_step]
        stride = max(int((valid.size / _LIMIT_PIXELS) ** 0.5), 1)
        inside = valid[::stride, ::stride]
        if not inside.any():
            return None
        sample = np.stack([self._overview[band][::stride, ::stride][inside] for band in rendering.bands], axis=1)
        low, high = np.nanpercentile(sample.astype(np.float64), [rendering.cut, 100 - rendering.cut], axis=0)
        return low, high

    def _part(self, bands: tuple[int, ...], window: Window, step: int) -> NDArray[np.float32]:
        """Return some bands of a part of the scene, (rows, cols, len(bands)) float32."""
        if step >= self.overview_step:
            rows, cols = (
                slice(part.start // self.overview_step, -(-part.stop // self.overview_step), step // self.overview_step)
                for part in window.slices
            )
            return np.stack([self._overview[band][rows, cols] for band in bands], axis=2).astype(np.float32)
        missing = [band for band in dict.fromkeys(bands) if (band, window, step) not in self._parts]
        if missing:
            rows, cols = (slice(part.start, part.stop, step) for part in window.slices)
            values = read_bands(self._scene.cube, rows, cols, missing)
            for number, band in enumerate(missing):
                self._parts[band, window, step] = np.array(values[..., number], self._dtype)
        found = [self._parts[band, window, step] for band in bands]
        for band in bands:
            self._parts.move_to_end((band, window, step))
        while sum(one.nbytes for one in self._parts.values()) > _PARTS_BYTES:
            self._parts.popitem(last=False)
        return np.stack(found, axis=2).astype(np.float32)

    @cached_property
    def _overview(self) -> NDArray[np.generic]:
        """Every `overview_step`-th row and column of the scene, (bands, rows, cols). The scene is read once."""
        scene, step = self._scene, self.overview_step
        overview = np.empty((scene.bands, -(-scene.rows // step), -(-scene.cols // step)), self._dtype)
        for block in blocks(scene.rows, scene.cols, scene.bands):
            first = [-(-start // step) for start in (block.row, block.col)]
            inside = tuple(
                slice(at * step - start, None, step) for at, start in zip(first, (block.row, block.col), strict=True)
            )
            part = np.moveaxis(np.asarray(scene.cube[block.slices])[inside], 2, 0)
            overview[:, first[0] : first[0] + part.shape[1], first[1] : first[1] + part.shape[2]] = part
        return overview

    def _overview_bytes(self) -> int:
        rows, cols = -(-self._scene.rows // self.overview_step), -(-self._scene.cols // self.overview_step)
        return int(rows * cols * self._scene.bands * self._dtype.itemsize)
