"""Features of another grid or CRS, interpolated on the grid of a scene."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hsifeat.imports.cell_transform import CellTransform
from hsifeat.imports.feature_map import FeatureMap
from hsifeat.imports.placed_features import BLOCK_CELLS, PlacedFeatures
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.pixel_grid import PixelGrid
from hsifeat.types import Window

# Maximum number of points along a side of a cell that are averaged.
_MAX_POINTS = 16


class ResampledFeatures(PlacedFeatures):
    """Features of another grid, interpolated bilinearly at the centre of each cell of the plane.

    If cells of the file are smaller than cells of the plane, the values at up to 16 x 16 points in each cell of the plane
    are averaged. As in GDAL, cells of the file that have no value get no weight in the interpolation. A point in a cell of
    the file without a value has no value.

    The coordinates of every point are transformed with pyproj. `rasterio.warp.reproject` would transform only some points,
    and interpolate the coordinates of the others.

    Parameters
    ----------
    features : FeatureMap
        Features on their own grid.
    source, target : Georeference
        Georeferences of the features and of the scene. A missing CRS is taken to be that of the other one.
    scene : PixelGrid
        The scene.
    stride : int
        Side of a cell of the plane, in pixels of the scene.
    """

    def __init__(
        self, features: FeatureMap, source: Georeference, scene: PixelGrid, target: Georeference, stride: int
    ) -> None:
        super().__init__(features, scene.rows, scene.cols, stride)
        self._names = (source.crs_name, target.crs_name)
        self._same_crs = source.crs is None or target.crs is None or target.same_crs(source)
        self._transform = CellTransform(source, features.shape, scene, features.source)
        self._cells_per_pixel = self._transform.cells_per_pixel(scene)
        self._points = min(int(np.ceil(self._cells_per_pixel.max() * stride - 1e-6)), _MAX_POINTS)

    @property
    def rule(self) -> str:
        """How the features were placed, in words."""
        mean = "" if self._points == 1 else f", mean of {self._points} x {self._points} points"
        if self._same_crs:
            return f"resampled bilinearly{mean}"
        return f"reprojected bilinearly from {self._names[0]} to {self._names[1]}{mean}"

    @property
    def spread_px(self) -> int:
        """Number of pixels that resampling adds to the side of the square window on which the features of a cell depend."""
        return 2 * int(np.ceil(1 / self._cells_per_pixel.min())) + self.stride

    @property
    def block_cells(self) -> int:
        """Maximum number of cells of the file that are read at a time for one block of the plane."""
        in_block = int(np.prod(BLOCK_CELLS * self.stride * self._cells_per_pixel + 2))
        return min(max(in_block, BLOCK_CELLS**2), self._part_cells)

    def _place(self, window: Window) -> NDArray[np.float32]:
        k = self._points
        rows, cols = np.mgrid[window.slices]
        # (2, k * k, n) positions in cells of the file.
        steps = (np.arange(k) + 0.5) / k
        offsets = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        pixels = (np.stack((cols.ravel(), rows.ravel()))[:, np.newaxis] + offsets.T[:, :, np.newaxis]) * self.stride
        at = self._transform(pixels.reshape(2, -1)).reshape(2, k * k, -1)
        height, width = self.features.shape
        with np.errstate(invalid="ignore"):
            cols = at[0]
            if self.features.columns_per_turn is not None:
                cols = np.where((cols < 0) | (cols >= width), cols % self.features.columns_per_turn, cols)
            inside = (cols >= 0) & (cols < width) & (at[1] >= 0) & (at[1] < height)
        total = np.zeros((pixels.shape[2], self.features.channels))
        count = np.zeros(pixels.shape[2], np.int64)
        first = np.floor(np.where(inside, at, 0) - 0.5).astype(int)
        for part in _split_far_cells(first, inside, self.block_cells):
            left, top = first[:, part].min(axis=1)
            right, bottom = first[:, part].max(axis=1) + 2
            values = self.features.read(Window(int(top), int(left), int(bottom - top), int(right - left)))
            for number in np.flatnonzero(part.any(axis=1)):
                point, there = at[:, number], part[number]
                point_values = _interpolate(values, point[1, there] - top, point[0, there] - left)
                present = np.isfinite(point_values[:, 0])
                cells = np.flatnonzero(there)[present]
                total[cells] += point_values[present]
                count[cells] += 1
        mean = np.full(total.shape, np.nan)
        np.divide(total, count[:, np.newaxis], out=mean, where=np.broadcast_to(count[:, np.newaxis] > 0, total.shape))
        return mean.astype(np.float32).reshape(window.rows, window.cols, -1)


def _split_far_cells(cells: NDArray[np.int64], chosen: NDArray[np.bool_], limit: int) -> Iterator[NDArray[np.bool_]]:
    """Split positions into parts, so that a window of at most `limit` cells holds the 2 x 2 cells at every position of a part.

    Neighbouring pixels may lie far from each other in the file: at both ends of a map, or around a pole.

    Parameters
    ----------
    cells : (2, ...) int array
        Column and row of the first of the 2 x 2 cells.
    chosen : (...) bool array
        Positions that are split.
    limit : int
        Maximum number of cells; at least 4.

    Yields
    ------
    (...) bool array
        Positions of one part.
    """
    if not chosen.any():
        return
    low, high = cells[:, chosen].min(axis=1), cells[:, chosen].max(axis=1)
    if np.prod(high - low + 2) <= limit:
        yield chosen
        return
    axis = np.argmax(high - low)
    lower = cells[axis] <= (low + high)[axis] // 2
    yield from _split_far_cells(cells, chosen & lower, limit)
    yield from _split_far_cells(cells, chosen & ~lower, limit)


def _interpolate(
    values: NDArray[np.float32], rows: NDArray[np.float64], cols: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate bilinearly between the centres of the four nearest cells.

    Parameters
    ----------
    values : (cell rows, cell cols, channels) float32 array
        Features; NaN in all channels of a cell without a value.
    rows, cols : (n,) float64 arrays
        Positions in cells; the centre of the first cell is at 0.5, 0.5.

    Returns
    -------
    (n, channels) float64 array
        Features; NaN at positions in a cell without a value.
    """
    top, left = np.floor(rows - 0.5).astype(int), np.floor(cols - 0.5).astype(int)
    down, right = rows - 0.5 - top, cols - 0.5 - left
    total, weights = np.zeros((len(rows), values.shape[2])), np.zeros((len(rows), 1))
    for row, weight_row in ((top, 1 - down), (top + 1, down)):
        for col, weight_col in ((left, 1 - right), (left + 1, right)):
            corner = values[row, col]
            present = np.isfinite(corner[:, :1])
            weight = (weight_row * weight_col)[:, np.newaxis] * present
            total += np.where(present, corner, np.float32(0)) * weight
            weights += weight
    own = np.isfinite(values[np.floor(rows).astype(int), np.floor(cols).astype(int), :1])
    result = np.full(total.shape, np.nan)
    np.divide(total, weights, out=result, where=np.broadcast_to(own, total.shape))
    return result
