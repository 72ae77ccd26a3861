"""Filters over the valid pixels of an image: window means and deviations, and morphological profiles.

All filters take an array of shape (rows, cols, components) and a mask of its valid pixels. They ignore invalid pixels and
everything outside the array, and return 0 at invalid pixels. Windows and structuring elements are squares with an odd side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Variances below this fraction of the mean square are rounding errors of float64 sums over a window.
_VARIANCE_ERROR = 1e-12


def window_means(values: NDArray[np.floating], valid: NDArray[np.bool_], size_px: int) -> NDArray[np.float64]:
    """Return the mean of the valid pixels in the window around each pixel.

    Each window is summed separately, and in the same order at all pixels. A pixel therefore has bitwise the same mean
    in every crop of the image that contains the pixel's window.

    Parameters
    ----------
    values : (rows, cols, components) float array
        The image. Values of invalid pixels must be finite.
    valid : (rows, cols) bool array
        Mask of the valid pixels.
    size_px : int
        Side of the window in pixels.

    Returns
    -------
    (rows, cols, components) float64 array
        Mean of each component around each pixel; 0 at invalid pixels.

    Examples
    --------
    >>> window_means(np.arange(4.0).reshape(1, 4, 1), np.array([[True, True, True, False]]), 3)[0, :, 0].tolist()
    [0.5, 1.0, 1.5, 0.0]
    """
    count = np.maximum(_window_sums(valid, size_px), 1)
    means = np.empty(values.shape, np.float64)
    for component in range(values.shape[-1]):  # one at a time takes less memory
        means[..., component] = _means(values[..., component], valid, count, size_px)
    return means


def window_deviations(values: NDArray[np.floating], valid: NDArray[np.bool_], size_px: int) -> NDArray[np.float64]:
    """Return the standard deviation of the valid pixels in the window around each pixel.

    The deviation is exactly 0 where all values in the window are equal.

    Parameters
    ----------
    values : (rows, cols, components) float array
        The image. Values of invalid pixels must be finite.
    valid : (rows, cols) bool array
        Mask of the valid pixels.
    size_px : int
        Side of the window in pixels.

    Returns
    -------
    (rows, cols, components) float64 array
        Standard deviation (with divisor n) of each component around each pixel; 0 at invalid pixels.

    Examples
    --------
    >>> window_deviations(np.array([[[1.0], [1.0], [3.0]]]), np.ones((1, 3), bool), 3)[0, :, 0].round(3).tolist()
    [0.0, 0.943, 1.0]
    """
    count = np.maximum(_window_sums(valid, size_px), 1)
    deviations = np.empty(values.shape, np.float64)
    for component in range(values.shape[-1]):
        image = values[..., component].astype(np.float64)
        mean, square = (_means(power, valid, count, size_px) for power in (image, image**2))
        variance = square - mean**2
        deviations[..., component] = np.sqrt(np.where(variance > _VARIANCE_ERROR * square, variance, 0))
    return deviations


def profile(values: NDArray[np.floating], valid: NDArray[np.bool_], size_px: int) -> NDArray[np.floating]:
    """Return the morphological opening and closing of each component. The structuring element is a square.

    Parameters
    ----------
    values : (rows, cols, components) float array
        The image.
    valid : (rows, cols) bool array
        Mask of the valid pixels.
    size_px : int
        Side of the square in pixels.

    Returns
    -------
    (rows, cols, 2 * components) float array
        Channels 2 i and 2 i + 1 are the opening and the closing of component i. The dtype is that of `values`.

    Examples
    --------
    >>> profile(np.array([[[1.0], [5.0], [2.0], [2.0]]]), np.ones((1, 4), bool), 3)[0].tolist()
    [[1.0, 5.0], [2.0, 5.0], [2.0, 2.0], [2.0, 2.0]]
    """
    mask = valid[..., np.newaxis]
    opening = _dilation(_erosion(values, mask, size_px), mask, size_px)
    closing = _erosion(_dilation(values, mask, size_px), mask, size_px)
    return _interleave(opening, closing, mask)


def reconstruction_profile(
    values: NDArray[np.floating], valid: NDArray[np.bool_], size_px: int
) -> NDArray[np.floating]:
    """Return the opening by reconstruction and the closing by reconstruction of each component.

    The method is from Vincent, IEEE TIP 2(2), 1993.

    The opening starts from the erosion of the image by a square. Dilations over the eight neighbours of each pixel are then
    repeated until nothing changes. A dilation never raises a pixel above its value in the image. For the closing, erosion
    and dilation are swapped. A value can depend on the whole image.

    Parameters
    ----------
    values : (rows, cols, components) float array
        The image.
    valid : (rows, cols) bool array
        Mask of the valid pixels.
    size_px : int
        Side of the square in pixels.

    Returns
    -------
    (rows, cols, 2 * components) float array
        Channels 2 i and 2 i + 1 are the opening and the closing of component i. The dtype is that of `values`.

    Examples
    --------
    >>> image = np.array([[[1.0], [5.0], [2.0], [2.0]]])
    >>> reconstruction_profile(image, np.ones((1, 4), bool), 3)[0].tolist()
    [[1.0, 5.0], [2.0, 5.0], [2.0, 2.0], [2.0, 2.0]]
    """
    from skimage.morphology import reconstruction

    mask = valid[..., np.newaxis]
    if not valid.any():
        return np.zeros((*valid.shape, 2 * values.shape[-1]), values.dtype)
    opening, closing = np.empty_like(values), np.empty_like(values)
    for component in range(values.shape[-1]):
        image = values[..., component : component + 1]
        for result, seeds, method, limit in (
            (opening, _erosion(image, mask, size_px), "dilation", image[mask].min()),
            (closing, _dilation(image, mask, size_px), "erosion", image[mask].max()),
        ):
            # Invalid pixels get the minimum (opening) or maximum (closing), which never changes their neighbours.
            seed, under = (np.where(mask, array, limit)[..., 0] for array in (seeds, image))
            result[..., component] = reconstruction(seed, under, method)
    return _interleave(opening, closing, mask)


def _means(
    image: NDArray[np.floating], valid: NDArray[np.bool_], count: NDArray[np.float64], size_px: int
) -> NDArray[np.float64]:
    """Return the window means of a (rows, cols) image. `count` is the number of valid pixels in each window, at least 1."""
    total = _window_sums(np.where(valid, image, 0), size_px)
    return np.where(valid, total / count, 0)


def _window_sums(values: NDArray[np.generic], size_px: int) -> NDArray[np.float64]:
    """Return the sum of the (rows, cols) values in the window around each pixel.

    Each sum is computed separately. `scipy.ndimage.uniform_filter` computes running sums instead.
    """
    from scipy.ndimage import correlate1d

    ones, sums = np.ones(size_px), values.astype(np.float64)
    for axis in (0, 1):
        sums = correlate1d(sums, ones, axis, mode="constant")
    return sums


def _erosion(values: NDArray[np.floating], mask: NDArray[np.bool_], size_px: int) -> NDArray[np.floating]:
    from scipy.ndimage import minimum_filter

    filled = np.where(mask, values, np.inf)
    result: NDArray[np.floating] = minimum_filter(filled, (size_px, size_px, 1), mode="constant", cval=np.inf)
    return result


def _dilation(values: NDArray[np.floating], mask: NDArray[np.bool_], size_px: int) -> NDArray[np.floating]:
    from scipy.ndimage import maximum_filter

    filled = np.where(mask, values, -np.inf)
    result: NDArray[np.floating] = maximum_filter(filled, (size_px, size_px, 1), mode="constant", cval=-np.inf)
    return result


def _interleave(
    opening: NDArray[np.floating], closing: NDArray[np.floating], mask: NDArray[np.bool_]
) -> NDArray[np.floating]:
    rows, cols, components = opening.shape
    both = np.stack([opening, closing], axis=-1).reshape(rows, cols, 2 * components)
    return np.where(mask, both, 0)
