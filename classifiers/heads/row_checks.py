"""Check training rows, their positions and their weights before a head is fitted."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _check_sample_weight

from classifiers.layout import Layout
from hsifeat.errors import HeadError
from hsifeat.formatting import format_count

# A column is constant if its standard deviation is at most this many rounding errors of its mean.
CONSTANT_ERRORS = 10
_FEW_ROWS = 10
# Squares of larger values, or sums of their squares, can exceed the range of float32.
MAX_VALUE = 1e18


class ConstantFeaturesError(HeadError):
    """Raised when no feature of the training rows varies, so that a head can learn nothing from them."""


def check_unmasked(**arrays: object) -> None:
    """Raise `HeadError` if an array has masked values, which scikit-learn would use like all others."""
    for name, values in arrays.items():
        if np.ma.is_masked(values):
            raise HeadError(
                f"{name} has masked values, which heads do not leave out: leave their rows out of all arrays, such as those where "
                f"np.ma.getmaskarray({name}) is True"
            )


def checked_positions(positions: ArrayLike | None, rows: NDArray[np.floating]) -> NDArray[np.int64] | None:
    """Return positions of table rows as an (n, 2) int64 array.

    Raise `HeadError` if the positions have another shape or are not integers.
    """
    if positions is None:
        return None
    places = np.asarray(positions)
    if places.shape != (len(rows), 2) or not np.issubdtype(places.dtype, np.integer):
        raise HeadError(
            f"positions are the row and column of each of the {len(rows)} rows, as integers; found an array of shape "
            f"{places.shape} and dtype {places.dtype}"
        )
    return places.astype(np.int64)


def checked_weights(sample_weight: ArrayLike, rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return weights of table rows as an (n,) float64 array. Raise `HeadError` if one is negative or not finite."""
    try:
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise HeadError(f"sample_weight can't be used: {error}") from error
    return np.asarray(weight, dtype=np.float64)


def check_variation(rows: NDArray[np.floating]) -> None:
    """Check that at least one column of training rows varies by more than rounding errors.

    Parameters
    ----------
    rows : (n, D) float array
        Features of the training pixels.

    Raises
    ------
    ConstantFeaturesError
        If all columns are constant. Features are float32 numbers of about seven digits, so this also happens if the values of
        a scene differ in later digits only.
    """
    deviation, mean = rows.std(axis=0, dtype=np.float64), rows.mean(axis=0, dtype=np.float64)
    if not (deviation > CONSTANT_ERRORS * np.finfo(rows.dtype).eps * np.abs(mean)).any():
        raise ConstantFeaturesError(
            f"all {format_count(len(deviation), 'feature')} of the {len(rows)} training pixels are constant up to the rounding errors "
            f"of {rows.dtype} numbers: use other features; if the values of the scene are tiny or differ in late digits only, subtract "
            "the mean and multiply them, so that they are near 1"
        )


def check_magnitude(rows: NDArray[np.floating], layout: Layout | None) -> None:
    """Check that no value of a table is too large to be standardised, as undeclared no-data values such as -3.4e38 are.

    Parameters
    ----------
    rows : (n, D) float array
        Finite features of n pixels.
    layout : Layout or None
        Description of the columns. Only spectra are values of the file; other columns are computed.
        [default: all columns are spectra]

    Raises
    ------
    HeadError
        If the magnitude of a value is above `MAX_VALUE`. The message has the value, its row and its column, and what to do.
    """
    if max(rows.max(initial=0), -rows.min(initial=0)) <= MAX_VALUE:
        return
    at, column = np.unravel_index(int(np.argmax(np.abs(rows))), rows.shape)
    group = next((one for one in layout or () if one.start <= column < one.stop), None)
    advice = (
        f"if this value means no data, declare it with `nodata={rows[at, column]:.9g}` when the scene is opened or extracted, or set it to NaN"
        if group is None or group.input_kind in {"spectra", "spectral-patch"}
        else f"it is computed from values of the scene around the pixel ({group}): if some of them mean no data, declare the no-data value of "
        "the file with `nodata=` when the scene is opened or extracted"
    )
    raise HeadError(
        f"the table contains {rows[at, column]:.9g} in row {at} and column {column}, which is too large for a head (at most "
        f"{MAX_VALUE:g}): {advice}"
    )


def check_leaf_rows(name: str, smallest: int, rows: int) -> None:
    """Check that a tree can divide the training rows into leaves of the required size.

    A required size of at most ten rows is always allowed, even for few training rows. The defaults of heads are in this
    range.

    Parameters
    ----------
    name : str
        Parameter of the head that sets the size, for the error message.
    smallest : int
        Smallest number of rows in a leaf.
    rows : int
        Number of training rows.

    Raises
    ------
    HeadError
        If `smallest` is above ten and above half of `rows`: two leaves then need more rows than there are.
    """
    if smallest > max(rows // 2, _FEW_ROWS):
        raise HeadError(
            f"{name} is {smallest}, but no tree can divide {rows} training rows into such leaves: give at most {rows // 2}"
        )
