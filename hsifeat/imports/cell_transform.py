"""Transform of positions in a scene to positions in a file of features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference, affine_parts
from hsifeat.scenes.longitudes import columns_per_turn, unwrap, whole_turn
from hsifeat.scenes.pixel_grid import PixelGrid

_EDGE = 1e-6  # width of the edge of a file, in cells


class CellTransform:
    """Transform of positions in a scene, in pixels, to positions in a file, in cells.

    Longitudes repeat after a whole turn, so a place has several positions. The centre of the scene gets the position that is
    nearest to the centre of the file. Other places get the position that is nearest to the centre of the scene. If a turn has
    no whole number of columns, positions beyond the file that have an equal position in the file get that position.

    Parameters
    ----------
    source : Georeference
        Georeference of the file.
    shape : (int, int)
        Number of rows and columns of the file.
    scene : PixelGrid
        A scene with a georeference.
    name : str
        Name of the file, for messages.

    Raises
    ------
    SceneError
        If the scene has no georeference. If the pixels of the scene or of the file have no area.
    """

    def __init__(self, source: Georeference, shape: tuple[int, int], scene: PixelGrid, name: str) -> None:
        from pyproj import Transformer

        if scene.georeference is None:
            raise SceneError(f"{scene.name} has no georeference")
        target = scene.georeference
        self._sides, self._start = affine_parts(source, name)
        self._scene_sides, self._scene_start = affine_parts(target, scene.name)
        differ = source.crs is not None and target.crs is not None and not target.same_crs(source)
        self._transformer = Transformer.from_crs(target.crs, source.crs, always_xy=True) if differ else None
        turn = None if source.crs is None else whole_turn(source.crs)
        centre = self._scene_sides @ (scene.cols / 2, scene.rows / 2) + self._scene_start
        if self._transformer is not None:
            centre = np.array(self._transformer.transform(*centre))
        self._turn = turn if np.isfinite(centre).all() else None
        self._shape, self._moves = shape, self._turn is not None and columns_per_turn(source) is None
        self._first_x = self._shift_x = 0.0
        if self._turn is not None:
            file_centre = self._sides @ (shape[1] / 2, shape[0] / 2) + self._start
            x = unwrap(centre[:1], file_centre[0] - self._turn / 2, self._turn)[0]
            self._shift_x = x - centre[0]
            self._first_x = x - self._turn / 2

    def __call__(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transform positions.

        Parameters
        ----------
        pixels : (2, n) float64 array
            Columns and rows in the scene. The corners of pixels have whole numbers as coordinates.

        Returns
        -------
        (2, n) float64 array
            Columns and rows in the file; not finite for a position without an equivalent in the CRS of the file.
        """
        cells = self._around_centre(pixels)
        if self._turn is None or not self._moves:
            return cells
        turn = np.linalg.solve(self._sides, (self._turn, 0))[:, np.newaxis]
        outside = ~self._is_inside(cells)
        for moved in (cells - turn, cells + turn):
            cells = np.where(outside & self._is_inside(moved), moved, cells)
        return cells

    def _is_inside(self, cells: NDArray[np.float64]) -> NDArray[np.bool_]:
        # The edges of the file do not count, so that a grid that begins there stays continuous.
        sides = np.array(self._shape[::-1])[:, np.newaxis]
        return np.asarray(((cells > _EDGE) & (cells < sides - _EDGE)).all(axis=0))

    def _around_centre(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transform positions to those nearest to the centre of the scene; see `__call__`."""
        # Large map offsets are subtracted before the division, which keeps digits if no CRS has to be transformed.
        if self._transformer is None:
            offset = (self._scene_start - self._start + (self._shift_x, 0))[:, np.newaxis]
            return np.asarray(np.linalg.solve(self._sides, self._scene_sides @ pixels + offset))
        x, y = self._transformer.transform(*(self._scene_sides @ pixels + self._scene_start[:, np.newaxis]))
        points = np.where(np.isfinite([x, y]), [x, y], np.nan)
        points[0] = unwrap(points[0], self._first_x, self._turn)
        return np.asarray(np.linalg.solve(self._sides, points - self._start[:, np.newaxis]))

    def cells_per_pixel(self, scene: PixelGrid) -> NDArray[np.float64]:
        """Return width and height of the pixel at the centre of a scene, in cells of the file, as a (2,) float64 array.

        Raises
        ------
        SceneError
            If the centre of the scene has no equivalent in the CRS of the file.
        """
        centre = np.array([[scene.cols / 2], [scene.rows / 2]])
        corner, right, below = self._around_centre(centre + np.array([[0, 1, 0], [0, 0, 1]])).T
        size = np.maximum(np.abs(right - corner), np.abs(below - corner))
        if not np.isfinite(size).all() or not size.all():
            raise SceneError(f"{scene.name} has no position in the CRS of the features: check the CRS of both files")
        return np.asarray(size)
