"""No-data values of arrays: parsing them, combining those of several bands, and finding them in an array.

No-data values that all bands share are a tuple of numbers. No-data values that differ between bands are a tuple with one
tuple of numbers per band.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NoData = tuple[float, ...] | tuple[tuple[float, ...], ...]
"""No-data values: one tuple for all bands, or one tuple per band.

Integers that a float can't represent exactly are `int`. All other values are `float`.
"""

NETCDF_FILLS: dict[str, float] = {
    "i2": -32767.0, "u2": 65535.0, "i4": -2147483647.0, "u4": 4294967295.0, "i8": -9223372036854775806,
    "u8": 18446744073709551614, "f4": float(np.float32(9.969209968386869e36)), "f8": 9.969209968386869e36,
}  # fmt: skip
"""Default fill values of the NetCDF library, by dtype. They apply to variables that declare no fill value."""

# GDAL treats two numbers as equal if their difference, relative to their sum, is smaller than this (ARE_REAL_EQUAL in gdal_priv.h).
_RELATIVE_ERROR = 2 * float(np.finfo(np.float32).eps)


def parse_nodata(values: Iterable[Any]) -> tuple[float, ...]:
    """Convert no-data values to sorted unique numbers.

    Text that is not a number is skipped; ``nan`` counts as a number.

    >>> parse_nodata(["-9999", 0, "none", 0.0, "9007199254740993"])
    (-9999.0, 0.0, 9007199254740993)
    """
    numbers = [number for value in values if (number := _parse_number(value)) is not None]
    has_nan = any(math.isnan(number) for number in numbers)
    return (*sorted({number for number in numbers if not math.isnan(number)}), *([math.nan] if has_nan else []))


def _parse_number(value: Any) -> float | None:
    """Convert a number to float, or to int if a float can't represent it exactly. Return None for any other value."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    is_integer = isinstance(text, int | np.integer) or (isinstance(text, str) and re.fullmatch(r"\s*[+-]?\d+\s*", text))
    try:
        number = float(text)
        return int(text) if is_integer and int(text) != number else number
    except (TypeError, ValueError, OverflowError):
        return None


def as_nodata(values: object) -> NoData:
    """Convert a number, a sequence of numbers, or a sequence with one sequence of numbers per band to no-data values.

    Raises
    ------
    TypeError
        If `values` has another form, or a value that is not a real number.

    Examples
    --------
    >>> as_nodata(-9999), as_nodata([0, 255]), as_nodata([[0], [0, 255]])
    ((-9999.0,), (0.0, 255.0), ((0.0,), (0.0, 255.0)))
    """
    items = values.tolist() if isinstance(values, np.ndarray) else values
    items = list(items) if isinstance(items, list | tuple) else [items]
    if any(isinstance(item, list | tuple | np.ndarray) for item in items):
        return tuple(_numbers(item) for item in items)
    return _numbers(items)


def _numbers(values: object) -> tuple[float, ...]:
    if not isinstance(values, list | tuple | np.ndarray):
        raise TypeError
    for value in values:
        if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
            raise TypeError
    return tuple(number for value in values if (number := _parse_number(value)) is not None)


def combine_bands(values: Sequence[tuple[float, ...]]) -> NoData:
    """Return the no-data values of a cube: one tuple if all bands have the same values, otherwise one tuple per band.

    >>> combine_bands([(0.0,), (0.0,)]), combine_bands([(0.0,), (1.0,)])
    ((0.0,), ((0.0,), (1.0,)))
    """
    # NaN does not equal itself, so text forms are compared.
    return values[0] if len(set(map(repr, values))) == 1 else tuple(values)


def by_band(nodata: NoData, bands: int) -> list[tuple[float, ...]]:
    """Return the no-data values of each band.

    >>> by_band((0.0,), 2)
    [(0.0,), (0.0,)]
    """
    per_band = [values for values in nodata if isinstance(values, tuple)]
    return per_band or [tuple(value for value in nodata if not isinstance(value, tuple))] * bands


def select_bands(nodata: NoData, bands: Sequence[int]) -> NoData:
    """Return the no-data values of the selected bands of a cube."""
    return combine_bands([by_band(nodata, max(bands) + 1)[band] for band in bands])


def add_values(nodata: NoData, values: Sequence[float]) -> NoData:
    """Add values to the no-data values of every band."""
    return combine_bands([parse_nodata((*band, *values)) for band in by_band(nodata, 1)])


def distinct_values(nodata: NoData) -> tuple[float, ...]:
    """Return the sorted no-data values of all bands together.

    >>> distinct_values(((5.0,), (1.0, 5.0)))
    (1.0, 5.0)
    """
    return parse_nodata(value for band in by_band(nodata, 1) for value in band)


def describe_bands(nodata: NoData) -> str:
    """Describe no-data values that differ between bands, as a text such as ``500 (bands 1), 65535 (bands 0,2-3)``.

    The text is empty if all bands have the same no-data values.
    """
    from hsifeat.scenes.band_ranges import format_bands

    bands: dict[str, list[int]] = {}
    per_band = by_band(nodata, 1)
    for band, values in enumerate(per_band):
        bands.setdefault(" and ".join(f"{value:g}" for value in values) or "none", []).append(band)
    return "" if len(per_band) == 1 else ", ".join(f"{text} (bands {format_bands(b)})" for text, b in bands.items())


def is_nodata(values: NDArray[Any], nodata: NoData) -> NDArray[np.bool_]:
    """Return the mask of the elements that equal a no-data value of their band.

    The comparison uses the dtype of `values`, as in GDAL. Floating-point numbers are equal if their relative difference is
    below 5e-7, because no-data values are often rounded. For an integer dtype, the fraction of a no-data value is cut off.
    If the no-data value is outside the range of the dtype, no element equals this value.

    Parameters
    ----------
    values : (..., bands) array of any real dtype
        Values of a cube, or an array without a band axis, such as a label map. For an array without a band axis,
        `nodata` must be one tuple of numbers.
    nodata : NoData
        No-data values.

    Returns
    -------
    (..., bands) bool array
        Mask in the shape of `values`.

    Examples
    --------
    >>> is_nodata(np.array([[500, 65535], [500, 500]], np.uint16), ((65535.0,), (500.0,))).tolist()
    [[False, False], [False, True]]
    """
    mask = np.zeros(values.shape, dtype=bool)
    if nodata and isinstance(nodata[0], tuple):
        per_band = by_band(nodata, values.shape[-1])
        for distinct in dict.fromkeys(per_band):
            bands = [band for band, own in enumerate(per_band) if own is distinct or own == distinct]
            mask[..., bands] = is_nodata(values[..., bands], distinct)
        return mask
    for value in by_band(nodata, 1)[0]:
        mask |= _equals(values, value)
    return mask


def _equals(values: NDArray[Any], value: float) -> NDArray[np.bool_]:
    dtype = values.dtype
    if dtype.kind == "f":
        if np.isnan(value):
            return np.asarray(np.isnan(values))
        with np.errstate(all="ignore"):  # the value, or a sum of large values, may exceed the dtype
            target = dtype.type(value)
            if dtype.itemsize == 2:  # sums and the tolerance need the range and precision of float32
                values, target = values.astype(np.float32), np.float32(target)
            tolerance = values.dtype.type(_RELATIVE_ERROR) * np.abs(values + target)
            return np.asarray((values == target) | (np.abs(values - target) < tolerance))
    limits = np.iinfo(np.uint8 if dtype.kind == "b" else dtype)
    if not np.isfinite(value) or not limits.min <= value <= limits.max:
        return np.zeros(values.shape, dtype=bool)
    return np.asarray(values == int(value))
