"""Restore features that are stored as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.types import Cube, Window


class Dequantiser(Protocol):
    """Interface of functions that restore quantised values."""

    def __call__(self, stored: NDArray[np.generic], window: Window) -> NDArray[np.float32]:
        """Restore the stored values of a window of a feature file, an array of shape (rows, cols, channels)."""
        ...


def alphaearth(stored: NDArray[np.generic], window: Window) -> NDArray[np.float32]:  # noqa: ARG001  # all cells alike
    """Restore the 8-bit embeddings of AlphaEarth: ``sign(v) * (abs(v) / 127.5) ** 2`` for each stored value v.

    >>> alphaearth(np.array([[[-127, 0, 64]]], np.int8), Window(0, 0, 1, 1)).round(3).tolist()
    [[[-0.9919999837875366, 0.0, 0.25200000405311584]]]
    """
    values = np.asarray(stored, np.float32) / np.float32(127.5)
    return np.asarray(values * np.abs(values))


@dataclass(frozen=True, eq=False)
class ScaleFactors:
    """Factors by which quantised values are multiplied. TESSERA stores such factors with its features.

    Attributes
    ----------
    factors : array-like of shape (rows, cols) or (rows, cols, channels)
        One factor for each cell, or for each value.
    """

    factors: Cube

    def __call__(self, stored: NDArray[np.generic], window: Window) -> NDArray[np.float32]:
        """Multiply the stored values of a window by their factors."""
        factors = np.asarray(self.factors[window.slices], np.float32)
        return np.asarray(np.asarray(stored, np.float32) * (factors[..., np.newaxis] if factors.ndim == 2 else factors))


def scale_factors(factors: Cube, shape: tuple[int, ...], name: str, feature_name: str) -> ScaleFactors:
    """Check the shape of factors, and return a function that multiplies values by the factors.

    Parameters
    ----------
    factors : array-like of shape (rows, cols) or (rows, cols, channels)
        Factors of any real dtype.
    shape : tuple of int
        Rows, columns and channels of the features.
    name, feature_name : str
        Files of the factors and of the features, for messages.

    Raises
    ------
    SceneError
        If the factors do not fit the shape of the features.
    """
    if tuple(factors.shape) not in {tuple(shape[:2]), tuple(shape)}:
        found, wanted = (" x ".join(map(str, sides)) for sides in (factors.shape, shape))
        raise SceneError(
            f"{name}: {found} factors do not fit the {wanted} values (rows x cols x channels) of {feature_name}: name a file with "
            "one factor per cell or per value with `dequantise`"
        )
    return ScaleFactors(factors)
