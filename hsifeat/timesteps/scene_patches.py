"""What is sampled of a scene behind a projection: small patches for the optimal denoiser, tiles for a backbone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.projection import Projection
from hsifeat.projection.image import SpectralImage
from hsifeat.scenes.blocks import blocks
from hsifeat.types import Window

# Most numbers in a patch by default. With more, some thousands of patches lie so far apart that each is alone.
_MOST_NUMBERS = 16
_SIDES_PX = (8, 4, 2, 1)


def usual_patch_px(channels: int) -> int:
    """Return the side of the largest patch of at most 16 numbers, among 8, 4, 2 and 1 px.

    >>> [usual_patch_px(channels) for channels in (1, 3, 10, 25, 200)]
    [4, 2, 1, 1, 1]
    """
    return next((px for px in _SIDES_PX if px * px * channels <= _MOST_NUMBERS), 1)


def sample_patches(scene: SpectralImage, projection: Projection, px: int, count: int, seed: int) -> NDArray[np.float64]:
    """Draw patches of valid pixels, behind a projection; the scene is read once, block by block.

    Parameters
    ----------
    scene, projection
        What is seen, and through what.
    px : int
        Side of a patch.
    count : int
        How many at most; no place is drawn twice.
    seed : int
        Seed of the draw.

    Returns
    -------
    (N, px * px * channels) float64 array

    Raises
    ------
    SceneError
        Fewer than two patches of that size are wholly valid.
    """
    across = scene.cols - px + 1
    places = np.empty(0, np.intp)
    if min(scene.rows, scene.cols) >= px:
        places = np.flatnonzero(np.lib.stride_tricks.sliding_window_view(scene.valid, (px, px)).all(axis=(2, 3)))
    if len(places) < 2:
        raise SceneError(
            f"{scene.name} has {len(places)} places where a patch of {px} x {px} px is wholly valid; at least 2 are wanted: "
            f"{'take smaller patches' if px > 1 else 'take another scene'}"
        )
    chosen = np.sort(np.random.default_rng(seed).choice(places, min(count, len(places)), replace=False))
    rows, cols = np.divmod(chosen, across)
    patches = np.empty((len(chosen), px, px, projection.channels))
    for block in blocks(scene.rows, scene.cols, scene.bands):
        here = np.flatnonzero(
            (rows >= block.row)
            & (rows < block.row + block.rows)
            & (cols >= block.col)
            & (cols < block.col + block.cols)
        )
        if len(here):
            around = Window(block.row, block.col, block.rows + px - 1, block.cols + px - 1)
            around = around.clip(scene.rows, scene.cols)
            seen = projection.apply(np.asarray(scene.cube[around.slices]))
            for n in here:
                row, col = rows[n] - block.row, cols[n] - block.col
                patches[n] = seen[row : row + px, col : col + px]
    return patches.reshape(len(chosen), -1)


@dataclass(frozen=True)
class Tile:
    """A square part of a scene as a backbone is shown it.

    Attributes
    ----------
    spectra : (side, side, bands) float32 array
        Values as the scene delivers them.
    image : (channels, side, side) float32 array
        The same behind the projection; invalid pixels are 0.
    valid : (side, side) bool array
        Pixels that hold something.
    """

    spectra: NDArray[np.float32]
    image: NDArray[np.float32]
    valid: NDArray[np.bool_]


def sample_tiles(scene: SpectralImage, projection: Projection, side: int, count: int, seed: int) -> list[Tile]:
    """Draw tiles around valid pixels; what a small scene lacks of a side is mirrored, as in extraction.

    Raises
    ------
    SceneError
        The scene has no valid pixel.
    """
    places = np.flatnonzero(scene.valid)
    if not len(places):
        raise SceneError(f"{scene.name} has no valid pixel")
    centres = np.random.default_rng(seed).choice(places, min(count, len(places)), replace=False)
    return [_tile(scene, projection, side, int(place) // scene.cols, int(place) % scene.cols) for place in centres]


def _tile(scene: SpectralImage, projection: Projection, side: int, row: int, col: int) -> Tile:
    top, left = (max(min(at - side // 2, length - side), 0) for at, length in ((row, scene.rows), (col, scene.cols)))
    window = Window(top, left, side, side).clip(scene.rows, scene.cols)
    lack = (0, side - window.rows), (0, side - window.cols)
    valid = np.pad(scene.valid[window.slices], lack, mode="reflect")
    spectra = np.pad(np.asarray(scene.cube[window.slices]).astype(np.float32), (*lack, (0, 0)), mode="reflect")
    spectra[~valid] = 0
    image = projection.apply(spectra)
    image[~valid] = 0
    return Tile(spectra, np.ascontiguousarray(image.transpose(2, 0, 1)), valid)
