"""What a projection is fitted on and applied to: the interface of a spectral image, and its plainest implementation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import Cube


class SpectralImage(Protocol):
    """An image whose pixels are spectra. A `Scene` is one, and so is an `ArrayImage`."""

    @property
    def name(self) -> str:
        """Name of the image in messages."""
        ...

    @property
    def cube(self) -> Cube:
        """Values, array-like of shape (rows, cols, bands), sliced like a NumPy array."""
        ...

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Pixels that hold data, (rows, cols) bool."""
        ...

    @property
    def wavelengths_nm(self) -> NDArray[np.float64] | None:
        """Centre wavelengths (bands,) float64 in nm, if they are known."""
        ...

    @property
    def rows(self) -> int:
        """Height in pixels."""
        ...

    @property
    def cols(self) -> int:
        """Width in pixels."""
        ...

    @property
    def bands(self) -> int:
        """Number of bands."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayImage:
    """A spectral image of nothing but values and valid pixels, such as a companion image.

    Attributes
    ----------
    name : str
        Name of the image in messages.
    cube : array-like of shape (rows, cols, bands)
        Values, sliced like a NumPy array.
    valid : (rows, cols) bool array
        Pixels that hold data.
    wavelengths_nm : (bands,) float64 array or None
        Centre wavelengths in nm.
    """

    name: str
    cube: Cube
    valid: NDArray[np.bool_]
    wavelengths_nm: NDArray[np.float64] | None = None

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return int(self.cube.shape[0])

    @property
    def cols(self) -> int:
        """Width in pixels."""
        return int(self.cube.shape[1])

    @property
    def bands(self) -> int:
        """Number of bands."""
        return int(self.cube.shape[2])
