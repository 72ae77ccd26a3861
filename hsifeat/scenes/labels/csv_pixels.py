"""Labels of single pixels from a CSV file with the columns row, col and class."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np

from hsifeat.delimited_text import parse_int, read_lines, text_errors
from hsifeat.errors import SceneError
from hsifeat.formatting import format_count, unescape_formula
from hsifeat.scenes.label_map import Labels, safe_label_name
from hsifeat.scenes.labels.classes import encode_classes, note_lost_classes, note_zeros
from hsifeat.scenes.pixel_grid import PixelGrid

_COLUMNS = ("row", "col", "class")


def read_pixel_csv(path: Path, scene: PixelGrid) -> Labels:
    """Read a label map from a CSV list of pixels.

    Parameters
    ----------
    path : Path
        UTF-8 text with one pixel per line. A line contains row, col and class, separated by commas, semicolons or tabs.
        A class name that contains the separator is in double quotes. Rows and columns are counted from 0. With a header
        line, the columns may have any order, and other columns are ignored.
    scene : PixelGrid
        Scene that contains the pixels.

    Returns
    -------
    Labels
        Label map in which unlisted pixels are 0. Lines with the class NaN are skipped. Pixels that are listed with
        different classes become 0. Notes state how many lines were skipped and how many pixels had different classes.

    Raises
    ------
    SceneError
        If the file does not exist, is not UTF-8 text, lacks a column or has no labelled pixel. If a line has more fields than
        the table has columns. If a row or column is not a whole number. If the classes mix names and numbers. If a class
        number is not a whole number from 0 to 2**31 - 1. If a pixel lies outside the scene.
    """
    if not path.is_file():
        raise SceneError(f"no such file: {path}")
    pixels, class_texts, missing = _read_lines(path, scene)
    if not class_texts:
        raise SceneError(f"{path.name} has no labelled pixel: a CSV of labels has lines of row, col, class")
    values, class_names = encode_classes(class_texts, path.name)
    class_names = {number: unescape_formula(name) for number, name in class_names.items()}
    rows, cols = np.array(pixels, dtype=np.intp).T
    classes = np.zeros((scene.rows, scene.cols), values.dtype)
    classes[rows, cols] = values
    conflicts = classes[rows, cols] != values
    classes[rows[conflicts], cols[conflicts]] = 0
    count = len(set(zip(rows[conflicts].tolist(), cols[conflicts].tolist(), strict=True)))
    notes: tuple[str, ...] = (
        (f"{path.name}: {format_count(count, 'pixel is', 'pixels are')} listed with different classes and became 0",)
        if count
        else ()
    )
    notes += (*note_lost_classes(values[None], classes, class_names, path.name), *note_zeros(values, "line", path.name))
    if missing:
        unlabelled = format_count(missing, "pixel has the class NaN and stays", "pixels have the class NaN and stay")
        notes += (f"{path.name}: {unlabelled} unlabelled",)
    return Labels(safe_label_name(path.stem), classes, class_names, notes=notes, georeference=scene.georeference)


def _read_lines(path: Path, scene: PixelGrid) -> tuple[list[tuple[int, int]], list[str], int]:
    """Return the positions (row, col) and class texts of the listed pixels, and the number of lines with the class NaN."""
    pixels: list[tuple[int, int]] = []
    class_texts: list[str] = []
    missing = 0
    order: tuple[int, ...] | None = None
    with text_errors(str(path), SceneError), path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = _detect_delimiter(file)
        for number, fields in read_lines(file, delimiter, path.name, SceneError):
            if order is None:
                order, is_header = _find_columns(fields, path.name)
                if is_header:
                    continue
            line = f"{path.name}, line {number}"
            _check_fields(fields, order, line)
            row, col = (parse_int(fields[index]) for index in order[:2])
            if row is None or col is None:
                raise SceneError(f"{line}: row and col must be whole numbers; found {delimiter.join(fields)!r}")
            if not (0 <= row < scene.rows and 0 <= col < scene.cols):
                raise SceneError(
                    f"{line}: row {row}, col {col} is outside the scene {scene.name} of {scene.rows} x {scene.cols} "
                    "pixels, both counted from 0"
                )
            if fields[order[2]].strip().lower() == "nan":
                missing += 1
                continue
            pixels.append((row, col))
            class_texts.append(fields[order[2]])
    return pixels, class_texts, missing


def _check_fields(fields: list[str], order: tuple[int, ...], line: str) -> None:
    """Raise `SceneError` if a line lacks a column, or if the class of a line extends over several lines of the file."""
    if len(fields) <= max(order) or not fields[order[2]].strip():
        raise SceneError(f"{line}: expected row, col, class; found {','.join(fields)!r}")
    if len(fields[order[2]].splitlines()) > 1:
        raise SceneError(f"{line}: the class {fields[order[2]]!r} goes over several lines; a quote may be missing")


def _detect_delimiter(file: TextIO) -> str:
    """Return the delimiter of a CSV file: a comma, semicolon or tab. Spreadsheets use semicolons in many locales."""
    first_line = next((line for line in file if line.strip()), "")
    file.seek(0)
    for delimiter in ",;\t":
        with suppress(SceneError):
            _find_columns(next(csv.reader([first_line], delimiter=delimiter, skipinitialspace=True), []), "")
            return delimiter
    return ","


def _find_columns(fields: list[str], name: str) -> tuple[tuple[int, ...], bool]:
    """Return the column indices of row, col and class, and whether the first line is a header."""
    titles = [field.strip().lower() for field in fields]
    if all(titles.count(column) == 1 for column in _COLUMNS):
        return tuple(titles.index(column) for column in _COLUMNS), True
    if len(fields) == 3 and parse_int(fields[0]) is not None and parse_int(fields[1]) is not None:
        return (0, 1, 2), False
    raise SceneError(
        f"{name}: a CSV of labels has the columns row, col, class, separated by commas, semicolons or tabs; found "
        f"{', '.join(fields)}. Save map coordinates as points in a vector file instead"
    )
