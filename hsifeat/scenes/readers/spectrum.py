"""Wavelengths, bandwidths, bad bands and no-data values as files list them, checked and converted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Nanometres per unit, under the names found in files.
UNITS_NM = {
    **dict.fromkeys(("nanometers", "nanometres", "nanometer", "nanometre", "nm"), 1.0),
    **dict.fromkeys(("micrometers", "micrometres", "micrometer", "micrometre", "microns", "micron"), 1e3),
    **dict.fromkeys(("um", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m"), 1e3),
    **dict.fromkeys(("angstroms", "angstrom"), 0.1),
    **dict.fromkeys(("millimeters", "millimetres", "mm"), 1e6),
    **dict.fromkeys(("meters", "metres", "meter", "metre", "m"), 1e9),
}
_UNKNOWN_UNITS = ("", "unknown", "undefined", "none")
# No sensor of reflected light has bands above 100 um or below 100 nm, so the numbers alone tell the two units apart.
_MAX_UM = 100.0

Notes = tuple[str, ...]
Lengths = NDArray[np.float64] | None


def parse_numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    """Convert values to float64, NaN for those that are no numbers; empty strings are skipped.

    >>> parse_numbers(["450.5", "x", ""])
    array([450.5,   nan])
    """

    def parse(value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            return float("nan")

    return np.array([parse(value) for value in values if str(value)], dtype=np.float64)


def convert_to_nm(
    wavelengths: Sequence[Any] | None, fwhm: Sequence[Any] | None, unit: str, bands: int, name: str
) -> tuple[Lengths, Lengths, Notes]:
    """Convert wavelengths and bandwidths to nm.

    Parameters
    ----------
    wavelengths, fwhm : sequence of str or float, or None
        As listed in the file.
    unit : str
        Unit of both. If it is empty or ``unknown``, it is inferred from the size of the wavelengths.
    bands : int
        Number of bands.
    name : str
        The file's name, for notes.

    Returns
    -------
    wavelengths_nm, fwhm_nm : (bands,) float64 array or None
        None for a list that is missing or invalid.
    notes : tuple of str
        Lists that are ignored, and an inferred unit.
    """
    unit = unit.strip().lower()
    centres = None if wavelengths is None else parse_numbers(wavelengths)
    widths = None if fwhm is None else parse_numbers(fwhm)
    inferred = unit in _UNKNOWN_UNITS
    if inferred:
        # Widths do not tell the unit: 0.01 may be micrometres and 10 nanometres, and both are below the bound.
        longest = np.inf if centres is None else centres.max(initial=0)
        unit = "micrometers" if longest < _MAX_UM else "nanometers"
    converted: list[Lengths] = []
    notes: list[str] = []
    for kind, values in (("wavelengths", centres), ("widths (fwhm)", widths)):
        problem = "" if values is None else _problem(values, unit, bands)
        if problem:
            notes.append(f"{name}: its {kind} {problem}; they are ignored")
        # 0.55 um are 550 nm, not 550.0000000000001: no file is exact beyond a millionth of a nanometre.
        converted.append(None if values is None or problem else np.round(values * UNITS_NM[unit], 6))
    if inferred and any(lengths is not None for lengths in converted):
        notes.append(f"{name}: its wavelengths have no unit; assumed {unit} from their size")
    return converted[0], converted[1], tuple(notes)


def _problem(values: NDArray[np.float64], unit: str, bands: int) -> str:
    if len(values) != bands:
        return f"are {len(values)} for {bands} bands"
    if not (np.isfinite(values) & (values > 0)).all():
        return "are not all positive numbers"
    return "" if unit in UNITS_NM else f"are in {unit}, which is no unit of length"


def find_bad_bands(good: Sequence[Any] | None, bands: int, name: str) -> tuple[tuple[int, ...], Notes]:
    """Return the bands that a list of flags marks as bad.

    Parameters
    ----------
    good : sequence or None
        1 for each good band and 0 for each bad one, as listed in the file.
    bands : int
        Number of bands.
    name : str
        The file's name, for notes.

    Returns
    -------
    bad_bands : tuple of int
        Band indices.
    notes : tuple of str
        A note if the list is invalid and therefore ignored.
    """
    if good is None:
        return (), ()
    flags = parse_numbers(good)
    if len(flags) != bands or not np.isfinite(flags).all():
        return (), (f"{name}: its list of bad bands has {len(flags)} values for {bands} bands; it is ignored",)
    return tuple(int(band) for band in np.flatnonzero(flags == 0)), ()


def check_band_names(names: Sequence[Any] | None, bands: int, name: str) -> tuple[tuple[str, ...], Notes]:
    """Return stripped band names, or an empty tuple and a note if there are not as many as bands.

    Parameters
    ----------
    names : sequence or None
        As listed in the file.
    bands : int
        Number of bands.
    name : str
        The file's name, for notes.
    """
    band_names = tuple(str(band_name).strip() for band_name in names or ())
    if len(band_names) in {0, bands}:
        return (band_names if any(band_names) else ()), ()
    return (), (f"{name}: has {len(band_names)} band names for {bands} bands; they are ignored",)


def unique_nodata(values: Iterable[Any]) -> tuple[float, ...]:
    """Return no-data values as sorted unique floats; NaN only if a value says NaN, not for text that is no number.

    >>> unique_nodata(["-9999", 0, "none", 0.0])
    (-9999.0, 0.0)
    """
    known = [
        value for value in values if str(value).strip().lower() == "nan" or not np.isnan(parse_numbers([value])).any()
    ]
    return tuple(np.unique(parse_numbers(known)).tolist())
