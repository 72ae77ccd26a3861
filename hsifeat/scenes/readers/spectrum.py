"""Wavelengths, widths and bad bands as files list them, checked and in nanometres."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Nanometres in a unit, by the names that are met in files.
UNITS_NM = {
    **dict.fromkeys(("nanometers", "nanometres", "nanometer", "nanometre", "nm"), 1.0),
    **dict.fromkeys(("micrometers", "micrometres", "micrometer", "micrometre", "microns", "micron"), 1e3),
    **dict.fromkeys(("um", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m"), 1e3),
    **dict.fromkeys(("angstroms", "angstrom"), 0.1),
    **dict.fromkeys(("millimeters", "millimetres", "mm"), 1e6),
    **dict.fromkeys(("meters", "metres", "meter", "metre", "m"), 1e9),
}
_UNKNOWN_UNITS = ("", "unknown", "undefined", "none")
# No sensor of reflected light has bands beyond 100 um, none before 100 nm: numbers alone tell the two units apart.
_MOST_UM = 100.0

Notes = tuple[str, ...]
Lengths = NDArray[np.float64] | None


def numbers(texts: Iterable[Any]) -> NDArray[np.float64]:
    """Read numbers; NaN for what is none, nothing for what a comma too many leaves."""

    def number(text: Any) -> float:
        try:
            return float(text)
        except (TypeError, ValueError):
            return float("nan")

    return np.array([number(text) for text in texts if str(text)], dtype=np.float64)


def in_nm(
    wavelengths: Sequence[Any] | None, fwhm: Sequence[Any] | None, unit: str, bands: int, name: str
) -> tuple[Lengths, Lengths, Notes]:
    """Return wavelengths and widths in nm, None where there are none to trust, and notes on what was guessed or left out.

    Parameters
    ----------
    wavelengths, fwhm : sequence of str or float, or None
        As the file lists them.
    unit : str
        Unit of both; a word for none has it guessed by the size of the wavelengths.
    bands : int
        How many there should be.
    name : str
        The file's name, for notes.
    """
    unit = unit.strip().lower()
    found = None if wavelengths is None else numbers(wavelengths)
    widths = None if fwhm is None else numbers(fwhm)
    guessed = unit in _UNKNOWN_UNITS
    if guessed:
        # Widths tell no unit: 0.01 may be micrometres, 10 nanometres, and both are below any bound.
        least = np.inf if found is None else found.max(initial=0)
        unit = "micrometers" if least < _MOST_UM else "nanometers"
    checked: list[Lengths] = []
    notes: list[str] = []
    for what, values in (("wavelengths", found), ("widths (fwhm)", widths)):
        problem = "" if values is None else _problem(values, unit, bands)
        if problem:
            notes.append(f"{name}: its {what} {problem}; they are left out")
        # 0.55 um are 550 nm, not 550.0000000000001: no file says more than a millionth of a nanometre.
        checked.append(None if values is None or problem else np.round(values * UNITS_NM[unit], 6))
    if guessed and any(lengths is not None for lengths in checked):
        notes.append(f"{name}: its wavelengths have no unit; took {unit}, by their size")
    return checked[0], checked[1], tuple(notes)


def _problem(values: NDArray[np.float64], unit: str, bands: int) -> str:
    if len(values) != bands:
        return f"are {len(values)} for {bands} bands"
    if not (np.isfinite(values) & (values > 0)).all():
        return "are not all positive numbers"
    return "" if unit in UNITS_NM else f"are in {unit}, which is no length"


def bad_bands(good: Sequence[Any] | None, bands: int, name: str) -> tuple[tuple[int, ...], Notes]:
    """Read a list of 1 for each good band and 0 for each bad one; return the bad ones, from 0, and a note if it is wrong."""
    if good is None:
        return (), ()
    flags = numbers(good)
    if len(flags) != bands or not np.isfinite(flags).all():
        return (), (f"{name}: its list of bad bands has {len(flags)} values for {bands} bands; it is left out",)
    return tuple(int(band) for band in np.flatnonzero(flags == 0)), ()


def names_of(listed: Sequence[Any] | None, bands: int, name: str) -> tuple[tuple[str, ...], Notes]:
    """Return the names of the bands, or nothing and a note where their number is wrong."""
    found = tuple(str(one).strip() for one in listed or ())
    if len(found) in {0, bands}:
        return (found if any(found) else ()), ()
    return (), (f"{name}: has {len(found)} band names for {bands} bands; they are left out",)


def nodata_of(values: Iterable[Any]) -> tuple[float, ...]:
    """Return the values for no data, each once; NaN only where it is said, not for what is no number."""
    known = [value for value in values if str(value).strip().lower() == "nan" or not np.isnan(numbers([value])).any()]
    return tuple(np.unique(numbers(known)).tolist())
