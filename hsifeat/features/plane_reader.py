"""Protocol for reading planes. A plane covers the whole scene, or has the features of listed pixels only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.features.neighbourhoods import PixelCoordinates
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.types import Window

if TYPE_CHECKING:
    import dask.array
    import xarray


class PlaneReader(Protocol):
    """Reader of the values that the planes of a store have at the pixels of the scene.

    A plane holds the features of one layer at one timestep.
    """

    @property
    def covers_scene(self) -> bool:
        """Whether the planes of the store cover the whole scene. If not, `read` and `patches` raise an error."""
        ...

    def window_px(self, wanted_px: int) -> int:
        """Return the side in pixels of the windows over which `sample` can average planes.

        If planes cover the scene, the side is `wanted_px`. If the store has features of listed pixels only, the
        store has means over windows of one side, and this side is returned.
        """
        ...

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the pixels at which planes have features."""
        ...

    def sample(self, plane: PlaneSpec, pixels: PixelCoordinates, window_px: int | None) -> NDArray[np.float32]:
        """Read a plane (one layer at one timestep) at pixels, or average the plane over a window around each pixel.

        Parameters
        ----------
        plane : PlaneSpec
            Plane to read.
        pixels : PixelCoordinates
            Positions of n pixels.
        window_px : int or None
            Side of the windows in pixels; None reads the values at the pixels.

        Returns
        -------
        (n, channels) float32 array
            Values or window means at the n pixels, in the order of `pixels`.

        Raises
        ------
        StoreError
            If the store has no features at a pixel. If a store of listed pixels has no means over windows of side
            `window_px`.
        """
        ...

    def patches(self, plane: PlaneSpec, pixels: PixelCoordinates, side_px: int) -> NDArray[np.float32]:
        """Read a plane (one layer at one timestep) in the square neighbourhood of each pixel.

        Parameters
        ----------
        plane : PlaneSpec
            Plane to read.
        pixels : PixelCoordinates
            Positions of n pixels.
        side_px : int
            Side of a neighbourhood in pixels, an odd number.

        Returns
        -------
        (n, side_px, side_px, channels) float32 array
            Values of each neighbourhood, in the order of `pixels`.

        Raises
        ------
        StoreError
            If the planes of the store do not cover the scene, or `side_px` is even.
        """
        ...

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        """Read a plane (one layer at one timestep) in a window of the scene.

        Returns
        -------
        (rows, cols, channels) float32 array
            Values at the pixels of the window.
        """
        ...

    def to_dask(self, plane: PlaneSpec) -> dask.array.Array:
        """Return a plane (one layer at one timestep) as a lazy dask array in its stored dtype and resolution.

        The array has one dask task per shard. Its shape is (cell rows, cell cols, channels) if planes cover the scene, and
        (n, channels) for n listed pixels.
        """
        ...

    def coordinates(self, planes: Iterable[PlaneSpec]) -> dict[str, xarray.Variable]:
        """Return the coordinates of the planes' axes, as variables of an xarray dataset."""
        ...
