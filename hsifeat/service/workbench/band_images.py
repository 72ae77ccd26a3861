"""Bands of a scene as images, for false colours of any three bands."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.scene import Scene
from hsifeat.scenes.scene_blocks import blocks, read_bands
from hsifeat.service.pages.pictures import encode_png, stretch
from hsifeat.types import Window

_MAX_BYTES = 192 * 2**20
_LIMIT_PIXELS = 50_000


@dataclass(frozen=True)
class Rendering:
    """Bands and contrast of a false-colour image.

    Attributes
    ----------
    bands : tuple of 3 ints
        Indices of the bands in red, green and blue.
    cut : float
        Percentage of the values of a band that are clipped at each end of the brightness range.
    gamma : float
        Exponent of the brightness. Values below 1 brighten the image.
    """

    bands: tuple[int, int, int]
    cut: float = 2.0
    gamma: float = 1.0


class BandImages:
    """Cache of the recently shown bands of a scene. The methods are thread-safe.

    Parameters
    ----------
    scene : Scene
        The scene.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._bands: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def png(self, rendering: Rendering, window: Window, step: int) -> bytes:
        """Return a part of the scene as PNG. Invalid pixels are transparent.

        Parameters
        ----------
        rendering : Rendering
            Bands and contrast.
        window : Window
            The part of the scene.
        step : int
            Distance in scene pixels between neighbouring pixels of the image.
        """
        bands = self._read(rendering.bands)
        valid = self._scene.valid
        sample_step = max(int((valid.size / _LIMIT_PIXELS) ** 0.5), 1)
        inside = valid[::sample_step, ::sample_step]
        part = np.stack([band[window.slices][::step, ::step] for band in bands], axis=2)
        if not inside.any():
            return encode_png(np.zeros((*part.shape[:2], 4), np.uint8))
        sample = np.stack([band[::sample_step, ::sample_step][inside] for band in bands], axis=1)
        low, high = np.nanpercentile(sample, [rendering.cut, 100 - rendering.cut], axis=0)
        shown = stretch(part, low, high)
        if rendering.gamma != 1:
            curve = np.round(255 * (np.arange(256) / 255) ** rendering.gamma).astype(np.uint8)
            shown = curve[shown]
        alpha = np.where(valid[window.slices][::step, ::step], 255, 0).astype(np.uint8)
        return encode_png(np.dstack([shown, alpha]))

    def _read(self, wanted: tuple[int, ...]) -> list[NDArray[np.float32]]:
        with self._lock:
            missing = [band for band in dict.fromkeys(wanted) if band not in self._bands]
            if missing:
                scene = self._scene
                images = np.empty((len(missing), scene.rows, scene.cols), np.float32)
                for block in blocks(scene.rows, scene.cols, scene.bands):
                    rows, cols = block.slices
                    images[:, rows, cols] = np.moveaxis(read_bands(scene.cube, rows, cols, missing), 2, 0)
                self._bands.update(zip(missing, images, strict=True))
            for band in wanted:
                self._bands.move_to_end(band)
            result = [self._bands[band] for band in wanted]
            capacity = max(_MAX_BYTES // (4 * self._scene.rows * self._scene.cols), 6)
            while len(self._bands) > capacity:
                self._bands.popitem(last=False)
            return result
