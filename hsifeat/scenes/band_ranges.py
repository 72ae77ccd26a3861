"""Text form of band lists, such as ``103-108,149``, with indices from 0 and inclusive ranges."""

from __future__ import annotations

import re
from collections.abc import Iterable
from numbers import Integral

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.formatting import format_value
from hsifeat.types import as_int


def parse_bands(text: str, bands: int) -> tuple[int, ...]:
    """Parse a band list into ascending band indices.

    Parameters
    ----------
    text : str
        Band indices and inclusive ranges, separated by commas.
    bands : int
        Number of bands in the scene.

    Raises
    ------
    SceneError
        If the text is not a band list. If the text contains a band that the scene lacks.

    Examples
    --------
    >>> parse_bands("3, 0-1", 4)
    (0, 1, 3)
    """
    indices: set[int] = set()
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        if ends is None:
            raise SceneError(f"bad bands must be drop, keep, or a list such as 103-108,149; found {text!r}")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if not first <= last < bands:
            raise SceneError(f"bad bands {text!r}: the scene has the bands 0 to {bands - 1}; found {part.strip()}")
        indices.update(range(first, last + 1))
    return tuple(sorted(indices))


def check_bands(bands: Iterable[int], count: int, name: str) -> tuple[int, ...]:
    """Return band indices as a tuple of int.

    Parameters
    ----------
    bands : iterable of int
        Band indices.
    count : int
        Number of bands of the scene.
    name : str
        Name of the scene, for messages.

    Raises
    ------
    SceneError
        If `bands` is not an iterable. If an index is not an integer from 0 to `count` - 1. Truth values are not integers
        here.
    """
    if not isinstance(bands, Iterable):
        raise SceneError(
            f"{name}: bands are a list of numbers from 0 to {count - 1}, such as [0, {count - 1}]; found {format_value(bands)}"
        )
    checked = tuple(bands)
    for band in checked:
        if not isinstance(band, Integral) or isinstance(band, bool) or not 0 <= band < count:
            raise SceneError(f"{name} has the bands 0 to {count - 1}; found {band!r}")
    return tuple(map(int, checked))


def check_band_numbers(numbers: object, name: str) -> tuple[int, ...]:
    """Return the numbers of bands in their file as a tuple. Raise `SceneError` unless they are whole numbers from 0."""
    given = tuple(numbers) if isinstance(numbers, tuple | list | np.ndarray) else (None,)
    checked = tuple(number for number in map(as_int, given) if number is not None and number >= 0)
    if len(checked) != len(given):
        raise SceneError(f"{name}: band_numbers are whole numbers from 0; found {format_value(numbers)}")
    return checked


def format_bands(bands: Iterable[int]) -> str:
    """Format band indices as a text that `parse_bands` accepts.

    >>> format_bands([149, 0, 1, 2])
    '0-2,149'
    """
    runs: list[list[int]] = []
    for band in sorted(set(bands)):
        if runs and band == runs[-1][1] + 1:
            runs[-1][1] = band
        else:
            runs.append([band, band])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)
