"""Leakage of a split: the share of test pixels whose features depend on a training pixel.

The footprint of a feature is the set of scene pixels that the feature depends on:

- A spectrum depends on one pixel. A window mean depends on the pixels of the window.
- A plane (the feature map of one timestep and layer) is computed tile by tile. Each tile is a core with a halo around it.
  Normalisation and attention mix all pixels of a tile. A feature at a pixel therefore depends on the whole tile whose
  core contains the pixel. At the scene's edge, it also depends on the pixels that were mirrored into the tile.
- A plane that is coarser than the scene is interpolated. Near the edge of a core, a feature therefore depends on two
  tiles or more.
- A context plane depends on the window of its layer. A context plane that is made by morphological reconstruction
  depends on the whole scene.

If a projection, a backbone or a reduction of columns is fitted to all pixels of a scene and uses no labels, this does
not count as leakage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.layout import ColumnGroup, Layout
from classifiers.splits.distances import training_distances
from classifiers.splits.split_draw import SplitDraw
from classifiers.splits.summed_area import summed_area_table
from hsifeat.context.layer_names import parse_layer
from hsifeat.features.features import Features
from hsifeat.scenes.scene_blocks import blocks
from hsifeat.types import PlaneId, Window

# Number of values kept in memory for each test pixel of a block.
_VALUES_PER_PIXEL = 16


@dataclass(frozen=True)
class TileGrid:
    """The tile grid on which a plane (the feature map of one timestep and layer) was computed.

    Attributes
    ----------
    core_px : int
        Side of the core of a tile in pixels, which is also the distance between neighbouring tiles; 0 if one tile
        covers the whole scene.
    halo_px : int
        Width of the halo around the core, in pixels.
    stride : int
        Side of a cell of the plane, in scene pixels.
    blended : bool
        Whether the values of overlapping tiles are averaged. If they are averaged, a feature at a pixel depends on all
        tiles that contain the pixel. Otherwise, the feature depends on the tile whose core contains the pixel.
    origin : tuple of 2 ints or None
        Row and column of the upper left corner of the first tile. If None, the core of the first tile starts at the first
        pixel of the scene.
    mirrored : bool
        Whether mirrored scene pixels fill the parts of tiles beyond the scene's edge.
    """

    core_px: int
    halo_px: int
    stride: int = 1
    blended: bool = False
    origin: tuple[int, int] | None = None
    mirrored: bool = True

    @property
    def tile_px(self) -> int:
        """Side of a tile in pixels, including the halo."""
        return self.core_px + 2 * self.halo_px

    def span(
        self, low: NDArray[np.intp], high: NDArray[np.intp], length: int, axis: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the range of scene pixels, along one axis, that each range of cells depends on.

        Parameters
        ----------
        low, high : (n,) intp arrays
            First and last cell of each range.
        length : int
            Number of scene pixels along the axis.
        axis : int
            0 for rows, 1 for columns.

        Returns
        -------
        start, stop : (n,) intp arrays
            First scene pixel that each range of cells depends on, and the pixel after the last one.
        """
        if not self.core_px:
            return np.zeros_like(low), np.full_like(high, length)
        margin = 0 if self.blended else self.halo_px
        first = -self.halo_px if self.origin is None else self.origin[axis]
        used_px = self.tile_px - 2 * margin
        last_tile = max(-(-(length - first - margin - used_px) // self.core_px), 0)
        # First and last tile that the cells take values from. Cells take values from cores or, if blended, from whole tiles.
        begin = np.clip((low * self.stride - first - margin - used_px) // self.core_px + 1, 0, last_tile)
        end = np.clip((high * self.stride - first - margin) // self.core_px, 0, last_tile)
        start, stop = first + begin * self.core_px, first + end * self.core_px + self.tile_px
        if self.mirrored:
            start, stop = _with_mirrored(start, stop, length)
        return np.maximum(start, 0), np.minimum(stop, length)


def _with_mirrored(
    start: NDArray[np.intp], stop: NDArray[np.intp], length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Extend pixel ranges that reach beyond the scene's edge.

    The extended ranges include the scene pixels whose mirror images lie beyond the edge.
    """
    from_end, from_start = 2 * (length - 1) - (stop - 1), 1 - start
    return np.minimum(start, from_end), np.maximum(stop, from_start)


@dataclass(frozen=True)
class Footprint:
    """The rectangle of scene pixels that a feature at a pixel depends on.

    Attributes
    ----------
    window_px : int
        Side of the window around the pixel. The values in the window are averaged, filtered or encoded. If the feature
        needs no window, the side is 1.
    tiles : TileGrid or None
        Tile grid of the plane that the feature comes from. None if the feature depends on the window only, as for spectra
        and for stores of listed pixels (``--pixels``).
    mirrored : bool
        Whether mirrored scene pixels fill the part of the window beyond the scene's edge. This is True only for stores
        of listed pixels, whose windows are the input of the diffusion model.
    """

    window_px: int = 1
    tiles: TileGrid | None = None
    mirrored: bool = False

    def __str__(self) -> str:
        window = "" if self.window_px == 1 else f"{self.window_px}x{self.window_px} px window"
        if self.tiles is None:
            return window or "its own pixel"
        tile = f"{self.tiles.tile_px}x{self.tiles.tile_px} px tile" if self.tiles.core_px else "the whole scene"
        tile += "s that overlap" if self.tiles.blended else ""
        return tile + (f" of a {window}" if window else "")

    def span(self, at: NDArray[np.intp], length: int, axis: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the range of scene pixels, along one axis, that the features at each pixel depend on.

        Parameters
        ----------
        at : (n,) intp array
            Row or column of each pixel.
        length : int
            Number of scene pixels along the axis.
        axis : int
            0 for rows, 1 for columns.

        Returns
        -------
        start, stop : (n,) intp arrays
            First scene pixel that the features at each pixel depend on, and the pixel after the last one.
        """
        first, stop = at - self.window_px // 2, at - self.window_px // 2 + self.window_px
        if self.mirrored:
            first, stop = _with_mirrored(first, stop, length)
        first, last = np.maximum(first, 0), np.minimum(stop, length) - 1
        if self.tiles is None:
            return first, last + 1
        stride = self.tiles.stride
        cells = -(-length // stride)
        # Interpolation uses the cells whose centres enclose the pixels.
        low = np.floor(np.maximum((first + 0.5) / stride - 0.5, 0)).astype(np.intp)
        high = np.minimum(np.ceil(np.maximum((last + 0.5) / stride - 0.5, 0)).astype(np.intp), cells - 1)
        return self.tiles.span(low, high, length, axis)


@dataclass(frozen=True)
class Leakage:
    """Leakage of a split for one seed.

    Attributes
    ----------
    share : float
        Share of test pixels with a training pixel in their `Footprint`, from 0 to 1. The footprint of a pixel is the
        rectangle of scene pixels that its features depend on.
    median_px, min_px : float
        Median and minimum of the distance from a test pixel to the nearest training pixel of its scene. The distance is
        Euclidean, in pixels, between pixel centres, and infinite in a scene without training pixels.
    """

    share: float
    median_px: float
    min_px: float

    @classmethod
    def from_pixels(cls, leaking: NDArray[np.bool_], distances: NDArray[np.float64]) -> Leakage:
        """Return the leakage of n test pixels.

        `leaking` is the (n,) bool array from `leaking_pixels`, and `distances` the (n,) float64 array from `training_distances`.
        """
        return cls(float(np.mean(leaking)), float(np.median(distances)), float(distances.min()))

    def __str__(self) -> str:
        text = f"the features of {self.share:.1%} of the test pixels depend on a training pixel"
        if not np.isfinite(self.min_px):
            return f"{text}; training pixels are in other scenes"
        median = f"{self.median_px:.1f} px away" if np.isfinite(self.median_px) else "in another scene"
        return f"{text}; the nearest one is {median} at the median, {self.min_px:.1f} px at least"


def layout_footprints(features: Features, layout: Layout) -> frozenset[Footprint]:
    """Return the footprints of the columns in `layout`, without duplicates."""
    return frozenset(_group_footprint(features, group) for group in layout)


def scene_footprints(scenes: Iterable[Features], layout: Layout) -> tuple[frozenset[Footprint], ...]:
    """Return the footprints of the columns in `layout` for each scene. Imported features can have other windows in each scene."""
    return tuple(layout_footprints(features, layout) for features in scenes)


def _group_footprint(features: Features, group: ColumnGroup) -> Footprint:
    window = group.size or 1
    if group.t is None or group.layer is None:
        return Footprint(window)
    (plane,) = features.select([PlaneId(group.t, group.layer)])
    store, stored_plane = features.owner(plane)
    if store.is_context:
        return _context_footprint(stored_plane.id.layer)
    if store.is_imported:
        return _imported_footprint(store.recipe["imported"].get("window_px"), plane.stride, window)
    tiling = store.recipe["tiling"]
    mirrored = tiling["padding"] == "reflect"
    if not store.covers_scene:  # the mean and the value at the pixel depend on the same window
        return Footprint(store.window_px(window), mirrored=mirrored)
    halo_px = tiling["halo_px"]
    origin = tiling.get("origin")
    return Footprint(
        window,
        TileGrid(
            tiling["tile_px"] - 2 * halo_px,
            halo_px,
            plane.stride,
            blended=tiling["stitch"] in {"mean", "hann"},
            origin=None if origin is None else (origin[0], origin[1]),
            mirrored=mirrored,
        ),
    )


def _context_footprint(name: str) -> Footprint:
    """Return the footprint of the context layer `name`, such as ``mean-25``."""
    layer = parse_layer(name)
    # A filter by reconstruction reaches as far as a bright or dark area does.
    return Footprint(tiles=TileGrid(0, 0)) if layer.is_reconstruction else Footprint(2 * layer.reach_px + 1)


def _imported_footprint(window_px: int | None, stride: int, window: int) -> Footprint:
    """Return the footprint of imported features: the window of the encoder, or the whole scene if the window is unknown.

    Interpolation between the cells of a coarse plane reaches one cell further on each side.
    """
    if window_px is None:
        return Footprint(tiles=TileGrid(0, 0))
    reach = window_px + (2 * stride if stride > 1 else 0) + window - 1
    return Footprint(reach + 1 - reach % 2)


def describe_footprints(footprints: Iterable[Footprint]) -> str:
    """Describe the union of footprints in words, for reports.

    If there are several windows, only the largest window is named. If a footprint is the whole scene, no other footprint is
    named.

    Examples
    --------
    >>> describe_footprints([Footprint(5), Footprint(45), Footprint()])
    '45x45 px window'
    >>> describe_footprints([Footprint(5), Footprint(tiles=TileGrid(core_px=0, halo_px=0))])
    'the whole scene'
    """
    found = set(footprints)
    if any(one.tiles is not None and not one.tiles.core_px for one in found):
        return "the whole scene"
    windows = [one for one in found if one.tiles is None]
    names = {str(one) for one in found if one.tiles is not None}
    if windows:
        names.add(str(max(windows, key=lambda one: one.window_px)))
    return " and ".join(sorted(names))


def measure_leakage(draw: SplitDraw, footprints: Iterable[Footprint], scenes: Sequence[Window] = ()) -> Leakage:
    """Measure the leakage of a draw: the share of test pixels whose features depend on a training pixel.

    Parameters
    ----------
    draw : SplitDraw
        Training and test pixels.
    footprints : iterable of Footprint
        Footprints of the features, see `layout_footprints`.
    scenes : sequence of Window, optional
        Window of each scene in the grid, see `Labels.windows`. Features depend on pixels of their own scene only.
        [default: the whole grid is one scene]

    Returns
    -------
    Leakage
        The share, and the median and minimum distance from a test pixel to the nearest training pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from classifiers import parse_split
    >>> from hsifeat import Labels
    >>> labels = Labels("fields", np.ones((20, 20), int).cumsum(axis=1) // 11 + 1, {1: "corn", 2: "wheat"})
    >>> draw = parse_split("random:0.1").draw(labels, seed=0)
    >>> measure_leakage(draw, [Footprint(1)]).share
    0.0
    """
    footprints = tuple(footprints)
    leaking = leaking_pixels(draw, [footprints] * max(len(scenes), 1), scenes)
    return Leakage.from_pixels(leaking, training_distances(draw, scenes))


def leaking_pixels(
    draw: SplitDraw, footprints: Sequence[Iterable[Footprint]], scenes: Sequence[Window] = ()
) -> NDArray[np.bool_]:
    """Return, for each test pixel, whether its features depend on a training pixel.

    Parameters
    ----------
    draw : SplitDraw
        Training and test pixels.
    footprints : sequence of iterable of Footprint
        Footprints of the features in each scene, see `scene_footprints`.
    scenes : sequence of Window, optional
        Window of each scene in the grid, see `Labels.windows`. Features depend on pixels of their own scene only.
        [default: the whole grid is one scene]

    Returns
    -------
    (n,) bool array
        One value for each test pixel, in row-major order.

    Examples
    --------
    >>> train, test = np.array([[1, 0, 0, 0]], bool), np.array([[0, 1, 0, 1]], bool)
    >>> leaking_pixels(SplitDraw.from_masks(train, test), [[Footprint(3)]])
    array([ True, False])
    """
    train, test = draw.train, draw.test
    parts = []
    for scene, own in zip(scenes or [Window(0, 0, *draw.shape)], map(tuple, footprints), strict=True):
        counts = summed_area_table(train[scene.slices], np.int32)
        for block in blocks(scene.rows, scene.cols, depth=_VALUES_PER_PIXEL):
            rows, cols = np.nonzero(test[scene.slices][block.slices])
            rows, cols = rows + block.row, cols + block.col
            overlaps = np.zeros(len(rows), np.bool_)
            for footprint in own:
                top, bottom = footprint.span(rows, scene.rows)
                left, right = footprint.span(cols, scene.cols, axis=1)
                overlaps |= counts[bottom, right] - counts[top, right] - counts[bottom, left] + counts[top, left] > 0
            parts.append(overlaps)
    return np.concatenate(parts)
