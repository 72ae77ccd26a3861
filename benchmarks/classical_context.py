"""Classical context features of a hyperspectral scene, the rival of learned planes: window means and morphological profiles.

The profiles are openings and closings of principal components, plain and by reconstruction (Benediktsson et al., IEEE TGRS
2005). Everything is computed with SciPy and scikit-image, apart from hsifeat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import reconstruction

SIZES_PX = (3, 5, 7, 9, 13, 17)
PROFILE_COMPONENTS = 4
COMPANION_SIZES_PX = (3, 7, 13, 25)


def context_groups(cube: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return window means of the spectra, and profiles of principal components, each (rows, cols, channels) float32."""
    components = principal_components(cube, PROFILE_COMPONENTS)
    plain, rebuilt = profiles(components, SIZES_PX), profiles(components, SIZES_PX, rebuild=True)
    means = {f"mean {side}": window_means(cube, side) for side in (25, 45)}
    return {**means, "profiles": plain, "rebuilt profiles": rebuilt, "mean of rebuilt": window_means(rebuilt, 9)}


def companion_context(image: NDArray[np.uint8], factor: int) -> NDArray[np.float32]:
    """Return means, deviations and profiles of a finer image, averaged to scene pixels, (rows, cols, channels) float32."""
    values = image.astype(np.float32)
    parts = [values, profiles(values, COMPANION_SIZES_PX)]
    for side in COMPANION_SIZES_PX:
        means = window_means(values, side)
        parts += [means, np.sqrt(np.maximum(window_means(values**2, side) - means**2, 0))]
    fine = np.concatenate(parts, axis=2)
    rows, cols, channels = fine.shape
    coarse: NDArray[np.float32] = fine.reshape(rows // factor, factor, cols // factor, factor, channels).mean((1, 3))
    return coarse


def window_means(cube: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    """Return the mean of a square window around each pixel, reflected at the edges."""
    return ndimage.uniform_filter(cube, (side_px, side_px, 1), mode="reflect")


def principal_components(cube: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the first principal components of the spectra, each with unit variance, (rows, cols, count) float32."""
    return reduce_columns(cube.reshape(-1, cube.shape[2]), count).reshape(*cube.shape[:2], -1)


def reduce_columns(columns: NDArray[np.float32], count: int, *, whiten: bool = True) -> NDArray[np.float32]:
    """Return the first principal components of columns (n, d), whitened or divided by the deviation of the first one."""
    centred = columns.astype(np.float64) - columns.mean(0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    count = min(count, len(variances))
    scores = centred @ axes[:, ::-1][:, :count]
    deviations = np.sqrt(np.maximum(variances[::-1][:count], 1e-12))
    return (scores / (deviations if whiten else deviations[0])).astype(np.float32)


def profiles(image: NDArray[np.float32], sizes_px: tuple[int, ...], *, rebuild: bool = False) -> NDArray[np.float32]:
    """Return openings and closings of each channel by squares, plain or by reconstruction, (rows, cols, channels) float32."""
    maps = []
    for channel in np.moveaxis(image, 2, 0):
        for side in sizes_px:
            eroded = ndimage.grey_erosion(channel, (side, side), mode="reflect")
            dilated = ndimage.grey_dilation(channel, (side, side), mode="reflect")
            if rebuild:
                maps += [reconstruction(eroded, channel, "dilation"), reconstruction(dilated, channel, "erosion")]
            else:
                maps += [
                    ndimage.grey_dilation(eroded, (side, side), mode="reflect"),
                    ndimage.grey_erosion(dilated, (side, side), mode="reflect"),
                ]
    return np.stack(maps, axis=2).astype(np.float32)
