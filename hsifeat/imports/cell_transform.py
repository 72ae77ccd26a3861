"""Transform of positions in a scene to positions in a file of features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference, affine_parts
from hsifeat.scenes.longitudes import columns_per_turn, unwrap, whole_turn
from hsifeat.scenes.map_positions import PositionTransformer
from hsifeat.scenes.pixel_grid import PixelGrid

_EDGE = 1e-6  # width of the edge of a file, in cells
# Number of sampled positions along each side of a scene. An odd number includes the centre.
_SAMPLES = 33


class CellTransform:
    """Transform of positions in a scene, in pixels, to positions in a file, in cells.

    Longitudes repeat after a whole turn, so a place has several positions. The centre of the scene gets the position that is
    nearest to the centre of the file. Other places get the position that is nearest to the centre of the scene. If a turn has
    no whole number of columns, positions beyond the file that have an equal position in the file get that position. If the
    centre of the scene is off the map, the nearest place on the map replaces it.

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
        If the scene has no georeference. If the pixels of the scene or of the file have no area. If no transformation between
        the CRS of the scene and of the file is known.
    """

    def __init__(self, source: Georeference, shape: tuple[int, int], scene: PixelGrid, name: str) -> None:
        if scene.georeference is None:
            raise SceneError(f"{scene.name} has no georeference")
        target = scene.georeference
        self._sides, self._start = affine_parts(source, name)
        self._scene_sides, self._scene_start = affine_parts(target, scene.name)
        self._to_source = None
        if source.crs is not None and target.crs is not None and not target.same_crs(source):
            self._to_source = PositionTransformer(target.crs, source.crs, (f"the scene {scene.name}", name))
        turn = None if source.crs is None else whole_turn(source.crs)
        samples = self._map_positions(self._samples(scene))
        samples = samples[:, np.isfinite(samples).all(axis=0)]
        centre = samples[:, 0] if samples.size else np.full(2, np.nan)
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

    @staticmethod
    def _samples(scene: PixelGrid) -> NDArray[np.float64]:
        """Return positions of a scene in pixels, sorted by the distance to its centre, as a (2, n) array."""
        shares = np.linspace(-0.5, 0.5, _SAMPLES)
        sides = np.array([[scene.cols], [scene.rows]])
        offsets = np.stack(np.meshgrid(shares, shares)).reshape(2, -1) * sides
        return np.asarray(sides / 2 + offsets[:, np.argsort(np.hypot(*offsets), kind="stable")])

    def _map_positions(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transform positions in the scene to coordinates in the CRS of the file; longitudes may differ by whole turns."""
        points = self._scene_sides @ pixels + self._scene_start[:, np.newaxis]
        return points if self._to_source is None else self._to_source(points)

    def _is_inside(self, cells: NDArray[np.float64]) -> NDArray[np.bool_]:
        # The edges of the file do not count, so that a grid that begins there stays continuous.
        sides = np.array(self._shape[::-1])[:, np.newaxis]
        return np.asarray(((cells > _EDGE) & (cells < sides - _EDGE)).all(axis=0))

    def _around_centre(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transform positions to those nearest to the centre of the scene; see `__call__`."""
        # Large map offsets are subtracted before the division, which keeps digits if no CRS has to be transformed.
        if self._to_source is None:
            offset = (self._scene_start - self._start + (self._shift_x, 0))[:, np.newaxis]
            return np.asarray(np.linalg.solve(self._sides, self._scene_sides @ pixels + offset))
        points = self._map_positions(pixels)
        points[0] = unwrap(points[0], self._first_x, self._turn)
        return np.asarray(np.linalg.solve(self._sides, points - self._start[:, np.newaxis]))

    def cells_per_pixel(self, scene: PixelGrid) -> NDArray[np.float64]:
        """Return the median width and height of the pixels of a scene, in cells of the file, as a (2,) float64 array.

        Raises
        ------
        SceneError
            If no position in the scene has an equivalent in the CRS of the file.
        """
        samples = self._samples(scene)
        here = self._around_centre(samples)
        right, left, below, above = (
            np.abs(self._around_centre(samples + np.array(step)[:, np.newaxis]) - here)
            for step in ((1, 0), (-1, 0), (0, 1), (0, -1))
        )
        # If the map ends beside a position, the step to one side leads to the other end of the map or off the map.
        sizes = np.maximum(np.fmin(right, left), np.fmin(below, above))
        sizes = sizes[:, np.isfinite(sizes).all(axis=0)]
        size = np.median(sizes, axis=1) if sizes.size else np.zeros(2)
        if not size.all():
            raise SceneError(f"{scene.name} has no position in the CRS of the features: check the CRS of both files")
        return np.asarray(size)
