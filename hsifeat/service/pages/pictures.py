"""Small pictures of scenes and planes. A picture is computed once, and then read from the cache."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.features.features import Features
from hsifeat.files import write_file
from hsifeat.scenes.colours import false_colour, rgb_bands
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.read_cache import samples_folder
from hsifeat.types import windows

_VERSION = 1
_SIDE_PX = 512
_FIT_PIXELS = 4096
_BLOCK_CELLS = 256
_lock = threading.Lock()


def scene_picture(features: Features) -> bytes:
    """Return a false-colour PNG of the scene, with at most 512 rows and columns. Invalid pixels are transparent."""
    scene = features.scene

    def draw() -> NDArray[np.uint8]:
        step = -(-max(scene.rows, scene.cols) // _SIDE_PX)
        colours = false_colour(scene.cube, scene.wavelengths_nm, scene.valid, step)
        return np.dstack([colours, np.where(scene.valid[::step, ::step], 255, 0).astype(np.uint8)])

    # Wavelengths select the bands, and can be corrected in the store.
    facts = f"scene {rgb_bands(scene.bands, scene.wavelengths_nm)}"
    return _kept(features.key, facts.encode(), draw)


def plane_picture(features: Features, plane: PlaneSpec) -> bytes:
    """Return a PNG of the first three principal components of a plane in red, green and blue.

    Raises
    ------
    StoreError
        If the store has features of selected pixels only, which can't be drawn.
    """
    if not features.covers_scene:
        raise StoreError(f"{features.name} has features of listed pixels, which have no picture")
    facts = str(plane.id).encode() + features.store.fingerprint(plane.id)
    return _kept(features.key, facts, lambda: _components(_coarse_plane(features, plane)))


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a (rows, cols, 3 or 4) uint8 image as PNG."""
    from PIL import Image

    out = BytesIO()
    Image.fromarray(image).save(out, "png", compress_level=1)
    return out.getvalue()


def stretch(values: NDArray[np.floating], low: NDArray[np.floating], high: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Map values of each channel linearly to 0-255.

    Parameters
    ----------
    values : (..., channels) float array
        Values to map. NaN is mapped like the value 0.
    low, high : (channels,) float array
        For each channel, the values that become 0 and 255.

    Returns
    -------
    (..., channels) uint8 array
        The mapped values. Values below `low` become 0, and values above `high` become 255.
    """
    scaled = (np.nan_to_num(values) - low) / np.maximum(high - low, 1e-12)
    shown: NDArray[np.uint8] = np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return shown


def _coarse_plane(features: Features, plane: PlaneSpec) -> NDArray[np.float32]:
    """Read a plane at reduced resolution, block by block."""
    cell_rows, cell_cols, channels = features.store.plane(plane.id).shape
    step = -(-max(cell_rows, cell_cols) // _SIDE_PX)
    side = _BLOCK_CELLS * step
    coarse = np.zeros((-(-cell_rows // step), -(-cell_cols // step), channels), np.float32)
    for window in windows(cell_rows, cell_cols, side):
        part = features.store.read(plane.id, window)[::step, ::step]
        row, col = window.row // step, window.col // step
        coarse[row : row + part.shape[0], col : col + part.shape[1]] = part
    return coarse


def _components(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the first three principal components of a plane (rows, cols, channels) as an RGB image."""
    values = np.nan_to_num(plane.reshape(-1, plane.shape[2]).astype(np.float64))
    sample = values[:: -(-len(values) // _FIT_PIXELS)]
    mean = sample.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(sample - mean, rowvar=False).reshape(values.shape[1], -1))
    leading = axes[:, ::-1][:, :3]
    # The sign of an axis is arbitrary. With a fixed sign, a repeated computation gives the same picture.
    leading = leading * np.where(leading.sum(axis=0) < 0, -1, 1)
    projected = (values - mean) @ leading
    if projected.shape[1] < 3:
        projected = np.repeat(projected[:, :1], 3, axis=1)
    image = stretch(projected, *np.percentile(projected, [2, 98], axis=0))
    return image.reshape(*plane.shape[:2], 3)


def _kept(key: str, facts: bytes, draw: Callable[[], NDArray[np.uint8]]) -> bytes:
    digest = hashlib.sha256(_VERSION.to_bytes(2, "little") + facts).hexdigest()[:32]
    file = samples_folder(key) / f"{digest}.png"
    with _lock:  # One picture at a time bounds memory, and no picture is drawn twice at the same time.
        try:
            return file.read_bytes()
        except OSError:
            content = encode_png(draw())
        # If the disk is full or the cache is read-only, the picture is drawn again for the next request.
        with suppress(OSError, StoreError):
            write_file(file, content)
        return content
