"""Lists of pixels at which features are extracted, from label maps or from rows and columns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.errors import HsifeatError, suggest_names
from hsifeat.scenes import Labels, Scene
from hsifeat.store.recipe import PixelsPart

PixelsLike = str | Labels | tuple[ArrayLike, ArrayLike] | ArrayLike


@dataclass(frozen=True, eq=False)
class PixelList:
    """Distinct valid pixels of a scene in row-major order.

    Attributes
    ----------
    rows, cols : (n,) intp arrays
        Row and column of each pixel.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    def part(self) -> PixelsPart:
        """Return the recipe fields of the list: the number of pixels, and the digest of their positions."""
        positions = np.stack([self.rows, self.cols]).astype("<i8")
        return PixelsPart(count=len(self.rows), digest=hashlib.sha256(positions.tobytes()).hexdigest())


def list_pixels(pixels: PixelsLike, scene: Scene) -> PixelList:
    """Return a list of pixels of a scene, from a label map or from rows and columns.

    Parameters
    ----------
    pixels : str, Labels, tuple of two arrays, (n, 2) integer array, DataFrame, or Arrow table
        A label map, or the name of a label map of the scene, selects all valid pixels that the map labels. Arrays give rows
        and columns. A DataFrame or an Arrow table must have the columns ``row`` and ``col``.
    scene : Scene
        The scene.

    Returns
    -------
    PixelList
        Pixels in row-major order. The order of `pixels` does not matter, so equal sets of pixels have equal digests.

    Raises
    ------
    HsifeatError
        If the label map does not exist, or selects no pixel. If `pixels` is empty or not an array of integers. If a
        table lacks the column row or col. If one of the pixels is not valid or lies outside the scene.

    Examples
    --------
    >>> scene = Scene("small", np.ones((4, 5, 2), np.float32))
    >>> list_pixels(([3, 0], [1, 2]), scene).rows.tolist()
    [0, 3]
    """
    if isinstance(pixels, str):
        pixels = _label_map(pixels, scene)
    if isinstance(pixels, Labels):
        scene.check_labels(pixels)
        rows, cols = np.nonzero((pixels.classes != 0) & scene.valid)
        if not len(rows):
            raise HsifeatError(f"the labels {pixels.name!r} have no labelled pixel with data")
        return PixelList(rows, cols)
    positions = _positions(_columns(pixels))
    inside = ((positions >= 0) & (positions < (scene.rows, scene.cols))).all(axis=1)
    if not inside.all():
        row, col = positions[np.argmin(inside)]
        raise HsifeatError(f"pixel ({row}, {col}) lies outside the scene of {scene.rows} x {scene.cols} pixels")
    positions = np.unique(positions, axis=0)
    rows, cols = (np.ascontiguousarray(axis, np.intp) for axis in positions.T)
    valid = scene.valid[rows, cols]
    if not valid.all():
        row, col = positions[np.argmin(valid)]
        raise HsifeatError(f"pixel ({row}, {col}) of {scene.name} has no data: list valid pixels only")
    return PixelList(rows, cols)


def _label_map(name: str, scene: Scene) -> Labels:
    if name not in scene.labels:
        advice = suggest_names(name, scene.labels) if scene.labels else "it has none: attach some with `labels=FILE`"
        raise HsifeatError(f"{scene.name} has no labels {name!r} to take pixels from; {advice}")
    return scene.labels[name]


def _columns(pixels: Any) -> Any:
    """Return the columns row and col of a DataFrame or an Arrow table as a tuple, or `pixels` if it is no table."""
    # The attribute `columns` of an Arrow table has the values of the columns.
    names = getattr(pixels, "column_names", getattr(pixels, "columns", None))
    if names is None:
        return pixels
    if any(list(names).count(name) != 1 for name in ("row", "col")):
        raise HsifeatError(
            f"a table of pixels has the columns row and col; found {', '.join(map(str, names)) or 'none'}: rename them, or give (rows, cols)"
        )
    return pixels["row"], pixels["col"]


def _positions(pixels: Any) -> NDArray[np.int64]:
    """Return rows and columns as an (n, 2) int64 array; raise `HsifeatError` for any other input."""
    allowed = "pixels are the name of a label map, a tuple of rows and columns, or an (n, 2) array of integers"
    if any(map(np.ma.is_masked, pixels if isinstance(pixels, tuple) else [pixels])):
        raise HsifeatError(f"{allowed}; found masked pixels: leave them out")
    try:
        if isinstance(pixels, tuple) and len(pixels) == 2:
            positions = np.stack([np.atleast_1d(axis) for axis in pixels], axis=1)
        else:
            positions = np.asarray(pixels)
    except ValueError as error:
        raise HsifeatError(f"{allowed}; found rows and columns of different lengths") from error
    if positions.size == 0:
        raise HsifeatError(f"{allowed}; found no pixel at all")
    if positions.ndim != 2 or positions.shape[1] != 2 or not np.issubdtype(positions.dtype, np.integer):
        raise HsifeatError(f"{allowed}; found {positions.dtype} of shape {positions.shape}")
    return positions.astype(np.int64)
