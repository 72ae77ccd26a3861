"""Restore features that are stored as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.types import Cube, Window


class Dequantiser(Protocol):
    """Interface of functions that restore quantised values."""

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest allowed stored value. Stored values must be whole numbers."""
        ...

    def __call__(self, stored: NDArray[np.generic], window: Window) -> NDArray[np.float32]:
        """Restore the stored values of a window of a feature file, an array of shape (rows, cols, channels)."""
        ...


@dataclass(frozen=True)
class AlphaEarth:
    """Restores the 8-bit embeddings of AlphaEarth: ``sign(v) * (abs(v) / 127.5) ** 2`` for each stored value v.

    >>> AlphaEarth()(np.array([[[-127, 0, 64]]], np.int8), Window(0, 0, 1, 1)).round(3).tolist()
    [[[-0.9919999837875366, 0.0, 0.25200000405311584]]]
    """

    limits: tuple[float, float] = (-128, 127)

    def __call__(self, stored: NDArray[np.generic], window: Window) -> NDArray[np.float32]:  # noqa: ARG002  # all cells alike
        """Restore the stored values of a window."""
        values = np.asarray(stored, np.float32) / np.float32(127.5)
        return np.asarray(values * np.abs(values))


@dataclass(frozen=True, eq=False)
class ScaleFactors:
    """Factors by which quantised values are multiplied. TESSERA stores such factors with its features.

    Attributes
    ----------
    factors : array-like of shape (rows, cols) or (rows, cols, channels)
        One factor for each cell, or for each value.
    limits : tuple of 2 floats
        Smallest and largest allowed stored value.
    """

    factors: Cube
    limits: tuple[float, float] = (-np.inf, np.inf)

    def __call__(self, stored: NDArray[np.generic], window: Window) -> NDArray[np.float32]:
        """Multiply the stored values of a window by their factors."""
        factors = np.asarray(self.factors[window.slices], np.float32)
        return np.asarray(np.asarray(stored, np.float32) * (factors[..., np.newaxis] if factors.ndim == 2 else factors))


def check_quantised(stored: NDArray[Any], present: NDArray[np.bool_], limits: tuple[float, float], name: str) -> None:
    """Raise `SceneError` unless the stored values of features are whole numbers within limits.

    Parameters
    ----------
    stored : (rows, cols, channels) array
        Values as stored.
    present : (rows, cols) bool array
        Cells whose values are checked.
    limits : tuple of 2 floats
        Smallest and largest allowed value.
    name : str
        Name of the features, for the message.
    """
    low, high = limits
    if stored.dtype.kind in "iu" and low <= np.iinfo(stored.dtype).min and np.iinfo(stored.dtype).max <= high:
        return
    stored = stored[present]
    wrong = (stored < low) | (stored > high)
    if stored.dtype.kind == "f":
        wrong |= stored != np.rint(stored)
    if wrong.any():
        wanted = "whole numbers" if np.isinf(low) else f"whole numbers from {low} to {high}"
        raise SceneError(
            f"{name}: quantised values are {wanted}; found {stored[wrong].flat[0]:g}: leave out `dequantise` if the values are dequantised "
            "already, such as AlphaEarth embeddings that Earth Engine exported, or read unsigned bytes as signed ones, as array.view('int8')"
        )


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
