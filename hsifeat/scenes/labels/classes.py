"""Conversion of raster values, and of lists of numbers or names, to class numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.formatting import format_count, list_some
from hsifeat.scenes.nodata import NETCDF_FILLS, is_nodata
from hsifeat.scenes.scene_blocks import blocks, count_values
from hsifeat.types import LARGEST_CLASS, Cube

Classes = NDArray[np.unsignedinteger]
# Names of class 0 that mean unlabelled, in lower case without digits and punctuation.
_UNLABELLED_NAMES = {
    "", "unclassified", "unclassed", "unlabelled", "unlabeled", "notlabelled", "notlabeled", "unknown", "undefined",
    "unassigned", "nolabel", "noclass", "nodata", "nodatavalue", "novalue", "nan", "na", "null", "none", "void", "empty",
    "fill", "fillvalue", "missing", "ignore", "ignored", "masked", "background", "outside", "invalid", "class",
}  # fmt: skip
_REQUIREMENT = "labels must be whole numbers, with 0 for unlabelled"


def read_classes(
    array: Cube, nodata: Sequence[float], name: str, *, can_declare_nodata: bool = True
) -> tuple[Classes, tuple[str, ...]]:
    """Read a raster of class numbers block by block.

    Parameters
    ----------
    array : array-like of shape (rows, cols)
        Whole numbers of any real dtype, in memory or on disk.
    nodata : sequence of float
        No-data values, possibly NaN. Pixels with a no-data value become 0.
    name : str
        Name of the file, for notes and errors.
    can_declare_nodata : bool
        Whether the file format can declare no-data values. This affects only the advice in notes and errors.

    Returns
    -------
    classes : (rows, cols) unsigned integer array
        Class numbers, in the smallest dtype that can represent all of them.
    notes : tuple of str
        A note on the number of no-data pixels. A note if the map contains zeros, although the file declares no-data values
        other than 0. A note if the highest class is the largest value of the dtype of `array`, since this value may be an
        undeclared no-data value.

    Raises
    ------
    SceneError
        If a value outside `nodata` is fractional, NaN, negative or above 2**31 - 1.

    Examples
    --------
    >>> read_classes(np.array([[1, 255]]), [255], "gt.tif")
    (array([[1, 0]], dtype=uint8), ('gt.tif: 1 pixel of nodata became 0',))
    """
    if np.dtype(array.dtype).kind not in "biuf":
        raise SceneError(f"{name}: {_REQUIREMENT}; found {array.dtype}")
    rows, cols = array.shape
    classes: Classes = np.zeros((rows, cols), np.uint8)
    nodata_count = zero_count = highest = 0
    for block in blocks(rows, cols):
        values = np.asarray(array[block.slices])
        missing = is_nodata(values, tuple(value for value in nodata if value != 0))
        nodata_count += int(np.count_nonzero(missing))
        zero_count += int(np.count_nonzero(values == 0))
        values = np.where(missing, np.zeros((), values.dtype), values)
        _check_values(values, name, can_declare_nodata=can_declare_nodata)
        highest = max(highest, int(values.max(initial=0)))
        dtype = np.min_scalar_type(int(values.max(initial=0)))
        if dtype.itemsize > classes.dtype.itemsize:
            classes = classes.astype(dtype)
        classes[block.slices] = values
    notes = [f"{name}: {format_count(nodata_count, 'pixel')} of nodata became 0"] if nodata_count else []
    declared_values = [value for value in nodata if value not in NETCDF_FILLS.values()]
    if zero_count and declared_values and 0 not in nodata:
        declared = " and ".join(f"{value:g}" for value in declared_values)
        notes.append(
            f"{name}: {format_count(zero_count, 'pixel is', 'pixels are')} 0, which means unlabelled, although the file declares {declared} as no data: "
            "if 0 is a class, add 1 to all classes"
        )
    dtype = np.dtype(array.dtype)
    if dtype.kind in "iu" and highest == np.iinfo(dtype).max:
        notes.append(
            f"{name}: {highest} is read as a class, although it is the highest value of {dtype.name}: if it means no data, "
            + (
                f"declare that in the file (gdal_edit.py -a_nodata {highest})"
                if can_declare_nodata
                else "replace it by 0"
            )
        )
    return classes, tuple(notes)


def note_lost_classes(
    before: NDArray[np.integer], after: NDArray[np.integer], class_names: dict[int, str], name: str
) -> tuple[str, ...]:
    """Return a note on the classes in a file that no pixel of the scene has; empty if there are none.

    Parameters
    ----------
    before : (rows, cols) integer array
        Classes in the file.
    after : (rows, cols) integer array
        Class of each pixel of the scene.
    class_names : dict of int to str
        Names of classes; other classes are listed by number.
    name : str
        Name of the file, for the note.

    Examples
    --------
    >>> note_lost_classes(np.array([[1, 2]]), np.array([[1, 0]]), {2: "corn"}, "gt")
    ('gt: 1 of 2 classes labels no pixel of the scene: corn',)
    """
    classes = count_values(before).keys() - {0}
    if not (lost := sorted(classes - count_values(after).keys())):
        return ()
    verb = "labels" if len(lost) == 1 else "label"
    listed = list_some((class_names.get(number, str(number)) for number in lost), 8)
    return (f"{name}: {len(lost)} of {len(classes)} classes {verb} no pixel of the scene: {listed}",)


def note_unnamed(class_names: dict[int, str], classes: NDArray[np.integer], name: str) -> tuple[str, ...]:
    """Return a note on the classes of a map that lack a name, although its file names others; empty if there are none.

    Parameters
    ----------
    class_names : dict of int to str
        Class names in the file.
    classes : (rows, cols) integer array
        Class of each pixel in the file.
    name : str
        Name of the file, for the note.

    Examples
    --------
    >>> note_unnamed({1: "corn"}, np.array([[0, 1, 2]]), "gt")
    ('gt: names 1 class, but not 2',)
    """
    unnamed = sorted(count_values(classes).keys() - {0} - class_names.keys()) if class_names else []
    if not unnamed:
        return ()
    return (
        f"{name}: names {format_count(len(class_names), 'class', 'classes')}, but not {list_some(map(str, unnamed), 8)}",
    )


def note_zeros(values: Classes, what: str, name: str) -> tuple[str, ...]:
    """Return a note on the features or lines of a file with the class 0; empty if there are none.

    Parameters
    ----------
    values : (n,) integer array
        Class number of each feature or line.
    what : str
        ``feature`` or ``line``, for the note.
    name : str
        Name of the file, for the note.

    Examples
    --------
    >>> note_zeros(np.array([0, 1, 2]), "line", "gt.csv")
    ('gt.csv: 1 line has the class 0, which means unlabelled: if 0 is a class, add 1 to all classes',)
    """
    if values.all():
        return ()
    count = format_count(int(np.count_nonzero(values == 0)), f"{what} has", f"{what}s have")
    return (f"{name}: {count} the class 0, which means unlabelled: if 0 is a class, add 1 to all classes",)


def composed(name: str) -> str:
    r"""Return a class name with composed accents (Unicode NFC). Names from macOS then equal the same names from elsewhere.

    >>> composed("for\u0065\u0302t") == "for\u00eat"
    True
    """
    return unicodedata.normalize("NFC", name)


def drop_zero(class_names: dict[int, str], classes: Classes, name: str) -> tuple[dict[int, str], tuple[str, ...]]:
    """Remove the name of class 0, because 0 means unlabelled. Return the names of positive classes, and a tuple of notes.

    If `classes` contains zeros, a note reports the removed name. There is no note if the name of class 0 means unlabelled,
    as ``Unclassified`` does.

    Parameters
    ----------
    class_names : dict of int to str
        Class names from the file, by class number.
    classes : (rows, cols) unsigned integer array
        Class of each pixel.
    name : str
        Name of the file, for notes.

    Examples
    --------
    >>> drop_zero({0: "corn", 1: "wheat"}, np.array([[0, 1]], np.uint8), "gt")[0]
    {1: 'wheat'}
    >>> drop_zero({0: "Unclassified", 1: "wheat"}, np.array([[0, 1]], np.uint8), "gt")[1]
    ()
    """
    others = {number: composed(text) for number, text in class_names.items() if number > 0}
    zero_name = class_names.get(0, "").strip()
    if re.sub(r"[\W_\d]", "", zero_name.lower()) in _UNLABELLED_NAMES or classes.all():
        return others, ()
    return others, (
        f"{name}: the name of 0 is {zero_name!r}, but 0 means unlabelled: if 0 is a class, add 1 to all classes or fit with `background_class`",
    )


def _check_values(values: NDArray[np.generic], name: str, *, can_declare_nodata: bool = False) -> None:
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        raise SceneError(f"{name}: {_REQUIREMENT}; found fractions or NaN")
    if (lowest := values.min(initial=0)) < 0:
        remedy = ", which the file does not declare as no data" if can_declare_nodata else ": replace it by 0"
        raise SceneError(f"{name}: {_REQUIREMENT}; found {int(lowest)}{remedy}")
    if (highest := values.max(initial=0)) > LARGEST_CLASS:
        raise SceneError(f"{name}: {_REQUIREMENT}, up to {LARGEST_CLASS}; found {int(highest)}")


def encode_classes(values: Sequence[object], name: str) -> tuple[Classes, dict[int, str]]:
    """Convert a list of numbers or names to class numbers.

    Names are numbered from 1 in alphabetical order.

    Parameters
    ----------
    values : sequence of n numbers or str
        Either only whole numbers (possibly as text) or only names.
    name : str
        Source of the values, for error messages.

    Returns
    -------
    classes : (n,) unsigned integer array
        Class numbers.
    class_names : dict of int to str
        Name of each class; empty if the values are numbers.

    Raises
    ------
    SceneError
        If numbers and names are mixed. If a number is fractional, negative or above 2**31 - 1.

    Examples
    --------
    >>> encode_classes(["wheat", "corn", "wheat"], "x")
    (array([2, 1, 2], dtype=uint8), {1: 'corn', 2: 'wheat'})
    >>> encode_classes(["07", 3.0, 0], "x")
    (array([7, 3, 0], dtype=uint8), {})
    """
    texts, inverse = np.unique(
        np.array([composed(str(value).strip()) for value in values], dtype=str), return_inverse=True
    )
    numbers = [_parse_number(str(text)) for text in texts]
    if None in numbers:
        # If any value is a name, a code such as 1E-2 is a name too.
        numbers = [None if "e" in str(text).lower() else n for text, n in zip(texts, numbers, strict=True)]
    if all(number is None for number in numbers):
        names = {number: str(text) for number, text in enumerate(texts, start=1)}
        return (inverse + 1).astype(np.min_scalar_type(len(texts))), names
    if None in numbers:
        number = next(str(text) for text, n in zip(texts, numbers, strict=True) if n is not None)
        raise SceneError(
            f"{name}: classes must be all numbers or all names; found both {number} and {str(texts[numbers.index(None)])!r}"
        )
    array = np.array(numbers, dtype=np.float64)
    _check_values(array, name)
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))[inverse], {}


def _parse_number(text: str) -> float | None:
    # Stricter than float(), which accepts 1_1 and nan. Programs write exponents with a sign, so 1E2 is a code.
    return float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]\d+)?", text, re.IGNORECASE) else None
