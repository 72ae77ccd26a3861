"""Superpixels of a scene: small connected areas of similar pixels, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.scene_columns import SceneColumns
from classifiers.smoothing.superpixel import SuperpixelSmoothing, connected_parts
from hsifeat.errors import SceneError
from hsifeat.features.neighbourhoods import PixelCoordinates

# Mean number of pixels of a superpixel. With fields of some tens of pixels, most such superpixels lie in a single field.
SEGMENT_PX = 20
_VERSION = 2
_AXES = 100
_SEGMENTS_AT_A_TIME = 1000


@dataclass(frozen=True, eq=False)
class Segments:
    """Superpixels of a scene.

    Attributes
    ----------
    numbers : (rows, cols) int32 array
        Number of the superpixel of each pixel, from 1; 0 at pixels without features.
    places : (count, k) float32 array
        Place of each superpixel in feature space. The place is the mean of the reduced columns over the pixels of the
        superpixel, projected to the first principal axes.
    note : str
        Note for the user if the scene is too noisy for superpixels; otherwise empty.
    """

    numbers: NDArray[np.int32]
    places: NDArray[np.float32]
    note: str = ""

    @property
    def count(self) -> int:
        """Number of superpixels."""
        return len(self.places)

    @cached_property
    def sizes(self) -> NDArray[np.intp]:
        """Number of pixels of each superpixel, a (count + 1,) integer array. Entry 0 counts pixels without features."""
        return np.bincount(self.numbers.ravel(), minlength=self.count + 1)

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """Pairs of superpixels that touch at an edge or a corner, an (n, 2) int64 array.

        In each pair, the smaller number is first.
        """
        pairs = []
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            here = self.numbers[: len(self.numbers) - down, max(-right, 0) : self.numbers.shape[1] - max(right, 0)]
            there = self.numbers[down:, max(right, 0) : self.numbers.shape[1] - max(-right, 0)]
            pairs.append(np.stack([here.ravel(), there.ravel()], axis=1))
        touching = np.sort(np.concatenate(pairs), axis=1)
        touching = touching[(touching[:, 0] > 0) & (touching[:, 0] != touching[:, 1])]
        return np.unique(touching, axis=0).astype(np.int64)

    def pixels_at(self, rows: NDArray[np.integer], cols: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return all pixels of the superpixels that contain the given pixels.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Row and column of each given pixel.

        Returns
        -------
        (m,) int64 array
            Flat indices of the pixels of the superpixels, ascending and without duplicates.

        Raises
        ------
        StoreError
            If rows or columns are masked, or are not whole numbers. If a pixel lies outside the scene.
        SceneError
            If a pixel has no features.
        """
        pixels = PixelCoordinates.parse(rows, cols, self.numbers.shape)
        numbers = self.numbers[pixels.rows, pixels.cols]
        if not numbers.all():
            first = int(np.argmin(numbers))
            raise SceneError(
                f"there is no segment at row {pixels.rows[first]}, column {pixels.cols[first]}: click a pixel that has features"
            )
        return np.flatnonzero(np.isin(self.numbers, numbers))


def open_segments(columns: SceneColumns, pixels: int = SEGMENT_PX) -> Segments:
    """Return the superpixels of a scene, and compute them if the cache lacks them.

    The superpixels are the same as for the smoothing rule ``superpixel:PIXELS``. SLIC (Achanta et al., TPAMI 2012)
    computes them from the first principal components of the scene. Each superpixel is connected, and all its pixels
    have features.

    Parameters
    ----------
    columns : SceneColumns
        Columns of the scene.
    pixels : int
        Superpixels grow from squares with this number of pixels, see `SuperpixelSmoothing`.

    Raises
    ------
    HsifeatError
        If `pixels` is out of range. If the disk is full.

    Examples
    --------
    >>> import hsifeat
    >>> from classifiers.labelling.scene_columns import open_scene_columns
    >>> segments = open_segments(open_scene_columns(hsifeat.open_features("fields.zarr")))
    >>> 75 * 53 / segments.count < 40
    True
    """
    rule = SuperpixelSmoothing.parse(str(pixels))

    def write(folder: Path) -> None:
        superpixels = rule.superpixels(columns.guide.astype(np.float64), columns.mask)
        numbers = connected_parts(superpixels).astype(np.int32)
        np.save(folder / "numbers.npy", numbers)
        np.save(folder / "places.npy", segment_places(columns, numbers))
        np.save(folder / "note.npy", np.array(rule.collapse_note(superpixels)))

    arrays = columns.kept.sibling(f"segments{_VERSION}-{pixels}").get(write)
    return Segments(np.array(arrays["numbers"], np.int32), np.array(arrays["places"], np.float32), str(arrays["note"]))


def segment_places(columns: SceneColumns, numbers: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the places of superpixels in feature space, see `Segments`.

    Parameters
    ----------
    columns : SceneColumns
        Columns of the scene.
    numbers : (rows, cols) int32 array
        Number of the superpixel of each pixel, from 1 without gaps; 0 at pixels without features.

    Returns
    -------
    (count, k) float32 array
        Coordinates of the places on at most 100 principal axes. Distances between places approximate the distances
        between superpixels in all reduced columns.
    """
    of_row = numbers.ravel()[columns.pixels]
    order = np.argsort(of_row, kind="stable")
    starts = np.searchsorted(of_row[order], np.arange(1, numbers.max() + 2))
    means = np.empty((len(starts) - 1, columns.values.shape[1]))
    for first in range(0, len(means), _SEGMENTS_AT_A_TIME):  # the columns of a scene may not fit in memory
        edges = starts[first : first + _SEGMENTS_AT_A_TIME + 1]
        part = columns.values[order[edges[0] : edges[-1]]].astype(np.float64)
        sums = np.add.reduceat(part, edges[:-1] - edges[0], axis=0)
        means[first : first + _SEGMENTS_AT_A_TIME] = sums / np.diff(edges)[:, None]
    sizes = np.diff(starts)[:, None]
    centred = means - (means * sizes).sum(axis=0) / sizes.sum()
    axes = np.linalg.eigh(centred.T @ (centred * sizes))[1][:, ::-1][:, :_AXES]
    return np.asarray(centred @ axes, np.float32)
