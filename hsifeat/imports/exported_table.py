"""Read the tables that `hsifeat export` writes as .npy files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.delimited_text import parse_int, read_lines, text_errors
from hsifeat.errors import SceneError, StoreError
from hsifeat.files import read_regular
from hsifeat.formatting import format_count
from hsifeat.imports.feature_map import FeatureMap
from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.scenes.pixel_grid import PixelGrid
from hsifeat.scenes.readers import read_raster
from hsifeat.types import PlaneId

_COLUMN = re.compile(r"(.+)\[(\d{1,9})\]")
_PIXEL_COLUMNS = ("row", "col")


def is_exported_table(path: Path) -> bool:
    """Return whether a ``.npy`` file is an exported table: the two files that list its columns and its pixels are beside it."""
    return path.suffix.lower() == ".npy" and _columns_file(path).is_file() and _pixels_file(path).is_file()


def read_exported_table(path: Path, scene: PixelGrid) -> list[FeatureMap]:
    """Read the planes of an exported table as features on the grid of the scene. Pixels outside the table have no value.

    Raises
    ------
    SceneError
        If the files of the table are damaged, do not belong together, or list a pixel outside of the scene or a pixel twice.
        If no column of the table belongs to a plane.
    """
    table = read_raster(path, 2).array
    names = _column_names(path)
    index, pixels = _pixel_index(_pixels_file(path), scene)
    if tuple(table.shape) != (pixels, len(names)):
        raise SceneError(
            f"{path}: {' x '.join(map(str, table.shape))} values for {format_count(pixels, 'pixel')} and {format_count(len(names), 'column')}: these files are not of "
            "one export"
        )
    return [
        FeatureMap(plane, str(path), TableView(table, index, first, channels), georeference=scene.georeference)
        for plane, first, channels in _planes(path, names)
    ]


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


def _pixel_index(file: Path, scene: PixelGrid) -> tuple[NDArray[np.int64], int]:
    """Return the `index` of a `TableView`, and the number of pixels in the table."""
    with text_errors(str(file), SceneError):
        rows, cols = np.fromiter(_read_pixels(file), np.dtype((np.int64, 2))).T
    outside = (rows < 0) | (rows >= scene.rows) | (cols < 0) | (cols >= scene.cols)
    if outside.any():
        first = int(np.argmax(outside))
        raise SceneError(
            f"{file}: the pixel at row {rows[first]}, column {cols[first]} lies outside of the scene {scene.name} "
            f"({scene.rows} x {scene.cols} pixels): name the scene that was exported"
        )
    index = np.full((scene.rows, scene.cols), -1, np.int64)
    index[rows, cols] = np.arange(len(rows))
    repeated = index[rows, cols] != np.arange(len(rows))
    if repeated.any():
        first = int(np.argmax(repeated))
        raise SceneError(
            f"{file} lists the pixel at row {rows[first]}, column {cols[first]} more than once: each pixel has one row in the table"
        )
    return index, len(rows)


def _read_pixels(file: Path) -> Iterator[tuple[int, int]]:
    """Yield row and col of each line after the header, which must have each of these two names once."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        lines = read_lines(text, ",", str(file), SceneError)
        names = [name.strip() for name in next(lines, (0, []))[1]]
        if any(names.count(name) != 1 for name in _PIXEL_COLUMNS):
            raise SceneError(
                f"{file} has the columns {', '.join(names) or 'none'}; it needs {' and '.join(_PIXEL_COLUMNS)} once, separated by commas"
            )
        first, second = map(names.index, _PIXEL_COLUMNS)
        for line, fields in lines:
            if len(fields) < len(names):
                raise SceneError(
                    f"{file}, line {line}: found {format_count(len(fields), 'field')} for the columns {', '.join(names)} in "
                    f"{','.join(fields)[:120]!r}: export the features again"
                )
            row, col = parse_int(fields[first]), parse_int(fields[second])
            if row is None or col is None:
                raise SceneError(
                    f"{file}, line {line}: row and col must be whole numbers; found {','.join(fields)[:120]!r}"
                )
            yield row, col


def _planes(path: Path, names: list[str]) -> list[tuple[PlaneId, int, int]]:
    """Return the planes of a table, each with the index of its first column and its number of columns."""
    columns: dict[PlaneId, list[tuple[int, int]]] = {}
    for column, name in enumerate(names):
        match = _COLUMN.fullmatch(name)
        if match is not None and match[1] != "band":
            columns.setdefault(_parse_plane(match[1], name), []).append((column, int(match[2])))
    if not columns:
        raise SceneError(f"{path}: no column of a plane: export some with `planes`")
    for plane, own in columns.items():
        steps = np.diff(own, axis=0)
        if (steps[:, 0] != 1).any() or (steps[:, 1] < 1).any():
            raise SceneError(
                f"{path}: the columns of {plane} must be adjacent and in the order of their channels: export the features again"
            )
    return [(plane, own[0][0], len(own)) for plane, own in columns.items()]


def _parse_plane(text: str, name: str) -> PlaneId:
    try:
        return PlaneId.parse(text)
    except StoreError as error:
        raise SceneError(
            f"the column {name[:80]!r} of an exported table names no plane: export the features again"
        ) from error
