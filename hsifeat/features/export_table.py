"""Table of features for export, with one row per pixel and one column per feature.

The table is read in blocks of bounded size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.features.features import Features
from hsifeat.scenes import Labels
from hsifeat.store.plane_layout import PlaneSpec

# Maximum size of a block. One block at a time is held in memory, and a Parquet file has one row group per block.
_BLOCK_BYTES = 2**26
# Memory per pixel besides its features: its row, column, class and a line of CSV text.
_PIXEL_BYTES = 256


@dataclass(frozen=True, eq=False)
class TableBlock:
    """A block of n consecutive rows of an `ExportTable`.

    Attributes
    ----------
    rows, cols : (n,) integer arrays
        Row and column of each pixel in the scene, starting at 0.
    classes : (n,) integer array
        Class of each pixel; 0 means unlabelled.
    values : (n, D) float32 array
        Features, in the order of `ExportTable.columns`.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    classes: NDArray[np.integer]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ExportTable:
    """Table of features, with one row per pixel and one column per feature.

    Only `blocks` reads features from the store.

    Attributes
    ----------
    features : Features
        Features of an open store.
    planes : list of PlaneSpec
        Planes to export; each channel is a column.
    spectra : bool
        Whether the table starts with a column per band of the scene.
    mask : (rows, cols) bool array
        True for the pixels to export.
    labels : Labels
        Label map with the classes of the pixels.
    """

    features: Features
    planes: list[PlaneSpec]
    spectra: bool
    mask: NDArray[np.bool_]
    labels: Labels

    @cached_property
    def columns(self) -> list[str]:
        """Names of the features, such as ``band[3]`` and ``t50/up_blocks.2[17]``; numbers start at 0."""
        bands = [f"band[{band}]" for band in range(self.features.scene.bands)] if self.spectra else []
        return bands + [f"{plane.id}[{channel}]" for plane in self.planes for channel in range(plane.channels)]

    @cached_property
    def pixels(self) -> int:
        """Number of exported pixels."""
        return int(np.count_nonzero(self.mask))

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the table as JSON values.

        The values are names of the store, scene, label map and classes, the key of the store, and licence and citation of
        the scene.
        """
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
        """Read the table block by block. All pixels of the table are in row-major order."""
        # Number of exported pixels above each row of the scene.
        pixels_above = np.concatenate([[0], np.cumsum(self.mask.sum(axis=1))])
        # A block ends at the end of a row of shards where possible, so that no shard is read twice.
        shard_ends = np.append(pixels_above[:: self.features.store.layout.cube_shard_px], pixels_above[-1])
        max_pixels = max(_BLOCK_BYTES // (4 * len(self.columns) + _PIXEL_BYTES), 1)
        for start, stop in cut_ranges(shard_ends, max_pixels):
            rows, cols = _pixel_range(self.mask, pixels_above, start, stop)
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
    """Divide the range from 0 to ``ends[-1]`` into consecutive ranges of limited length.

    Parameters
    ----------
    ends : (k,) integer array
        Preferred ends of ranges, in ascending order.
    max_length : int
        Maximum length of a range. A range ends at the last preferred end that this length allows. If there is no such
        end, the range has the maximum length.

    Yields
    ------
    tuple of 2 ints
        Start and stop of a range.

    Examples
    --------
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
    mask: NDArray[np.bool_], pixels_above: NDArray[np.integer], start: int, stop: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of the pixels `start` to ``stop - 1`` of a mask.

    The pixels of the mask are numbered in row-major order. `pixels_above` has the number of mask pixels above each row.
    """
    top, bottom = int(np.searchsorted(pixels_above, start, "right")) - 1, int(np.searchsorted(pixels_above, stop))
    rows, cols = np.nonzero(mask[top:bottom])
    members = slice(start - int(pixels_above[top]), stop - int(pixels_above[top]))
    return rows[members] + top, cols[members]
