"""Decide how features are placed on the grid of a scene."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.imports.cell_transform import CellTransform
from hsifeat.imports.feature_map import FeatureMap
from hsifeat.imports.placed_features import AveragedFeatures, CopiedFeatures, PlacedFeatures
from hsifeat.imports.resampled_features import ResampledFeatures
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.pixel_grid import PixelGrid, PlacedGrid
from hsifeat.store.plane_layout import MAX_STRIDE

# Largest distance between corners of aligned grids, in sides of the smaller of pixel and cell.
_TOLERANCE = 0.02
# Strides of resampled features. Powers of two keep shards of all planes small.
_MAX_RESAMPLED_STRIDE = 64


@dataclass(frozen=True)
class _Alignment:
    """Position of a scene in a file. All lines of the coarser of the two grids are lines of the finer grid.

    Attributes
    ----------
    row, col : int
        Row and column of the cell of the file at the upper left corner of the scene.
    stride : int
        Pixels along the side of a cell; 1 if cells are not larger than pixels.
    factor : int
        Cells along the side of a pixel; 1 if cells are not smaller than pixels.
    """

    row: int
    col: int
    stride: int = 1
    factor: int = 1


def place_features(features: FeatureMap, scene: PixelGrid, stride: int | None) -> PlacedFeatures:
    """Place features on the grid of a scene.

    Parameters
    ----------
    features : FeatureMap
        Features on their own grid.
    scene : PixelGrid
        The scene.
    stride : int, optional
        Side of a cell of the plane, in pixels of the scene. [default: computed from the grids of the features and the scene]

    Returns
    -------
    PlacedFeatures
        - If each cell of `features` covers exactly `stride` x `stride` pixels, the cells are copied.
        - If each pixel contains exactly k x k cells of `features`, the cells are averaged.
        - Otherwise, the cells are resampled bilinearly. The default stride is then the side of a cell of `features` in
          pixels, rounded down to a power of two from 1 to 64.

    Raises
    ------
    SceneError
        If a georeference is missing, and the shape of the features does not fit `stride`. If a georeference and `stride`
        are missing, and the shape of the features fits no stride or several strides. If the grids differ, and the CRS of
        one grid is missing. Grids that differ only in the order of rows or columns need no CRS.
    """
    if features.in_pixels:
        scene = PlacedGrid.in_pixels(scene)
    source, target = features.georeference, scene.georeference
    if source is None or target is None:
        return _place_by_shape(features, scene, stride)
    alignment = _find_alignment(features, scene)
    if alignment is not None and stride in {None, alignment.stride} and alignment.factor == 1:
        return CopiedFeatures(features, scene.rows, scene.cols, alignment.stride, alignment.row, alignment.col)
    if alignment is not None and alignment.stride == 1:
        factor, stride = alignment.factor * (stride or 1), stride or 1
        return AveragedFeatures(features, scene.rows, scene.cols, stride, factor, alignment.row, alignment.col)
    if (
        not features.in_pixels
        and (source.crs is None or target.crs is None)
        and not _is_turned(features, source, scene)
    ):
        owner = features.source if source.crs is None else f"the scene {scene.name}"
        raise SceneError(
            f"{features.source} lies on another grid than the scene {scene.name}, and {owner} has no CRS: assign one "
            "(gdal_edit.py -a_srs), or give features on the scene's grid"
        )
    if stride is None:
        cells = float(CellTransform(source, features.shape, scene, features.source).cells_per_pixel(scene).max())
        stride = min(2 ** max(math.floor(math.log2(1 / cells) + 1e-6), 0), _MAX_RESAMPLED_STRIDE)
    return ResampledFeatures(features, source, scene, target, stride)


def _find_alignment(features: FeatureMap, scene: PixelGrid) -> _Alignment | None:
    """Return the position of a scene in a file, or None if the two grids are not aligned."""
    source, target = features.georeference, scene.georeference
    if source is None or target is None or (source.crs and target.crs and not target.same_crs(source)):
        return None
    transform = CellTransform(source, features.shape, scene, features.source)
    corners = np.array([(x, y) for x in (0, scene.cols) for y in (0, scene.rows)], np.float64).T
    cells = transform(corners)
    width = (cells[0, 2] - cells[0, 0]) / scene.cols
    if not np.isfinite(cells).all() or width <= 0:
        return None
    factor, stride = (max(round(width), 1), 1) if width >= 1 else (1, max(round(1 / width), 1))
    first = np.round(cells[:, 0])
    offsets = cells - corners * factor / stride - first[:, np.newaxis]
    if np.abs(offsets).max() * stride > _TOLERANCE * factor:
        return None
    return _Alignment(int(first[1]), int(first[0]), stride, factor)


def _is_turned(features: FeatureMap, source: Georeference, scene: PixelGrid) -> bool:
    """Return whether the grid of the features is aligned with the scene after its rows, its columns or both are reversed."""
    rows, cols = source.flip(features.shape, 0), source.flip(features.shape, 1)
    turned = (rows, cols, rows.flip(features.shape, 1))
    return any(_find_alignment(replace(features, georeference=one), scene) for one in turned)


def _place_by_shape(features: FeatureMap, scene: PixelGrid, stride: int | None) -> PlacedFeatures:
    if stride is not None:
        # A tool that drops incomplete cells at the edge leaves floor(side / stride) cells.
        allowed = {(a, b) for a in _counts(scene.rows, stride) for b in _counts(scene.cols, stride)}
        if features.shape in allowed:
            return CopiedFeatures(features, scene.rows, scene.cols, stride)
        rows, cols = -(-scene.rows // stride), -(-scene.cols // stride)
        raise SceneError(
            f"{_shape_text(features, scene)}: with a stride of {stride} px there would be {rows} x {cols} cells: set another "
            "`stride`, or leave it out"
        )
    alignments = fitting_strides(features.shape, scene)
    if len(alignments) == 1:
        ((fitting, factor),) = alignments
        if factor == 1:
            return CopiedFeatures(features, scene.rows, scene.cols, fitting)
        return AveragedFeatures(features, scene.rows, scene.cols, 1, factor)
    if alignments:
        raise SceneError(f"{_shape_text(features, scene)}: set `stride`; {_list_strides(alignments)} fit")
    raise SceneError(
        f"{_shape_text(features, scene)}: give features with one cell per pixel, with k x k cells per pixel or k x k pixels per "
        "cell (`stride=K` if cells at the edge are missing), or georeferences for both (`grid` names a raster with that of the "
        "features)"
    )


def fitting_strides(shape: tuple[int, int], scene: PixelGrid) -> list[tuple[int, int]]:
    """List the ratios of cell size to pixel size at which features of shape (rows, cols) fit the scene.

    The cells at the right and lower edges may reach beyond the scene.

    Returns
    -------
    list of (int, int)
        Number of pixels along the side of a cell, and number of cells along the side of a pixel. One of the two numbers is 1.

    Examples
    --------
    >>> from hsifeat import Labels
    >>> scene = Labels("scene", np.zeros((145, 100), np.uint8))
    >>> fitting_strides((290, 200), scene), fitting_strides((37, 25), scene), fitting_strides((10, 7), scene)
    ([(1, 2)], [(4, 1)], [(15, 1), (16, 1)])
    """
    rows, cols = shape
    if min(rows, cols) < 1:
        return []
    factor = rows // scene.rows
    if factor > 1 and (rows, cols) == (factor * scene.rows, factor * scene.cols):
        return [(1, factor)]
    longest = min(max(scene.rows, scene.cols), MAX_STRIDE)
    return [(s, 1) for s in range(1, longest + 1) if (-(-scene.rows // s), -(-scene.cols // s)) == (rows, cols)]


def _counts(pixels: int, stride: int) -> set[int]:
    return {-(-pixels // stride), pixels // stride}


def _list_strides(alignments: list[tuple[int, int]]) -> str:
    strides = [str(stride) for stride, _ in alignments]
    return f"{strides[0]} to {strides[-1]}" if len(strides) > 2 else " and ".join(strides)


def _shape_text(features: FeatureMap, scene: PixelGrid) -> str:
    rows, cols = features.shape
    owner = "scene has" if scene.georeference is None else "features have"
    return f"{features.source}: {rows} x {cols} cells on a scene of {scene.rows} x {scene.cols} pixels ({scene.name}), and the {owner} no georeference"
