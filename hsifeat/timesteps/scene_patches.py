"""Random patches of a projected image for the optimal denoiser, and random tiles of an image for a backbone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.projection import Projection
from hsifeat.projection.image import SpectralImage
from hsifeat.scenes.scene_blocks import blocks
from hsifeat.types import Window, as_float32

# Maximum number of values in a patch of default size. A few thousand patches with more values would be too far apart.
_MAX_PATCH_VALUES = 16
_PATCH_SIDES_PX = (4, 2, 1)


def default_patch_px(channels: int) -> int:
    """Return the side of a patch in pixels: the largest of 4, 2 and 1 for which a patch has at most 16 values.

    A patch has one value for each pixel and channel. If there are more than 16 channels, the side is 1 pixel.

    >>> [default_patch_px(channels) for channels in (1, 3, 10, 25, 200)]
    [4, 2, 1, 1, 1]
    """
    return next((px for px in _PATCH_SIDES_PX if px * px * channels <= _MAX_PATCH_VALUES), 1)


def sample_patches(
    image: SpectralImage, projection: Projection, patch_px: int, count: int, seed: int
) -> NDArray[np.float64]:
    """Return random patches of a projected image. Only patches without invalid pixels are sampled.

    The image is read once, block by block, to save memory.

    Parameters
    ----------
    image : SpectralImage
        A scene, or another spectral image.
    projection : Projection
        Projection of the image.
    patch_px : int
        Side of a patch in pixels.
    count : int
        Maximum number of patches. No patch is sampled twice.
    seed : int
        Seed of the sample.

    Returns
    -------
    (n, patch_px * patch_px * channels) float64 array
        Values of each of the n patches. The channels of a pixel are adjacent, and pixels are in row-major order.

    Raises
    ------
    SceneError
        If the image has fewer than two patches whose `patch_px` x `patch_px` pixels are all valid.
    """
    px = patch_px
    positions = np.empty(0, np.intp)
    if min(image.rows, image.cols) >= px:
        positions = np.flatnonzero(np.lib.stride_tricks.sliding_window_view(image.valid, (px, px)).all(axis=(2, 3)))
    if len(positions) < 2:
        raise SceneError(
            f"{image.name} has {len(positions)} patches of {px} x {px} px with only valid pixels, at least 2 are needed: "
            f"{'take smaller patches' if px > 1 else 'take another scene'}"
        )
    sample = np.sort(np.random.default_rng(seed).choice(positions, min(count, len(positions)), replace=False))
    rows, cols = np.divmod(sample, image.cols - px + 1)
    patches = np.empty((len(sample), px, px, projection.channels))
    for block in blocks(image.rows, image.cols, image.bands):
        in_block = np.flatnonzero(
            (rows >= block.row)
            & (rows < block.row + block.rows)
            & (cols >= block.col)
            & (cols < block.col + block.cols)
        )
        if len(in_block):
            window = Window(block.row, block.col, block.rows + px - 1, block.cols + px - 1)
            window = window.clip(image.rows, image.cols)
            channels = projection.apply(np.asarray(image.cube[window.slices]))
            for n in in_block:
                row, col = rows[n] - block.row, cols[n] - block.col
                patches[n] = channels[row : row + px, col : col + px]
    return patches.reshape(len(sample), -1)


@dataclass(frozen=True)
class TileSample:
    """A square tile of an image, before and after the projection.

    Attributes
    ----------
    spectra : (side, side, bands) float32 array
        Values of the image before the projection; 0 at invalid pixels.
    image : (channels, side, side) float32 array
        Values after the projection, which are the input of a backbone; 0 at invalid pixels.
    valid : (side, side) bool array
        Valid pixels.
    """

    spectra: NDArray[np.float32]
    image: NDArray[np.float32]
    valid: NDArray[np.bool_]


def sample_tiles(image: SpectralImage, projection: Projection, side_px: int, count: int, seed: int) -> list[TileSample]:
    """Return tiles of an image around random valid pixels.

    Tiles lie within the image. If the image is smaller than a tile, reflection fills the rest of the tile.

    Parameters
    ----------
    image : SpectralImage
        A scene, or another spectral image.
    projection : Projection
        Projection of the image.
    side_px : int
        Side of a tile in pixels.
    count : int
        Maximum number of tiles.
    seed : int
        Seed of the sample.

    Returns
    -------
    list of TileSample
        At most `count` tiles, before and after the projection.

    Raises
    ------
    SceneError
        If the image has no valid pixel.
    """
    positions = np.flatnonzero(image.valid)
    if not len(positions):
        raise SceneError(f"{image.name} has no valid pixel: all pixels are nodata, not finite or zero in all bands")
    centres = np.random.default_rng(seed).choice(positions, min(count, len(positions)), replace=False)
    return [_tile(image, projection, side_px, *divmod(int(centre), image.cols)) for centre in centres]


def _tile(image: SpectralImage, projection: Projection, side_px: int, row: int, col: int) -> TileSample:
    top, left = (
        max(min(centre - side_px // 2, length - side_px), 0)
        for centre, length in ((row, image.rows), (col, image.cols))
    )
    window = Window(top, left, side_px, side_px).clip(image.rows, image.cols)
    padding = (0, side_px - window.rows), (0, side_px - window.cols)
    valid = np.pad(image.valid[window.slices], padding, mode="reflect")
    spectra = np.pad(as_float32(image.cube[window.slices]), (*padding, (0, 0)), mode="reflect")
    spectra[~valid] = 0
    channels = projection.apply(spectra)
    channels[~valid] = 0
    return TileSample(spectra, np.ascontiguousarray(channels.transpose(2, 0, 1)), valid)
