"""Read the tables that `hsifeat export` writes as .npy files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError, StoreError
from hsifeat.files import read_regular
from hsifeat.formatting import format_count
from hsifeat.imports.feature_map import FeatureMap
from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.scenes.pixel_grid import PixelGrid
from hsifeat.scenes.readers import read_raster
from hsifeat.types import PlaneId

_COLUMN = re.compile(r"(.+)\[(\d+)\]")


def is_exported_table(path: Path) -> bool:
    """Return whether a ``.npy`` file is an exported table: the two files that list its columns and its pixels are beside it."""
    return path.suffix.lower() == ".npy" and _columns_file(path).is_file() and _pixels_file(path).is_file()


def read_exported_table(path: Path, scene: PixelGrid) -> list[FeatureMap]:
    """Read the planes of an exported table as features on the grid of the scene. Pixels outside the table have no value.

    Raises
    ------
    SceneError
        If the files of the table are damaged, do not belong together, or have a pixel outside of the scene. If no column of
        the table belongs to a plane.
    """
    table = read_raster(path, 2).array
    names = _column_names(path)
    rows, cols = _pixels(path, scene)
    if tuple(table.shape) != (len(rows), len(names)):
        raise SceneError(
            f"{path}: {' x '.join(map(str, table.shape))} values for {format_count(len(rows), 'pixel')} and {format_count(len(names), 'column')}: these files are not of "
            "one export"
        )
    index = np.full((scene.rows, scene.cols), -1, np.int64)
    index[rows, cols] = np.arange(len(rows))
    columns: dict[PlaneId, list[int]] = {}
    for column, name in enumerate(names):
        plane = _plane_of(name)
        if plane is not None:
            columns.setdefault(plane, []).append(column)
    if not columns:
        raise SceneError(f"{path}: no column of a plane: export some with `planes`")
    maps = []
    for plane, own in columns.items():
        if own != list(range(own[0], own[0] + len(own))):
            raise SceneError(f"{path}: the columns of {plane} do not follow one another: export the features again")
        array = TableView(table, index, own[0], len(own))
        maps.append(FeatureMap(plane, str(path), array, georeference=scene.georeference))
    return maps


class TableView(ArrayView):
    """Adjacent columns of a table as a (rows, cols, channels) float32 view. Pixels without a row are NaN.

    Parameters
    ----------
    table : (n, D) array-like
        The table.
    index : (rows, cols) int64 array
        Row of the table for each pixel; -1 for a pixel without a row.
    first, channels : int
        Index of the first column of the view, and number of its columns.
    """

    def __init__(self, table: Any, index: NDArray[np.int64], first: int, channels: int) -> None:
        super().__init__((*index.shape, channels), np.dtype(np.float32))
        self._table, self._index, self._first = table, index, first

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        rows, cols, channels = as_slices(parts)
        index = self._index[rows, cols]
        values = np.full((*index.shape, self.shape[2]), np.nan, np.float32)
        listed = index >= 0
        values[listed] = self._table[index[listed], self._first : self._first + self.shape[2]]
        return values[..., channels]


def _columns_file(path: Path) -> Path:
    return path.with_suffix(".columns.json")


def _pixels_file(path: Path) -> Path:
    return path.with_suffix(".pixels.csv")


def _column_names(path: Path) -> list[str]:
    file = _columns_file(path)
    try:
        names = json.loads(read_regular(file))["columns"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SceneError(f"{file} has no list of columns: export the features again") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SceneError(f"{file} has no list of columns: export the features again")
    return names


def _pixels(path: Path, scene: PixelGrid) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    file = _pixels_file(path)
    try:
        rows, cols = np.loadtxt(file, np.int64, delimiter=",", skiprows=1, usecols=(0, 1), ndmin=2).T
    except ValueError as error:
        raise SceneError(f"{file} has no rows and columns of pixels: export the features again") from error
    outside = (rows < 0) | (rows >= scene.rows) | (cols < 0) | (cols >= scene.cols)
    if outside.any():
        first = int(np.argmax(outside))
        raise SceneError(
            f"{file}: the pixel at row {rows[first]}, column {cols[first]} lies outside of the scene {scene.name} "
            f"({scene.rows} x {scene.cols} pixels): name the scene that was exported"
        )
    return rows, cols


def _plane_of(name: str) -> PlaneId | None:
    match = _COLUMN.fullmatch(name)
    if match is None or match[1] == "band":
        return None
    try:
        return PlaneId.parse(match[1])
    except StoreError as error:
        raise SceneError(
            f"the column {name[:80]!r} of an exported table names no plane: export the features again"
        ) from error
