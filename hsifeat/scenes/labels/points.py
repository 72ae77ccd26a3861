"""Labels of single pixels, from a CSV of row, col and class."""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.labels.classes import encode_classes
from hsifeat.scenes.scene import Scene

_COLUMNS = ("row", "col", "class")


def read_points(path: Path, scene: Scene) -> Labels:
    """Read a file of row, col (from 0) and class, separated by commas, semicolons or tabs, with a header or without one.

    Parameters
    ----------
    path : Path
        In UTF-8. A header can name the columns in another order, and further ones, which are left out.
    scene : Scene
        Whose pixels they are.

    Returns
    -------
    Labels
        A pixel that is there with different classes is 0, and noted.

    Raises
    ------
    SceneError
        No such file, other columns, or a pixel outside the scene, with the number of its line.
    """
    if not path.is_file():
        raise SceneError(f"no such file: {path}")
    pixels, found = _read(path, scene)
    if not found:
        raise SceneError(f"{path.name} has no labelled pixel: a CSV of labels has lines of row, col, class")
    values, names = encode_classes(found, path.name)
    rows, cols = np.array(pixels, dtype=np.intp).T
    classes = np.zeros((scene.rows, scene.cols), values.dtype)
    classes[rows, cols] = values
    other = classes[rows, cols] != values
    classes[rows[other], cols[other]] = 0
    count = len(set(zip(rows[other].tolist(), cols[other].tolist(), strict=True)))
    notes = (f"{path.name}: {count} pixels are there with different classes and became 0",) if count else ()
    return Labels(path.stem, classes, names, notes=notes)


def _read(path: Path, scene: Scene) -> tuple[list[tuple[int, int]], list[str]]:
    """Return the pixels and their classes, as text."""
    pixels: list[tuple[int, int]] = []
    found: list[str] = []
    order: tuple[int, ...] | None = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=_delimiter(file), skipinitialspace=True)
            for fields in lines:
                if not any(fields):
                    continue
                if order is None:
                    order, header = _columns(fields, path.name)
                    if header:
                        continue
                where = f"{path.name}, line {lines.line_num}"
                if len(fields) <= max(order) or not fields[order[2]].strip():
                    raise SceneError(f"{where}: wanted row, col, class; found {','.join(fields)!r}")
                row, col = (_whole(fields[place]) for place in order[:2])
                if row is None or col is None:
                    raise SceneError(f"{where}: rows and cols are whole numbers; found {','.join(fields)!r}")
                if not (0 <= row < scene.rows and 0 <= col < scene.cols):
                    raise SceneError(
                        f"{where}: row {row}, col {col} is outside the scene {scene.name} of {scene.rows} x {scene.cols} "
                        "pixels, both counted from 0"
                    )
                pixels.append((row, col))
                found.append(fields[order[2]])
    except (UnicodeDecodeError, csv.Error) as error:
        raise SceneError(f"{path} can't be read as comma-separated text in UTF-8: {error}") from error
    return pixels, found


def _delimiter(file: TextIO) -> str:
    """Return what separates the fields of the first line that has any; programs in many languages write semicolons."""
    first = next((line for line in file if line.strip()), "")
    file.seek(0)
    for mark in ",;\t":
        with suppress(SceneError):
            _columns(next(csv.reader([first], delimiter=mark, skipinitialspace=True), []), "")
            return mark
    return ","


def _columns(fields: list[str], name: str) -> tuple[tuple[int, ...], bool]:
    """Return the places of row, col and class, told by the first line, and whether that line is a header."""
    named = [field.strip().lower() for field in fields]
    if all(named.count(column) == 1 for column in _COLUMNS):
        return tuple(named.index(column) for column in _COLUMNS), True
    if len(fields) == 3 and _whole(fields[0]) is not None and _whole(fields[1]) is not None:
        return (0, 1, 2), False
    raise SceneError(
        f"{name}: a CSV of labels has the columns row, col, class, separated by commas, semicolons or tabs; found {', '.join(fields)}. Save "
        "map coordinates as points in a vector file instead"
    )


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*-?\d{1,18}\s*", text) else None
