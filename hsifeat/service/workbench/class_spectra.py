"""Mean and standard deviation of the spectra of each class, kept in memory until the labels change."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.features.features import Features

_PIXELS_PER_CLASS = 200
_KEPT_PIXELS = 20_000


@dataclass(frozen=True, eq=False)
class ClassSpectrum:
    """Mean and standard deviation of the spectra of the labelled pixels of a class.

    Attributes
    ----------
    number : int
        Class number.
    mean, deviation : (bands,) float32 arrays
        Mean and standard deviation of each band, in the units of the scene's cube.
    """

    number: int
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


class ClassSpectra:
    """Cache of the `ClassSpectrum` objects of one scene, for all its label sets. The methods are thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[int, list[ClassSpectrum]]] = {}
        self._pixels: dict[int, NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    def of_classes(
        self, features: Features, set_id: int, version: int, labels: NDArray[np.integer]
    ) -> list[ClassSpectrum]:
        """Return the mean and the standard deviation of the spectra of each labelled class.

        If a class has more than 200 labelled pixels, 200 of them are read, evenly spaced in row-major order.

        Parameters
        ----------
        features : Features
            Features of a store of the scene.
        set_id, version : int
            Number of the label set, and its version, which changes with every edit.
        labels : (rows, cols) integer array
            Class number of each pixel; 0 for unlabelled pixels.
        """
        with self._lock:
            kept = self._kept.get(set_id)
            if kept is not None and kept[0] == version:
                return kept[1]
            labelled = np.where(features.valid, labels, 0).ravel()
            spectra = []
            for number in np.unique(labelled[labelled > 0]):
                pixels = np.flatnonzero(labelled == number)
                chosen = np.linspace(0, len(pixels) - 1, min(len(pixels), _PIXELS_PER_CLASS)).astype(int)
                values = self._read(features, pixels[chosen])
                spectra.append(ClassSpectrum(int(number), np.nanmean(values, axis=0), np.nanstd(values, axis=0)))
            self._kept[set_id] = version, spectra
            return spectra

    def _read(self, features: Features, pixels: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the spectra of the pixels with these flat indices, (n, bands) float32. Recently read spectra are kept in memory."""
        if len(self._pixels) > _KEPT_PIXELS:
            self._pixels.clear()
        missing = np.array([pixel for pixel in pixels.tolist() if pixel not in self._pixels], np.intp)
        if len(missing):
            spectra = features.spectra(*np.divmod(missing, features.shape[1]))
            self._pixels.update(zip(missing.tolist(), spectra, strict=True))
        return np.stack([self._pixels[pixel] for pixel in pixels.tolist()])
