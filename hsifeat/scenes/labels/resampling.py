"""Alignment of label rasters with the grid of a scene, by aggregation of finer cells or by nearest neighbour."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference, affine_parts
from hsifeat.scenes.labels.classes import Classes
from hsifeat.scenes.longitudes import MAX_TURNS, columns_per_turn, unwrap, whole_turn
from hsifeat.scenes.map_positions import PositionTransformer
from hsifeat.scenes.pixel_grid import PixelGrid
from hsifeat.scenes.scene_blocks import blocks

# Maximum distance, in label cells, between the corners of two grids that count as equal.
_TOLERANCE = 1e-6
# The same maximum if a pixel has several cells. Resampling by nearest neighbour would then ignore all but one cell.
_TOLERANCE_FINER = 0.05


@dataclass(frozen=True)
class _CellAlignment:
    """Position of a scene in a label raster with k x k cells per scene pixel.

    Attributes
    ----------
    row, col : int
        Row and column of the cell at the upper left corner of the scene.
    factor : int
        Number k of cells along each side of a scene pixel.
    offset_cells : float
        Largest distance, along rows or columns, between a corner of the scene and the corresponding corner of a cell.
        The unit of this distance is the side of a cell.
    """

    row: int
    col: int
    factor: int
    offset_cells: float = field(default=0.0, compare=False)


def align_to_grid(
    classes: Classes, georeference: Georeference | None, scene: PixelGrid, name: str
) -> tuple[Classes, tuple[str, ...]]:
    """Align a label raster with the grid of a scene.

    Parameters
    ----------
    classes : (cell rows, cell cols) unsigned integer array
        Class of each pixel of the label raster; 0 is unlabelled.
    georeference : Georeference or None
        Position of the label raster. If the label raster or the scene lacks a georeference, the raster is assumed to cover
        exactly the scene.
    scene : PixelGrid
        The scene.
    name : str
        Name of the file, for notes and errors.

    Returns
    -------
    classes : (rows, cols) unsigned integer array
        Class of each pixel of the scene.
    notes : tuple of str
        Notes on how the labels were aligned.

    Raises
    ------
    SceneError
        If the label raster or the scene has no georeference, and the raster does not have k times the rows and k times
        the columns of the scene, for a whole number k. If the label raster must be resampled, but its CRS or the CRS of
        the scene is unknown. If the pixels of the label raster or of the scene have no area. If no label lies on the scene.
    """
    target, alignment = scene.georeference, None
    notes: tuple[str, ...] = ()
    if georeference is None or target is None:
        alignment = _CellAlignment(0, 0, _factor_by_shape(classes, scene, name))
        if georeference is not target:
            owner = "the label map" if georeference is None else "the scene"
            notes = (f"{name}: aligned with the scene by its shape, because {owner} has no georeference",)
    else:
        classes, georeference = _turn_as_scene(classes, georeference, target, scene.name, name)
        moved = _move_to_scene(classes, georeference, target, scene, name)
        if moved is not None:
            classes, georeference, notes = moved
            alignment = _find_alignment(georeference, target, scene, name)
        if alignment is None:
            resampled, resample_notes = _resample(classes, georeference, target, scene, name)
            return resampled, notes + resample_notes
        if alignment.offset_cells > _TOLERANCE:
            notes += (
                (
                    f"{name}: its cells are up to {alignment.offset_cells:.2g} of a cell off the scene's pixels; they are treated "
                    "as aligned"
                ),
            )
    if alignment == _CellAlignment(0, 0, 1) and classes.shape == (scene.rows, scene.cols):
        return classes, notes
    aligned, alignment_notes = _aggregate(classes, alignment, scene, name)
    return aligned, notes + alignment_notes


def _turn_as_scene(
    classes: Classes, georeference: Georeference, target: Georeference, scene_name: str, name: str
) -> tuple[Classes, Georeference]:
    """Transpose and flip a label raster until its rows and columns run in the directions of the rows and columns of the scene.

    Returns the turned raster and its georeference.
    """
    steps = np.linalg.solve(affine_parts(georeference, name)[0], affine_parts(target, scene_name)[0])
    if min(abs(steps[0, 1]), abs(steps[1, 0])) > max(abs(steps[0, 0]), abs(steps[1, 1])):
        classes, georeference, steps = classes.T, georeference.transpose(), steps[::-1]
    for axis, step in enumerate((steps[1, 1], steps[0, 0])):
        if step < 0:
            georeference = georeference.flip(classes.shape, axis)
            classes = np.flip(classes, axis)
    return classes, georeference


def _move_to_scene(
    classes: Classes, georeference: Georeference, target: Georeference, scene: PixelGrid, name: str
) -> tuple[Classes, Georeference, tuple[str, ...]] | None:
    """Move a label raster in the CRS of the scene by whole turns of longitude, so that it covers the scene.

    If the longitudes of the raster begin within the scene, the columns of the scene are copied from both ends of the raster.

    Returns the raster, its georeference and notes. Returns None if the columns from both ends are not on one grid.
    """
    turn = whole_turn(str(target.crs)) if target.same_crs(georeference) else None
    if turn is None or georeference.is_rotated:
        return classes, georeference, ()
    (sides, start), (scene_sides, scene_start) = affine_parts(georeference, name), affine_parts(target, scene.name)
    corners = np.array([(x, y) for x in (0, scene.cols) for y in (0, scene.rows)]).T
    cols = np.linalg.solve(sides, scene_sides @ corners + (scene_start - start)[:, None])[0]
    first, last = (
        int(edge) for edge in (np.floor(cols.min() + _TOLERANCE_FINER), np.ceil(cols.max() - _TOLERANCE_FINER))
    )
    period, width = turn / abs(sides[0, 0]), classes.shape[1]
    turns = [
        k
        for k in range(-MAX_TURNS, MAX_TURNS + 1)
        if first + _TOLERANCE_FINER < k * period + width and last - _TOLERANCE_FINER > k * period
    ]
    if turns in ([], [0]):
        return classes, georeference, ()
    if len(turns) == 1:
        return classes, georeference.translate(turns[0] * period), ()
    count = columns_per_turn(georeference)
    if count is None:
        return None
    columns = np.arange(first, last) % count
    part = np.zeros((classes.shape[0], last - first), classes.dtype)
    part[:, columns < width] = classes[:, columns[columns < width]]
    _check_overlap(classes, part, scene, name)
    return (
        part,
        georeference.translate(first),
        (f"{name}: read at both ends, because its longitudes begin within the scene",),
    )


def _factor_by_shape(classes: Classes, scene: PixelGrid, name: str) -> int:
    factor = max(int(classes.shape[0]) // scene.rows, 1)
    if classes.shape == (factor * scene.rows, factor * scene.cols):
        return factor
    hint = ", which matches when transposed" if classes.shape == (scene.cols, scene.rows) else ""
    raise SceneError(
        f"{name}: labels are {classes.shape[0]} x {classes.shape[1]} pixels{hint}, but the scene {scene.name} is "
        f"{scene.rows} x {scene.cols}: give a label map on the scene's grid, one with k x k cells per pixel, or "
        "georeferences for both"
    )


def _find_alignment(
    georeference: Georeference, target: Georeference, scene: PixelGrid, name: str
) -> _CellAlignment | None:
    """Return the position of the scene in the label raster, or None if a scene pixel does not cover k x k whole cells."""
    if target.crs and georeference.crs and not target.same_crs(georeference):
        return None
    (sides, start), (scene_sides, scene_start) = affine_parts(georeference, name), affine_parts(target, scene.name)
    # The map from (col, row) of the scene to (col, row) of the labels. Large map offsets are subtracted first.
    steps = np.linalg.solve(sides, scene_sides)
    first = np.linalg.solve(sides, scene_start - start)
    if not (np.isfinite(steps).all() and np.isfinite(first).all()):
        return None
    factor, (col, row) = round(steps[0, 0]), (round(value) for value in first)
    corners = np.array([(x, y) for x in (0, scene.cols) for y in (0, scene.rows)])
    offsets = corners @ (steps - factor * np.eye(2)).T + (first - (col, row))
    largest = float(np.abs(offsets).max())
    if factor < 1 or largest > (_TOLERANCE if factor == 1 else _TOLERANCE_FINER):
        return None
    return _CellAlignment(row, col, factor, largest)


def _aggregate(
    classes: Classes, alignment: _CellAlignment, scene: PixelGrid, name: str
) -> tuple[Classes, tuple[str, ...]]:
    """Return the class of each scene pixel, and notes.

    If all label cells of a pixel have the same class, the pixel gets this class. A pixel is 0 if its cells have
    different classes, or if some of its cells lie outside the label raster.
    """
    factor = alignment.factor
    # Along each axis, the range of scene pixels whose cells all lie in the label raster.
    spans = [
        (max(-(first // factor), 0), min((size - first) // factor, scene_size))
        for first, size, scene_size in zip(
            (alignment.row, alignment.col), classes.shape, (scene.rows, scene.cols), strict=True
        )
    ]
    inside = tuple(slice(start, max(end, start)) for start, end in spans)
    part = classes[
        tuple(
            slice(first + factor * span.start, first + factor * span.stop)
            for first, span in zip((alignment.row, alignment.col), inside, strict=True)
        )
    ]
    _check_overlap(classes, part, scene, name)
    aligned = np.zeros((scene.rows, scene.cols), classes.dtype)
    if factor == 1:
        aligned[inside] = part
        shape = " x ".join(map(str, classes.shape))
        return aligned, (
            f"{name}: cropped its {shape} pixels to the scene, from row {alignment.row}, column {alignment.col}",
        )
    aligned[inside], mixed_count = _unanimous_classes(part, factor)
    outcome = (
        f"{np.count_nonzero(aligned)} of {aligned.size} pixels keep a class, {mixed_count} with mixed cells became 0"
    )
    return aligned, (f"{name}: has {factor} x {factor} cells per pixel of the scene; {outcome}",)


def _unanimous_classes(cells: Classes, factor: int) -> tuple[Classes, int]:
    """Return the class of each pixel, and the number of mixed pixels.

    A pixel has `factor` x `factor` cells. If all cells of a pixel have the same class, the pixel gets this class.
    Otherwise, the pixel is mixed and gets class 0.
    """
    rows, cols = cells.shape[0] // factor, cells.shape[1] // factor
    classes, mixed_count = np.zeros((rows, cols), cells.dtype), 0
    for block in blocks(rows, cols, factor * factor):
        top, left = block.row * factor, block.col * factor
        part = cells[top : top + block.rows * factor, left : left + block.cols * factor]
        part = part.reshape(block.rows, factor, block.cols, factor)
        low, high = part.min(axis=(1, 3)), part.max(axis=(1, 3))
        classes[block.slices] = np.where(low == high, low, 0)
        mixed_count += int(np.count_nonzero(low != high))
    return classes, mixed_count


def _resample(
    classes: Classes, georeference: Georeference, target: Georeference, scene: PixelGrid, name: str
) -> tuple[Classes, tuple[str, ...]]:
    """Return the class of the label cell at the centre of each scene pixel. Also return notes.

    pyproj transforms every pixel centre, so that rasters agree with reprojected vectors. `rasterio.warp.reproject` transforms
    only some centres and interpolates between them, which moves labels by up to an eighth of a pixel.
    """
    if georeference.crs is None or target.crs is None:
        owner = name if georeference.crs is None else f"the scene {scene.name}"
        raise SceneError(
            f"{name} lies on another grid than the scene {scene.name}, and {owner} has no CRS: assign one "
            "(gdal_edit -a_srs), or give labels on the scene's grid"
        )
    same_crs = target.same_crs(georeference)
    transform = (
        None if same_crs else PositionTransformer(target.crs, georeference.crs, (f"the scene {scene.name}", name))
    )
    (sides, start), (scene_sides, scene_start) = affine_parts(georeference, name), affine_parts(target, scene.name)
    turn = whole_turn(georeference.crs)
    raster_west = start[0] + np.minimum(sides[0] * (classes.shape[1], classes.shape[0]), 0).sum()
    resampled = np.zeros((scene.rows, scene.cols), classes.dtype)
    for block in blocks(scene.rows, scene.cols):
        row, col = np.mgrid[block.slices] + 0.5
        points = scene_sides @ np.stack((col.ravel(), row.ravel())) + scene_start[:, None]
        x, y = points if transform is None else transform(points)
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = unwrap(np.where(finite, x, 0), raster_west, turn), np.where(finite, y, 0)
        col, row = np.floor(np.linalg.solve(sides, np.stack((x, y)) - start[:, None]))
        inside = finite & (row >= 0) & (row < classes.shape[0]) & (col >= 0) & (col < classes.shape[1])
        block_classes = np.zeros(inside.shape, classes.dtype)
        block_classes[inside] = classes[row[inside].astype(np.intp), col[inside].astype(np.intp)]
        resampled[block.slices] = block_classes.reshape(block.rows, block.cols)
    _check_overlap(classes, resampled, scene, name)
    if same_crs:
        return resampled, (f"{name}: resampled by nearest neighbour onto the scene's grid",)
    names = f"from {georeference.crs_name} to the scene's {target.crs_name}"
    return resampled, (f"{name}: reprojected by nearest neighbour {names}",)


def _check_overlap(classes: Classes, part: Classes, scene: PixelGrid, name: str) -> None:
    if classes.any() and not part.any():
        raise SceneError(
            f"{name}: no labelled pixel lies on the scene {scene.name}: check CRS and transform of both files"
        )
