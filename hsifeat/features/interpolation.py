"""Read planes that cover the whole scene, by bilinear interpolation from their cells to scene pixels.

A plane holds the features of one layer at one timestep. A cell of a plane covers ``stride`` x ``stride`` scene pixels.
Values equal ``torch.nn.functional.interpolate(plane, scale_factor=stride, mode="bilinear", align_corners=False)``.
Interpolation runs block by block, so that the interpolated plane is never in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hsifeat.features import xarray_view
from hsifeat.features.cf_grid import cell_centres, grid_mapping, grid_mapping_name
from hsifeat.features.neighbourhoods import PixelCoordinates, read_neighbourhoods, window_means
from hsifeat.features.stored_scene import georeference_of
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.types import Window

if TYPE_CHECKING:
    import dask.array
    import xarray


class ScenePlaneReader:
    """Reader of planes that cover the whole scene.

    Parameters
    ----------
    store : Store
        Store of the planes.
    """

    covers_scene: ClassVar = True

    def __init__(self, store: Store) -> None:
        self._store = store

    def window_px(self, wanted_px: int) -> int:
        """Return `wanted_px`, since windows of any side can be averaged. See `PlaneReader.window_px`."""
        return wanted_px

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(rows, cols) bool array of the valid pixels of the scene."""
        return self._store.valid

    def sample(self, plane: PlaneSpec, pixels: PixelCoordinates, window_px: int | None) -> NDArray[np.float32]:
        """Interpolate a plane at pixels, or average the plane over a window around each pixel. See `PlaneReader.sample`."""
        if window_px is not None:
            return window_means(
                pixels, window_px, lambda window: self.read(plane, window), plane.channels, self.readable
            )
        array = self._store.plane(plane.id)
        height, width, _ = array.shape
        y, x = _Neighbours.find(pixels.rows, plane.stride, height), _Neighbours.find(pixels.cols, plane.stride, width)
        values = np.empty((len(pixels.rows), plane.channels), np.float32)
        side = (array.shards or array.chunks)[0]
        for members, _ in PixelCoordinates(y.low, x.low).by_block(side):
            top, left = int(y.low[members].min()), int(x.low[members].min())
            bottom, right = int(y.high[members].max()) + 1, int(x.high[members].max()) + 1
            cells = self._store.read(plane.id, Window(top, left, bottom - top, right - left))
            y0, y1, x0, x1 = y.low[members] - top, y.high[members] - top, x.low[members] - left, x.high[members] - left
            dy, dx = y.fraction[members, None], x.fraction[members, None]
            if plane.stride == 1:
                values[members] = cells[y0, x0]
            else:
                upper = cells[y0, x0] * (1 - dx) + cells[y0, x1] * dx
                lower = cells[y1, x0] * (1 - dx) + cells[y1, x1] * dx
                values[members] = upper * (1 - dy) + lower * dy
        return values

    def patches(self, plane: PlaneSpec, pixels: PixelCoordinates, side_px: int) -> NDArray[np.float32]:
        """Interpolate a plane in the neighbourhoods of pixels. See `PlaneReader.patches`."""
        return read_neighbourhoods(
            pixels, side_px, lambda window: self.read(plane, window), plane.channels, self.readable
        )

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        """Interpolate a plane in a window of the scene. See `PlaneReader.read`."""
        array = self._store.plane(plane.id)
        y = _Neighbours.find(np.arange(window.row, window.row + window.rows), plane.stride, array.shape[0])
        x = _Neighbours.find(np.arange(window.col, window.col + window.cols), plane.stride, array.shape[1])
        top, left = int(y.low[0]), int(x.low[0])
        cells = self._store.read(plane.id, Window(top, left, int(y.high[-1]) + 1 - top, int(x.high[-1]) + 1 - left))
        if plane.stride == 1:
            return cells
        dy, dx = y.fraction[:, None, None], x.fraction[:, None]
        rows = cells[y.low - top] * (1 - dy) + cells[y.high - top] * dy
        return np.asarray(rows[:, x.low - left] * (1 - dx) + rows[:, x.high - left] * dx)

    def to_dask(self, plane: PlaneSpec) -> dask.array.Array:
        """Return a plane as a lazy (cell rows, cell cols, channels) dask array of its stored dtype."""
        return xarray_view.to_dask(self._store.plane(plane.id))

    def coordinates(self, planes: Iterable[PlaneSpec]) -> dict[str, xarray.Variable]:
        """Return the cell centres along each spatial axis of the planes, and the CF grid mappings (CRS and transform).

        Planes of stride 1 have the axes of the scene, which are not among these coordinates.
        """
        georeference = georeference_of(self._store)
        coordinates = {}
        for plane in planes:
            array = self._store.plane(plane.id)
            metadata: Any = array.metadata
            for axis, cells in zip(metadata.dimension_names[:2], array.shape, strict=False) if plane.stride > 1 else ():
                coordinates[axis] = cell_centres(axis, cells, plane.stride, georeference)
            if georeference is not None:
                coordinates[grid_mapping_name(plane.stride)] = grid_mapping(georeference, plane.stride)
        return coordinates


@dataclass(frozen=True)
class _Neighbours:
    """The two cells nearest to each pixel along one axis, for linear interpolation at n pixels.

    Attributes
    ----------
    low, high : (n,) integer arrays
        Indices of the cells before and after each pixel's centre.
    fraction : (n,) float32 array
        Distance of the pixel's centre from the centre of the cell `low`, in cells. It is the weight of the cell `high`.
    """

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    fraction: NDArray[np.float32]

    @classmethod
    def find(cls, pixels: NDArray[np.intp], stride: int, cells: int) -> _Neighbours:
        centre = np.maximum((pixels + 0.5) / stride - 0.5, 0)
        low = np.minimum(centre.astype(np.intp), cells - 1)
        return cls(low, np.minimum(low + (centre > low), cells - 1), (centre - low).astype(np.float32))
