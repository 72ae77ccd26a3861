"""Pixels of a click, a brush stroke or a polygon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError

BRUSH_PX = 3
_MAX_VERTICES = 10_000


def brush_pixels(
    rows: Sequence[int], cols: Sequence[int], shape: tuple[int, int], side_px: int = BRUSH_PX
) -> NDArray[np.int64]:
    """Return the pixels of square brush marks.

    Parameters
    ----------
    rows, cols : sequence of int
        Row and column of the centre of each mark.
    shape : tuple of int
        Rows and columns of the scene.
    side_px : int
        Side of a mark in pixels, an odd number; 1 for a single pixel.

    Returns
    -------
    (n,) int64 array
        Flat indices, ascending and without duplicates. Marks are cut off at the border of the scene.

    Raises
    ------
    SceneError
        If a centre lies outside of the scene. If the side is not an odd number from 1 to 99.

    Examples
    --------
    >>> brush_pixels([0], [0], (4, 5)).tolist()
    [0, 1, 5, 6]
    """
    if side_px % 2 == 0 or not 1 <= side_px < 100:
        raise SceneError(f"the side of a brush is an odd number of pixels from 1 to 99; found {side_px}")
    at = np.array([rows, cols], np.int64)
    if at.size and ((at < 0).any() or (at >= np.array([shape]).T).any()):
        raise SceneError(f"a click lies outside of the scene of {shape[0]} x {shape[1]} pixels")
    reach = np.arange(side_px) - side_px // 2
    down, right = (part.ravel() for part in np.meshgrid(reach, reach, indexing="ij"))
    rows_, cols_ = (at[0][:, None] + down).ravel(), (at[1][:, None] + right).ravel()
    inside = (rows_ >= 0) & (rows_ < shape[0]) & (cols_ >= 0) & (cols_ < shape[1])
    return np.unique(rows_[inside] * shape[1] + cols_[inside])


def polygon_pixels(vertices: Sequence[tuple[float, float]], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the pixels whose centres lie in a polygon.

    Parameters
    ----------
    vertices : sequence of (float, float)
        Row and column of each vertex, in pixels from the upper left corner of the scene. The centre of the first pixel is at
        (0.5, 0.5). The last vertex is connected to the first.
    shape : tuple of int
        Rows and columns of the scene.

    Returns
    -------
    (n,) int64 array
        Flat indices, ascending.

    Raises
    ------
    SceneError
        If the polygon has fewer than 3 or more than 10,000 vertices, or a vertex that is not finite. If the polygon
        contains no pixel centre.

    Examples
    --------
    >>> polygon_pixels([(0, 0), (0, 2), (2, 2), (2, 0)], (4, 5)).tolist()
    [0, 1, 5, 6]
    """
    from rasterio.features import rasterize

    corners = np.asarray(vertices, np.float64).reshape(-1, 2)
    if not 3 <= len(corners) <= _MAX_VERTICES or not np.isfinite(corners).all():
        raise SceneError(f"a polygon has 3 to {_MAX_VERTICES} finite vertices; found {len(corners)}")
    ring = [(float(col), float(row)) for row, col in corners]  # x is the column
    mask = rasterize([{"type": "Polygon", "coordinates": [[*ring, ring[0]]]}], shape, dtype=np.uint8)
    if not mask.any():
        raise SceneError("the polygon contains no centre of a pixel of the scene: draw it larger")
    return np.flatnonzero(mask)
