"""Pixel tables in memory-mapped files, which worker processes share without copies."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.input_sets import InputSet
from classifiers.layout import ColumnGroup, Layout
from classifiers.reduction import SAMPLE_PIXELS, Reduction
from classifiers.splits import SplitDraw
from classifiers.table import PixelTable
from hsifeat.types import PlaneId

# Estimated number of copies of the training rows that a fit holds in memory: unscaled, scaled, in float64.
_COPIES = 6
# Largest table of a block in bytes. Pixels are predicted block by block.
BLOCK_BYTES = 2**25


@dataclass(frozen=True)
class SharedTable:
    """A `PixelTable` in a folder, or a selection of its column groups.

    An instance does not contain the arrays in the files, so pickling it for a worker process is cheap.

    Attributes
    ----------
    folder : Path
        Folder with one file for each array:

        - ``X.npy`` (n, width) float32: columns of n labelled pixels;
        - ``y.npy`` (n,) integer: classes of these pixels;
        - ``pixels.npy`` (n,) integer: flat indices of these pixels, in ascending order;
        - ``unlabelled.npy`` (m, width) float32, optional: columns of m random pixels, labelled or not;
        - ``scene.npy`` (n,) intp and ``unlabelled-scene.npy`` (m,) intp: index of the scene of each pixel. These files
          exist only together with ``unlabelled.npy``.
    groups : tuple of ColumnGroup
        Selected column groups; ``start`` and ``stop`` are columns of ``X.npy``.
    grid_cols : int
        Number of columns of the label map. The flat indices in ``pixels.npy`` are positions in this map.
    reduction : {"scene", "train"}
        Pixels on which heads fit their reduction of columns: the random pixels (``scene``), or the training pixels.
    """

    folder: Path
    groups: tuple[ColumnGroup, ...]
    grid_cols: int
    reduction: Reduction = "train"

    @classmethod
    def write(cls, table: PixelTable, folder: Path) -> Self:
        """Write a table to a new folder."""
        folder.mkdir(parents=True)
        for name, values in (("X", table.X), ("y", table.y), ("pixels", table.pixels)):
            np.save(folder / f"{name}.npy", values, allow_pickle=False)
        grid_cols = table.labels.cols
        if table.sample is None:
            return cls(folder, table.layout.groups, grid_cols)
        np.save(folder / "unlabelled.npy", table.sample.X, allow_pickle=False)
        np.save(folder / "unlabelled-scene.npy", table.sample.scene, allow_pickle=False)
        np.save(folder / "scene.npy", table.scene, allow_pickle=False)
        return cls(folder, table.layout.groups, grid_cols, "scene")

    def take(self, inputs: InputSet) -> SharedTable:
        """Return this table with only the column groups of an input set."""
        return replace(self, groups=tuple(filter(inputs.includes, self.groups)))

    def only(self, planes: Collection[PlaneId], *, spectra: bool) -> SharedTable:
        """Return this table with the groups of `planes` as its only column groups, after spectra if `spectra` is true."""
        groups = tuple(
            g
            for g in self.groups
            if (g.kind == "spectra" and spectra)
            or (g.kind in {"plane", "context"} and PlaneId(int(g.t or 0), str(g.layer)) in planes)
        )
        return replace(self, groups=groups)

    @property
    def layout(self) -> Layout:
        """Layout of the selected columns, in the order of `groups`."""
        stops = accumulate(group.width for group in self.groups)
        return Layout(
            tuple(replace(g, start=stop - g.width, stop=stop) for g, stop in zip(self.groups, stops, strict=True))
        )

    def size_bytes(self, rows: int) -> int:
        """Return the number of bytes of the selected columns of `rows` pixels. Values are stored as float32."""
        return rows * self.layout.width * np.dtype(np.float32).itemsize

    def fit_bytes(self, draws: Iterable[SplitDraw]) -> int:
        """Estimate the peak memory in bytes of a process that fits and predicts.

        The estimate is the larger of two values: the memory of a fit to the largest training set in `draws`, and the memory
        of the prediction of one block of pixels.
        """
        sampled = SAMPLE_PIXELS if self.reduction == "scene" else 0
        return _COPIES * max(BLOCK_BYTES, *(self.size_bytes(int(draw.train.sum()) + sampled) for draw in draws))

    def rows(self, pixels: NDArray[np.integer]) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
        """Read the columns and true classes of pixels.

        Parameters
        ----------
        pixels : (n,) integer array
            Flat indices of labelled pixels of the scene.

        Returns
        -------
        columns : (n, width) float32 array
            Values of the columns.
        classes : (n,) integer array
            True classes.
        """
        file_rows = np.searchsorted(self._load("pixels"), pixels)
        return self._columns("X", file_rows), np.asarray(self._load("y")[file_rows])

    def positions(self, pixels: NDArray[np.integer]) -> NDArray[np.intp]:
        """Convert flat pixel indices to an (n, 2) integer array of rows and columns for `Head.fit`."""
        return np.stack(np.divmod(np.asarray(pixels, np.intp), self.grid_cols), axis=1)

    def unlabelled(self, train: NDArray[np.integer]) -> NDArray[np.float32] | None:
        """Return the selected columns of the random pixels, for the argument `unlabelled` of `Head.fit`.

        Parameters
        ----------
        train : (n,) integer array
            Flat indices of the training pixels. If a scene has no training pixel, its random pixels are left out.

        Returns
        -------
        (m, width) float32 array or None
            Values of the columns at m random pixels. None if the `reduction` of the table is ``train``.
        """
        if self.reduction == "train":
            return None
        scenes = np.unique(self._load("scene")[np.searchsorted(self._load("pixels"), train)])
        return self._columns("unlabelled", np.flatnonzero(np.isin(self._load("unlabelled-scene"), scenes)))

    def _load(self, name: str) -> NDArray[Any]:
        values: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return values

    def _columns(self, name: str, file_rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Read the selected columns from the file ``<name>.npy``, at the rows `file_rows`."""
        columns = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        parts = [columns[file_rows, group.start : group.stop] for group in self.groups]
        return np.ascontiguousarray(np.concatenate(parts, axis=1), np.float32)
