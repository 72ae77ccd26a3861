"""Guided filter that smooths the probabilities of many classes with one guide, in single precision."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from hsifeat.runtime.resources import available_cores


class GuidedFilter:
    """Guided filter (He, Sun and Tang, ECCV 2010) that smooths the probabilities of many classes with one guide.

    Terms that depend only on the guide are computed once. The results equal `classifiers.smoothing.guided.GuidedSmoothing` up
    to the precision of float32.

    Parameters
    ----------
    guide : (rows, cols, K) float array
        Image of K channels that guides the smoothing; 0 at invalid pixels.
    valid : (rows, cols) bool array
        Valid pixels.
    radius : int
        Radius of a window in pixels. The side of a window is ``2 * radius + 1`` pixels.
    epsilon : float
        Regularisation: number added to the variance of each guide channel in each window. A larger number smooths more.
    """

    def __init__(self, guide: NDArray[np.floating], valid: NDArray[np.bool_], radius: int, epsilon: float) -> None:
        self._side = 2 * radius + 1
        self._valid = valid.astype(np.float32)
        self._guide = np.ascontiguousarray(np.moveaxis(guide, 2, 0), np.float32)
        self._pixels = np.maximum(self._box(self._valid), 1)
        self._mean_guide = self._mean(self._guide)
        channels = len(self._guide)
        covariance = np.empty((*valid.shape, channels, channels), np.float64)
        for k in range(channels):
            products = self._mean(self._guide[k] * self._guide) - self._mean_guide[k] * self._mean_guide
            covariance[..., k, :] = np.moveaxis(products, 0, 2)
        inverse = np.linalg.inv(covariance + epsilon * np.eye(channels))
        self._inverse = np.ascontiguousarray(np.moveaxis(inverse, (2, 3), (0, 1)), np.float32)

    def smooth(self, probabilities: NDArray[np.float32], check: Callable[[], None]) -> NDArray[np.float32]:
        """Return the filtered probabilities, which sum to 1 at valid pixels.

        Parameters
        ----------
        probabilities : (C, rows, cols) float32 array
            Class probabilities; 0 at invalid pixels.
        check : callable
            Function that is called before each class is filtered. It can raise an exception to stop the work.

        Returns
        -------
        (C, rows, cols) float32 array
            Filtered probabilities; 0 at invalid pixels.
        """

        def smooth_class(values: NDArray[np.float32]) -> NDArray[np.float32]:
            check()
            return self._smooth_class(values)

        with ThreadPoolExecutor(available_cores()) as pool:
            smoothed: NDArray[np.float32] = np.stack(list(pool.map(smooth_class, probabilities)))
        total = smoothed.sum(axis=0)
        smoothed /= np.where(total > 0, total, np.float32(1))
        return smoothed

    def _smooth_class(self, p: NDArray[np.float32]) -> NDArray[np.float32]:
        mean_p = self._mean(p)
        joint = self._mean(self._guide * p) - self._mean_guide * mean_p
        slope = np.einsum("klij,lij->kij", self._inverse, joint)  # equation 5, for several channels
        intercept = mean_p - (self._mean_guide * slope).sum(axis=0)  # equation 6
        slope, intercept = self._mean(slope * self._valid), self._mean(intercept * self._valid)
        values = (self._guide * slope).sum(axis=0) + intercept  # equation 8
        return np.asarray(np.maximum(values, 0) * self._valid, np.float32)

    def _mean(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._box(values) / self._pixels, np.float32)

    def _box(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        from scipy.ndimage import uniform_filter1d

        for axis in (-1, -2):
            values = uniform_filter1d(values, self._side, axis=axis, mode="constant")
        return np.asarray(values * np.float32(self._side**2), np.float32)
