"""Class numbers from what files hold: rasters of whole numbers, or lists of numbers or names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.blocks import blocks
from hsifeat.types import Cube

Classes = NDArray[np.unsignedinteger]
# GDAL warps and rasterises no wider whole numbers in all its versions.
_MOST = 2**32 - 1
# What 0 is called where it is no class, in small letters only.
_UNLABELLED = {
    "", "unclassified", "unclassed", "unlabelled", "unlabeled", "notlabelled", "notlabeled", "unknown", "undefined",
    "unassigned", "nolabel", "noclass", "nodata", "nodatavalue", "novalue", "nan", "na", "null", "none", "void", "empty",
    "fill", "fillvalue", "missing", "ignore", "ignored", "masked", "background", "outside", "invalid", "class",
}  # fmt: skip
_WANTED = "labels are whole numbers with 0 for unlabelled"


def read_classes(array: Cube, nodata: Sequence[float], name: str) -> tuple[Classes, tuple[str, ...]]:
    """Read a raster of class numbers by blocks.

    Parameters
    ----------
    array : array-like of shape (rows, cols)
        Whole numbers of any dtype, in memory or on disk.
    nodata : sequence of float
        Values that stand for no data, which may be NaN; they become 0.
    name : str
        The file's name, for notes and errors.

    Returns
    -------
    (rows, cols) unsigned integer array
        Of the smallest dtype that holds them.
    tuple of str
        How many values of `nodata` there were, how many zeros where 0 is not `nodata`, and whether the highest class may
        be no data that the file does not declare.

    Raises
    ------
    SceneError
        Fractions, NaN or negative numbers that are not `nodata`, or numbers above 2**32 - 1.
    """
    if np.dtype(array.dtype).kind not in "biuf":
        raise SceneError(f"{name}: {_WANTED}; found {array.dtype}")
    rows, cols = array.shape
    classes: Classes = np.zeros((rows, cols), np.uint8)
    hidden_count = zeros = highest = 0
    for block in blocks(rows, cols):
        values = np.asarray(array[block.slices])
        hidden = np.zeros(values.shape, dtype=bool)
        for value in set(nodata) - {0}:
            with np.errstate(over="ignore"):  # float32 can't hold float64's lowest number
                hidden |= np.isnan(values) if np.isnan(value) else values == value
        hidden_count += int(np.count_nonzero(hidden))
        zeros += int(np.count_nonzero(values == 0))
        values = np.where(hidden, np.zeros((), values.dtype), values)
        _check(values, name)
        highest = max(highest, int(values.max(initial=0)))
        dtype = np.min_scalar_type(int(values.max(initial=0)))
        if dtype.itemsize > classes.dtype.itemsize:
            classes = classes.astype(dtype)
        classes[block.slices] = values
    notes = [f"{name}: {hidden_count} pixels of nodata became 0"] if hidden_count else []
    if zeros and nodata and 0 not in nodata:
        stands = " and ".join(f"{value:g}" for value in nodata)
        notes.append(
            f"{name}: {zeros} pixels are 0, which is unlabelled, though {stands} stands for no data: if 0 is a class, add 1 "
            "to all classes"
        )
    kind = np.dtype(array.dtype)
    if kind.kind in "iu" and highest == np.iinfo(kind).max:
        notes.append(
            f"{name}: took {highest} as a class, the highest number that {kind.name} holds: if it stands for no data, say "
            f"so in the file (gdal_edit.py -a_nodata {highest})"
        )
    return classes, tuple(notes)


def drop_zero(class_names: dict[int, str], classes: Classes, name: str) -> tuple[dict[int, str], tuple[str, ...]]:
    """Leave out what 0 is called, and say so where that is a class's name and zeros occur.

    >>> drop_zero({0: "corn", 1: "wheat"}, np.array([[0, 1]], np.uint8), "gt")[0]
    {1: 'wheat'}
    >>> drop_zero({0: "Unclassified", 1: "wheat"}, np.array([[0, 1]], np.uint8), "gt")[1]
    ()
    """
    others = {number: text for number, text in class_names.items() if number != 0}
    called = class_names.get(0, "").strip()
    if re.sub(r"[\W_\d]", "", called.lower()) in _UNLABELLED or classes.all():
        return others, ()
    return others, (f"{name}: calls 0 {called!r}, but 0 is unlabelled here: if it is a class, add 1 to all classes",)


def _check(values: NDArray[np.generic], name: str) -> None:
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        raise SceneError(f"{name}: {_WANTED}; found fractions or NaN")
    if (low := values.min(initial=0)) < 0:
        raise SceneError(f"{name}: {_WANTED}; found {int(low)}, which the file does not mark as nodata")
    if (high := values.max(initial=0)) > _MOST:
        raise SceneError(f"{name}: {_WANTED}, up to {_MOST}; found {int(high)}")


def encode_classes(found: Sequence[object], name: str) -> tuple[Classes, dict[int, str]]:
    """Turn a list of numbers, or of names, into class numbers.

    Parameters
    ----------
    found : sequence of n numbers or str
        All of them whole numbers, which may be written as text; or all of them names.
    name : str
        Where they come from, for errors.

    Returns
    -------
    (n,) unsigned integer array
        The numbers; for names, their places from 1 in alphabetical order.
    dict of int to str
        The names; empty for numbers.

    Raises
    ------
    SceneError
        Numbers among names, fractions, or numbers below 0 or above 2**32 - 1.

    Examples
    --------
    >>> encode_classes(["wheat", "corn", "wheat"], "x")
    (array([2, 1, 2], dtype=uint8), {1: 'corn', 2: 'wheat'})
    >>> encode_classes(["07", 3.0, 0], "x")
    (array([7, 3, 0], dtype=uint8), {})
    """
    texts, places = np.unique(np.array([str(value).strip() for value in found], dtype=str), return_inverse=True)
    numbers = [_as_number(str(text)) for text in texts]
    if all(number is None for number in numbers):
        names = {number: str(text) for number, text in enumerate(texts, start=1)}
        return (places + 1).astype(np.min_scalar_type(len(texts))), names
    if None in numbers:
        number, text = next(n for n in numbers if n is not None), texts[numbers.index(None)]
        raise SceneError(f"{name}: classes are either numbers or names; found both {number:g} and {str(text)!r}")
    values = np.array(numbers, dtype=np.float64)
    _check(values, name)
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))[places], {}


def _as_number(text: str) -> float | None:
    # Stricter than float(), which takes 1_1 for 11 and nan for a number.
    return float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.IGNORECASE) else None
