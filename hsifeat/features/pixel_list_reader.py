"""Read planes of stores whose features were extracted only at a list of pixels (``--pixels``)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.features import xarray_view
from hsifeat.features.neighbourhoods import PixelCoordinates, group_indices
from hsifeat.formatting import format_count
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.types import Window

if TYPE_CHECKING:
    import dask.array
    import xarray

_ADVICE = "extract the scene without `pixels` for all of it"


class PixelListReader:
    """Reader of planes of a store that holds features of listed pixels only.

    The features of each listed pixel were computed in a separate window around the pixel. The store holds the features
    at the pixel, and the means of the features over the window.

    Parameters
    ----------
    store : Store
        Store of the planes.
    rows, cols : (n,) integer arrays
        Row and column of each listed pixel, in row-major order.
    stored_px : int
        Side in pixels of the window around each pixel.
    """

    covers_scene: ClassVar = False

    def __init__(self, store: Store, rows: NDArray[np.intp], cols: NDArray[np.intp], stored_px: int) -> None:
        self._store, self._rows, self._cols, self._stored_px = store, rows, cols, stored_px

    def window_px(self, wanted_px: int) -> int:  # noqa: ARG002  # one side is stored
        """Return the side of the windows whose means are stored. See `PlaneReader.window_px`."""
        return self._stored_px

    @cached_property
    def readable(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the listed pixels, which can't be changed."""
        mask = np.zeros((self._store.manifest.scene.rows, self._store.manifest.scene.cols), bool)
        mask[self._rows, self._cols] = True
        mask.flags.writeable = False
        return mask

    def sample(self, plane: PlaneSpec, pixels: PixelCoordinates, window_px: int | None) -> NDArray[np.float32]:
        """Read the values at listed pixels, or the means over windows around these pixels. See `PlaneReader.sample`.

        Raises
        ------
        StoreError
            If a pixel is not listed, or the store has no means over windows of side `window_px`.
        """
        if window_px not in {None, self._stored_px}:
            raise StoreError(
                f"{self._store.location.name} holds means over windows of {self._stored_px} px, not of {window_px} px: "
                "extract the scene without `pixels` for windows of any side"
            )
        indices = self._indices(pixels)
        values = np.empty((len(indices), plane.channels), np.float32)
        part = 0 if window_px is None else 1
        array = self._store.plane(plane.id)
        for members in group_indices(indices // (array.shards or array.chunks)[0]):
            first, last = int(indices[members].min()), int(indices[members].max())
            block = self._store.read(plane.id, Window(first, part, last + 1 - first, 1))
            values[members] = block[indices[members] - first, 0]
        return values

    def patches(self, plane: PlaneSpec, pixels: PixelCoordinates, side_px: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Raise `StoreError`, since the store has no features of neighbouring pixels. See `PlaneReader.patches`."""
        raise StoreError(f"{self._contents}, so {plane.id} has no neighbourhoods of {side_px} px: {_ADVICE}")

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        """Raise `StoreError`, since the planes do not cover the scene. See `PlaneReader.read`."""
        raise StoreError(f"{self._contents}, so {plane.id} can't be read as a map of {window}: {_ADVICE}")

    def to_dask(self, plane: PlaneSpec) -> dask.array.Array:
        """Return the values at the listed pixels as a lazy (n, channels) dask array of the plane's stored dtype."""
        values: dask.array.Array = xarray_view.to_dask(self._store.plane(plane.id))[:, 0]
        return values

    def coordinates(self, planes: Iterable[PlaneSpec]) -> dict[str, xarray.Variable]:  # noqa: ARG002  # the same for all planes
        """Return the rows and columns of the listed pixels, and the labels of the axis ``part``.

        The labels are ``pixel`` for the value at a pixel, and ``window mean`` for the mean over the window of the pixel.
        """
        import xarray

        coordinates = {
            axis: xarray.Variable(
                "pixel", indices, {"long_name": f"{axis} of the pixel in the scene, from 0", "units": "1"}
            )
            for axis, indices in (("row", self._rows), ("col", self._cols))
        }
        attributes = {"long_name": "the value at the pixel, or the mean over its window"}
        coordinates["part"] = xarray.Variable("part", ["pixel", "window mean"], attributes)
        return coordinates

    def _indices(self, pixels: PixelCoordinates) -> NDArray[np.intp]:
        """Return the index of each pixel in the list of pixels."""
        width = self._store.manifest.scene.cols
        stored_numbers, numbers = self._rows * width + self._cols, pixels.rows * width + pixels.cols
        indices = np.minimum(np.searchsorted(stored_numbers, numbers), len(stored_numbers) - 1)
        missing = stored_numbers[indices] != numbers
        if missing.any():
            row, col = (int(axis[np.argmax(missing)]) for axis in (pixels.rows, pixels.cols))
            raise StoreError(f"{self._contents}, not around pixel ({row}, {col}): {_ADVICE}")
        return indices

    @property
    def _contents(self) -> str:
        return f"{self._store.location.name} holds windows around {format_count(len(self._rows), 'pixel')} only"
