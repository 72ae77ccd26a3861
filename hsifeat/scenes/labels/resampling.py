"""Label rasters brought onto a scene's grid: as they are, by their cells, or by nearest neighbour."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.blocks import blocks
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.labels.classes import Classes
from hsifeat.scenes.scene import Scene

# Grids are the same where no corner of the scene is farther than this from a corner of the labels' cells, in cells.
_TOLERANCE = 1e-6
# Finer cells may be this far off, and noted: by nearest neighbour a pixel would take one of its cells for all.
_TOLERANCE_FINER = 0.05


@dataclass(frozen=True)
class _Cells:
    """Where a scene lies among the cells of a label raster: its first cell, cells along a side of a pixel, and how far they are off."""

    row: int
    col: int
    factor: int
    off: float = field(default=0.0, compare=False)


def align_to_grid(
    classes: Classes, georeference: Georeference | None, scene: Scene, name: str
) -> tuple[Classes, tuple[str, ...]]:
    """Bring a label raster onto a scene's grid.

    Parameters
    ----------
    classes : (any rows, any cols) unsigned integer array
        Class of each cell, 0 = unlabelled.
    georeference : Georeference or None
        Where the cells lie; without it, or without the scene's, both are taken to begin and end together.
    scene : Scene
        Whose grid is wanted.
    name : str
        The file's name, for notes and errors.

    Returns
    -------
    (rows, cols) unsigned integer array
        Class of each of the scene's pixels.
    tuple of str
        What was done.

    Raises
    ------
    SceneError
        The shapes don't fit, a CRS that would be needed is not known, or all labels lie outside the scene.
    """
    where, cells = scene.georeference, None
    notes: tuple[str, ...] = ()
    if georeference is None or where is None:
        cells = _Cells(0, 0, _factor_by_shape(classes, scene, name))
        if georeference is not where:
            lacks = "it" if georeference is None else "the scene"
            notes = (f"{name}: laid on the scene by its shape, since {lacks} has no georeference",)
    else:
        cells = _aligned_cells(georeference, where, scene, name)
        if cells is None:
            return _resample(classes, georeference, where, scene, name)
        if cells.off > _TOLERANCE:
            notes = (f"{name}: its cells are up to {cells.off:.2g} of a cell off the scene's pixels; taken as aligned",)
    if cells == _Cells(0, 0, 1) and classes.shape == (scene.rows, scene.cols):
        return classes, notes
    onto, changes = _take(classes, cells, scene, name)
    return onto, notes + changes


def _factor_by_shape(classes: Classes, scene: Scene, name: str) -> int:
    factor = max(int(classes.shape[0]) // scene.rows, 1)
    if classes.shape == (factor * scene.rows, factor * scene.cols):
        return factor
    turned = ", which fits when transposed" if classes.shape == (scene.cols, scene.rows) else ""
    raise SceneError(
        f"{name}: labels are {classes.shape[0]} x {classes.shape[1]} pixels{turned}, but the scene {scene.name} is "
        f"{scene.rows} x {scene.cols}: give a label map on the scene's grid, one with k x k cells for each of its pixels, "
        "or georeferences for both"
    )


def _aligned_cells(georeference: Georeference, where: Georeference, scene: Scene, name: str) -> _Cells | None:
    """Find the scene among the labels' cells, if each of its pixels is k x k whole ones."""
    if where.crs and georeference.crs and not where.same_crs(georeference):
        return None
    (sides, start), (scene_sides, scene_start) = _affine(georeference, name), _affine(where, scene.name)
    # From the scene's columns and rows to those of the labels; offsets are subtracted first, for they are large.
    steps = np.linalg.solve(sides, scene_sides)
    first = np.linalg.solve(sides, scene_start - start)
    if not (np.isfinite(steps).all() and np.isfinite(first).all()):
        return None
    factor, (col, row) = round(steps[0, 0]), (round(place) for place in first)
    corners = np.array([(x, y) for x in (0, scene.cols) for y in (0, scene.rows)])
    off = corners @ (steps - factor * np.eye(2)).T + (first - (col, row))
    most = float(np.abs(off).max())
    if factor < 1 or most > (_TOLERANCE if factor == 1 else _TOLERANCE_FINER):
        return None
    return _Cells(row, col, factor, most)


def _affine(georeference: Georeference, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a transform's matrix (2, 2), from columns and rows to map coordinates, and its offset (2,)."""
    a, b, c, d, e, f = georeference.transform
    sides = np.array([[a, b], [d, e]])
    if not np.isfinite(georeference.transform).all() or np.linalg.det(sides) == 0:
        raise SceneError(f"{name}: its transform {georeference.transform} lays all pixels on a line, or nowhere")
    return sides, np.array([c, f])


def _take(classes: Classes, cells: _Cells, scene: Scene, name: str) -> tuple[Classes, tuple[str, ...]]:
    """Give each pixel the class of its cells; 0 to those whose cells are not all there, or not all of one class."""
    # Which of the scene's pixels have all their cells, and which cells these are.
    spans = [
        (max(-(first // cells.factor), 0), min((there - first) // cells.factor, wanted))
        for first, there, wanted in zip((cells.row, cells.col), classes.shape, (scene.rows, scene.cols), strict=True)
    ]
    inside = tuple(slice(start, max(end, start)) for start, end in spans)
    part = classes[
        tuple(
            slice(first + cells.factor * span.start, first + cells.factor * span.stop)
            for first, span in zip((cells.row, cells.col), inside, strict=True)
        )
    ]
    _check_on_scene(classes, part, scene, name)
    onto = np.zeros((scene.rows, scene.cols), classes.dtype)
    if cells.factor == 1:
        onto[inside] = part
        shape = " x ".join(map(str, classes.shape))
        return onto, (f"{name}: took the scene's part of its {shape} pixels, from row {cells.row}, column {cells.col}",)
    onto[inside], mixed = _of_one_class(part, cells.factor)
    kept = f"{np.count_nonzero(onto)} of {onto.size} pixels keep a class, {mixed} mixed became 0"
    return onto, (f"{name}: {cells.factor} x {cells.factor} cells for each of the scene's pixels; {kept}",)


def _of_one_class(cells: Classes, factor: int) -> tuple[Classes, int]:
    """Return the class of each pixel, 0 where its factor x factor cells differ, and in how many they do."""
    rows, cols = cells.shape[0] // factor, cells.shape[1] // factor
    classes, mixed = np.zeros((rows, cols), cells.dtype), 0
    for block in blocks(rows, cols, factor * factor):
        top, left = block.row * factor, block.col * factor
        part = cells[top : top + block.rows * factor, left : left + block.cols * factor]
        part = part.reshape(block.rows, factor, block.cols, factor)
        low, high = part.min(axis=(1, 3)), part.max(axis=(1, 3))
        classes[block.slices] = np.where(low == high, low, 0)
        mixed += int(np.count_nonzero(low != high))
    return classes, mixed


def _resample(
    classes: Classes, georeference: Georeference, where: Georeference, scene: Scene, name: str
) -> tuple[Classes, tuple[str, ...]]:
    """Give each pixel the class of the cell that its centre lies in.

    Every centre is transformed by pyproj, as vectors are: `rasterio.warp.reproject` interpolates between some of them,
    which moves labels by up to an eighth of a pixel.
    """
    from pyproj import Transformer

    if georeference.crs is None or where.crs is None:
        lacks = name if georeference.crs is None else f"the scene {scene.name}"
        raise SceneError(
            f"{name} lies on another grid than the scene {scene.name}, and {lacks} has no CRS: assign one "
            "(gdal_edit -a_srs), or give labels on the scene's grid"
        )
    same = where.same_crs(georeference)
    across = None if same else Transformer.from_crs(where.crs, georeference.crs, always_xy=True)
    (sides, start), (scene_sides, scene_start) = _affine(georeference, name), _affine(where, scene.name)
    onto = np.zeros((scene.rows, scene.cols), classes.dtype)
    for block in blocks(scene.rows, scene.cols):
        row, col = np.mgrid[block.slices] + 0.5
        x, y = scene_sides @ np.stack((col.ravel(), row.ravel())) + scene_start[:, None]
        if across is not None:
            x, y = across.transform(x, y)
        known = np.isfinite(x) & np.isfinite(y)
        x, y = np.where(known, x, 0), np.where(known, y, 0)
        col, row = np.floor(np.linalg.solve(sides, np.stack((x, y)) - start[:, None]))
        there = known & (row >= 0) & (row < classes.shape[0]) & (col >= 0) & (col < classes.shape[1])
        found = np.zeros(there.shape, classes.dtype)
        found[there] = classes[row[there].astype(np.intp), col[there].astype(np.intp)]
        onto[block.slices] = found.reshape(block.rows, block.cols)
    _check_on_scene(classes, onto, scene, name)
    if same:
        return onto, (f"{name}: resampled by nearest neighbour onto the scene's grid",)
    names = f"from {georeference.crs_name} to the scene's {where.crs_name}"
    return onto, (f"{name}: reprojected by nearest neighbour {names}",)


def _check_on_scene(classes: Classes, part: Classes, scene: Scene, name: str) -> None:
    if classes.any() and not part.any():
        raise SceneError(
            f"{name}: none of its labelled pixels lies on the scene {scene.name}: check CRS and transform of both"
        )
