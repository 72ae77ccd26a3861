"""The plane reader protocol: how values of planes are read, whichever pixels a store's planes hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.features.neighbourhoods import PixelCoordinates
from hsifeat.store.layout import PlaneSpec
from hsifeat.types import Window

if TYPE_CHECKING:
    import dask.array
    import xarray


class PlaneReader(Protocol):
    """Reads the planes of a store at scene resolution."""

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Mask of the pixels whose values can be read: (rows, cols) bool."""
        ...

    def sample(self, plane: PlaneSpec, pixels: PixelCoordinates, window_px: int | None) -> NDArray[np.float32]:
        """Read values at pixels, or means over windows around them.

        Parameters
        ----------
        plane : PlaneSpec
            The plane.
        pixels : PixelCoordinates
            Positions of n pixels.
        window_px : int or None
            Side of the windows; None reads the pixels' own values.

        Returns
        -------
        (n, channels) float32 array
            The values.

        Raises
        ------
        StoreError
            The store cannot give these values.
        """
        ...

    def patches(self, plane: PlaneSpec, pixels: PixelCoordinates, side_px: int) -> NDArray[np.float32]:
        """Read the neighbourhoods of pixels.

        Parameters
        ----------
        plane : PlaneSpec
            The plane.
        pixels : PixelCoordinates
            Positions of n pixels.
        side_px : int
            Side of a neighbourhood in pixels.

        Returns
        -------
        (n, side_px, side_px, channels) float32 array
            The values.

        Raises
        ------
        StoreError
            The store cannot give these values.
        """
        ...

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        """Read a window of the scene: (rows, cols, channels) float32."""
        ...

    def to_dask(self, plane: PlaneSpec) -> dask.array.Array:
        """Return a plane at its own resolution as a lazy dask array in its stored dtype, one task per shard.

        The shape is (cell rows, cell cols, channels) where planes cover the scene, and (n, channels) for listed pixels.
        """
        ...

    def coordinates(self, planes: Iterable[PlaneSpec]) -> dict[str, xarray.Variable]:
        """Return the coordinates of the planes' axes for xarray."""
        ...
