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
        """Mask (rows, cols) of the pixels whose values can be read."""
        ...

    def sample(self, plane: PlaneSpec, pixels: PixelCoordinates, window_px: int | None) -> NDArray[np.float32]:
        """Read values at pixels, or means over windows of side `window_px` around them: (n, channels) float32."""
        ...

    def patches(self, plane: PlaneSpec, pixels: PixelCoordinates, side_px: int) -> NDArray[np.float32]:
        """Read the neighbourhoods of pixels: (n, side_px, side_px, channels) float32."""
        ...

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        """Read a window of the scene: (rows, cols, channels) float32."""
        ...

    def to_dask(self, plane: PlaneSpec) -> dask.array.Array:
        """Return the values at a plane's own resolution as a lazy dask array, one task per shard."""
        ...

    def coordinates(self, planes: Iterable[PlaneSpec]) -> dict[str, xarray.Variable]:
        """Return the coordinates of the planes' axes for xarray."""
        ...
