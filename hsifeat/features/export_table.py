"""The table that is exported: one row per pixel, one column per feature, read in blocks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.features.features import Features
from hsifeat.scenes import Labels
from hsifeat.store.layout import PlaneSpec

# Size of a block: what is held in memory at once, and a row group of a Parquet file. Besides its values, a pixel takes its
# row and column, a class and a line of text.
_BLOCK_BYTES = 2**26
_PIXEL_BYTES = 256


@dataclass(frozen=True, eq=False)
class TableBlock:
    """Some rows of the table: n pixels in row-major order of the scene.

    Attributes
    ----------
    rows, cols : (n,) integer arrays
        Row and column of each pixel, from 0.
    classes : (n,) integer array
        Class of each pixel, 0 = unlabelled.
    values : (n, D) float32 array
        Features; `ExportTable.columns` names them.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    classes: NDArray[np.integer]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ExportTable:
    """Contents of the table; no feature is read before `blocks`.

    Attributes
    ----------
    features : Features
        The store.
    planes : list of PlaneSpec
        Planes whose channels are columns.
    spectra : bool
        Whether the scene's bands are columns before them.
    mask : (rows, cols) bool array
        Pixels that are rows of the table.
    labels : Labels
        Classes of the pixels.
    """

    features: Features
    planes: list[PlaneSpec]
    spectra: bool
    mask: NDArray[np.bool_]
    labels: Labels

    @cached_property
    def columns(self) -> list[str]:
        """Name of each feature, such as ``band[3]`` and ``t50/up_blocks.2[17]``; bands and channels count from 0."""
        bands = [f"band[{band}]" for band in range(self.features.scene.bands)] if self.spectra else []
        return bands + [f"{plane.id}[{channel}]" for plane in self.planes for channel in range(plane.channels)]

    @cached_property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    def metadata(self) -> dict[str, Any]:
        """Return the origin of the table and the names of its classes, as plain JSON values."""
        scene = self.features.scene
        return {
            "store": self.features.name,
            "recipe_key": self.features.key,
            "scene": scene.name,
            "licence": scene.licence,
            "citation": scene.citation,
            "labels": self.labels.name,
            "class_names": {str(number): name for number, name in self.labels.class_names.items()},
        }

    def blocks(self) -> Iterator[TableBlock]:
        """Read the table in blocks of bounded size, pixels in row-major order of the scene."""
        # Pixels above each row of the scene. Blocks end where shards do if they can, so that a shard is read once.
        before = np.concatenate([[0], np.cumsum(self.mask.sum(axis=1))])
        shard_ends = np.append(before[:: self.features.store.layout.cube_shard_px], before[-1])
        max_pixels = max(_BLOCK_BYTES // (4 * len(self.columns) + _PIXEL_BYTES), 1)
        for start, stop in cut_ranges(shard_ends, max_pixels):
            rows, cols = _pixel_range(self.mask, before, start, stop)
            yield TableBlock(rows, cols, self.labels.classes[rows, cols], self._values(rows, cols))

    def _values(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float32]:
        values = np.empty((len(rows), len(self.columns)), np.float32)
        first = self.features.scene.bands if self.spectra else 0
        if self.spectra:
            values[:, :first] = self.features.spectra(rows, cols)
        for plane in self.planes:
            values[:, first : first + plane.channels] = self.features.sample(rows, cols, [plane])
            first += plane.channels
        return values


def cut_ranges(ends: NDArray[np.integer], max_length: int) -> Iterator[tuple[int, int]]:
    """Cut 0 … ends[-1] into ranges of at most `max_length`, at one of the `ends`, (k,) int, where one is within reach.

    >>> list(cut_ranges(np.array([0, 40, 70, 300]), 100))
    [(0, 70), (70, 170), (170, 270), (270, 300)]
    """
    start = 0
    while start < ends[-1]:
        reach = start + max_length
        end = int(ends[np.searchsorted(ends, reach, "right") - 1])
        stop = end if end > start else reach
        yield start, stop
        start = stop


def _pixel_range(
    mask: NDArray[np.bool_], before: NDArray[np.integer], start: int, stop: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return pixels `start` to `stop` of a mask in row-major order; `before` counts those above each row."""
    top, bottom = int(np.searchsorted(before, start, "right")) - 1, int(np.searchsorted(before, stop))
    rows, cols = np.nonzero(mask[top:bottom])
    members = slice(start - int(before[top]), stop - int(before[top]))
    return rows[members] + top, cols[members]
