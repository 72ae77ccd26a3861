"""Validation and conversion of wavelengths, bandwidths, bad bands and band names from files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import NAMES_OF_NM

# Length of each unit in nanometres, by the names that files use.
UNITS_NM = {
    **dict.fromkeys(NAMES_OF_NM, 1.0),
    **dict.fromkeys(("micrometers", "micrometres", "micrometer", "micrometre", "microns", "micron"), 1e3),
    **dict.fromkeys(("um", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m"), 1e3),
    **dict.fromkeys(("angstroms", "angstrom"), 0.1),
    **dict.fromkeys(("millimeters", "millimetres", "mm"), 1e6),
    **dict.fromkeys(("meters", "metres", "meter", "metre", "m"), 1e9),
}
# Wavelength in nanometres at the wavenumber 1, by the names of the units of wavenumbers. "Wavenumber" is the unit in ENVI headers.
WAVENUMBERS_NM = {
    **dict.fromkeys(("cm-1", "cm^-1", "cm**-1", "cm\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT ONE}", "1/cm"), 1e7),
    **dict.fromkeys(("wavenumber", "wavenumbers", "kayser"), 1e7),
    **dict.fromkeys(("m-1", "m^-1", "m**-1", "m\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT ONE}", "1/m"), 1e9),
}
_UNKNOWN_UNITS = ("", "unknown", "undefined", "none")
# Wavelengths of reflected light lie between 100 nm and 100 um, which is between 1e-7 and 1e-4 m. The largest wavelength of a
# list therefore reveals the unit, if it is one of the three.
_SHORTEST_NM, _LONGEST_NM = 100.0, 1e5
_RANGES = (("nanometers", 100.0, np.inf), ("micrometers", 0.1, 100.0), ("meters", 1e-7, 1e-4))

# Widths of several bands differ from the distances between the bands by at most this factor, so that a wrong unit shows. It is inferred only
# for bands that are very wide for their wavelengths, or very narrow.
_FEWEST_BANDS, _LARGEST_RATIO, _WIDE, _NARROW_NM = 4, 30.0, 0.6, 0.3

Notes = tuple[str, ...]
Lengths = NDArray[np.float64] | None


# A wavelength in the name of a band, such as ``450.5 nm`` or ``Band 1 (450.5 nm)``.
_NAMED_WAVELENGTH = re.compile(r"(?:.*\()?(\d+(?:\.\d*)?) +([^\s()]+)\)?")


def parse_numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    """Convert values to a float64 array, with NaN for text that is not a number.

    Empty strings are skipped.

    >>> parse_numbers(["450.5", "x", ""])
    array([450.5,   nan])
    """

    def parse(value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            return float("nan")

    return np.array([parse(value) for value in values if str(value)], dtype=np.float64)


def is_spectral_unit(unit: str) -> bool:
    """Return whether a unit is a known unit of length or of wavenumbers."""
    return unit.strip().lower() in UNITS_NM or unit.strip().lower() in WAVENUMBERS_NM


def convert_to_nm(
    wavelengths: Sequence[Any] | None,
    fwhm: Sequence[Any] | None,
    unit: str | Sequence[str],
    bands: int,
    name: str,
    width_unit: str = "",
) -> tuple[Lengths, Lengths, Notes]:
    """Convert wavelengths and bandwidths to nm.

    Parameters
    ----------
    wavelengths, fwhm : sequence of str or float, or None
        Values as listed in the file.
    unit : str or sequence of str
        Unit of the wavelengths, or one unit per band. If the unit is missing or contradicts the largest wavelength, the
        unit is inferred from this wavelength. Wavelengths in a unit of `WAVENUMBERS_NM` are wavenumbers.
    bands : int
        Number of bands.
    name : str
        Name of the file, for notes.
    width_unit : str
        Unit of the bandwidths. If it is empty or ``unknown``, the bandwidths have the unit of the wavelengths. If the bandwidths
        are larger than twice the wavelengths, another unit is inferred; also if they are a thousand times too small or too large for the
        distances between the bands, unless both units are known.

    Returns
    -------
    wavelengths_nm, fwhm_nm : (bands,) float64 array or None
        Converted values; None for a missing or invalid list.
    notes : tuple of str
        Notes on ignored lists, on inferred units and on wavenumbers.
    """
    centres = None if wavelengths is None else parse_numbers(wavelengths)
    widths = None if fwhm is None else parse_numbers(fwhm)
    if isinstance(unit, str):
        unit = unit.strip().lower()
    else:
        unit, factors = _common_unit(unit)
        centres, widths = (
            values * factors if values is not None and len(values) == len(factors) else values
            for values in (centres, widths)
        )
    inferred = unit in _UNKNOWN_UNITS
    if inferred:
        # Bandwidths do not reveal the unit: typical values are 0.01 in micrometres and 10 in nanometres, both below 100.
        longest = np.inf if centres is None else centres.max(initial=0)
        unit = next((name for name, low, high in _RANGES if low <= longest <= high), "")
    width_unit, is_corrected = width_unit.strip().lower(), False
    converted: list[Lengths] = []
    notes: list[str] = []
    if not inferred and centres is not None and (plausible := _plausible_unit(centres, unit)) != unit:
        notes.append(
            f"{name}: its wavelengths up to {centres.max():g} can't be in {unit}; assumed {plausible} from their size"
        )
        unit, width_unit = plausible, plausible if width_unit == unit else width_unit
        is_corrected = True
    for kind, values, own in (
        ("wavelengths", centres, unit),
        ("widths (fwhm)", widths, unit if width_unit in _UNKNOWN_UNITS else width_unit),
    ):
        problem, lengths = "" if values is None else _problem(values, own, bands), None
        if values is not None and not problem:
            lengths, problem = _centres_nm(values, own) if values is centres else _widths_nm(values, own, converted[0])
        if problem:
            notes.append(f"{name}: its {kind} {problem}; they are ignored")
        elif lengths is not None and own in WAVENUMBERS_NM:
            notes.append(f"{name}: its {kind} are wavenumbers ({own}), which are converted to nanometres")
        # Rounding to a millionth of a nanometre converts 0.55 um to 550 nm instead of 550.0000000000001 nm.
        converted.append(None if lengths is None or problem else np.round(lengths, 6))
    centres_nm, widths_nm = converted
    are_lengths = unit in UNITS_NM and (width_unit in UNITS_NM or width_unit in _UNKNOWN_UNITS)
    are_known = not inferred and not is_corrected and width_unit not in _UNKNOWN_UNITS
    if inferred and not (centres_nm is None and widths_nm is None):
        notes.append(f"{name}: its wavelengths have no unit; assumed {unit} from their size")
    if (
        are_lengths
        and centres_nm is not None
        and widths_nm is not None
        and (factor := _width_factor(centres_nm, widths_nm, are_known=are_known)) != 1
    ):
        found, widths_nm = widths_nm.max(), np.round(widths_nm * factor, 6)
        notes.append(
            f"{name}: its widths (fwhm) can't be up to {found:g} nm, because of the wavelengths of its bands; multiplied by {factor:g}: up to "
            f"{widths_nm.max():g} nm"
        )
    return centres_nm, widths_nm, tuple(notes)


def _common_unit(units: Sequence[str]) -> tuple[str, NDArray[np.float64]]:
    """Return a unit for all bands, and the factor that converts each band to it.

    Bands without a unit have the unit of the other bands if these agree. If bands have different units and one of them is
    unknown, the common unit is a list of the units, which is not a known unit.
    """
    names = [unit.strip().lower() for unit in units]
    known = list(dict.fromkeys(name for name in names if name not in _UNKNOWN_UNITS))
    if len({UNITS_NM.get(name, name) for name in known}) <= 1:
        return known[0] if known else "", np.ones(len(names))
    if all(name in UNITS_NM for name in names):
        return "nm", np.array([UNITS_NM[name] for name in names])
    texts = ("no unit" if name in _UNKNOWN_UNITS else name for name in names)
    return ", ".join(dict.fromkeys(texts)), np.ones(len(names))


def _plausible_unit(centres: NDArray[np.float64], unit: str) -> str:
    """Return `unit` if the largest wavelength in this unit is between 100 nm and 100 um, else a unit in which this is so."""
    longest = centres.max(initial=0)
    if unit not in UNITS_NM or _SHORTEST_NM <= longest * UNITS_NM[unit] <= _LONGEST_NM:
        return unit
    return next((name for name, low, high in _RANGES if low <= longest <= high), unit)


def _centres_nm(values: NDArray[np.float64], unit: str) -> tuple[NDArray[np.float64], str]:
    """Return positive wavelengths or wavenumbers as wavelengths in nm, and what makes them implausible, or an empty string."""
    if unit in WAVENUMBERS_NM:
        with np.errstate(over="ignore"):
            nm = WAVENUMBERS_NM[unit] / values
        plausible = nm.min() >= _SHORTEST_NM and nm.max() <= _LONGEST_NM
        return nm, "" if plausible else f"from {values.min():g} to {values.max():g} can't be wavenumbers ({unit})"
    nm = values * UNITS_NM[unit]
    # Some wavelengths are plausible and others are too short, as in a list of several units.
    several = nm.min() < _SHORTEST_NM <= nm.max()
    return nm, f"from {values.min():g} to {values.max():g} can't all be in {unit}" if several else ""


def _widths_nm(values: NDArray[np.float64], unit: str, centres_nm: Lengths) -> tuple[Lengths, str]:
    """Return positive bandwidths in nm, and what prevents the conversion, or an empty string."""
    if unit in UNITS_NM:
        return values * UNITS_NM[unit], ""
    if centres_nm is None:
        return None, f"are wavenumbers ({unit}), and the wavelengths are unknown"
    centres, half = WAVENUMBERS_NM[unit] / centres_nm, values / 2
    if (half >= centres).any():
        return None, "are not all smaller than twice the wavenumbers"
    return WAVENUMBERS_NM[unit] / (centres - half) - WAVENUMBERS_NM[unit] / (centres + half), ""


def _width_factor(centres_nm: NDArray[np.float64], widths_nm: NDArray[np.float64], *, are_known: bool) -> float:
    """Return 1000 or 1/1000 if the widths of bands are plausible only after a multiplication with this factor, and otherwise 1.

    If the units are known, narrow bands can be those of a laser, but bands of more than twice their wavelength are impossible.
    """
    relative, width = float(np.median(widths_nm / centres_nm)), float(np.median(widths_nm))
    if relative > 2:
        return 1e-3
    steps = np.diff(np.unique(centres_nm))
    if are_known or len(steps) < _FEWEST_BANDS - 1:
        return 1.0
    ratio = width / float(np.median(steps))
    factor = 1e-3 if relative > _WIDE else 1e3 if width < _NARROW_NM else 1.0
    is_implausible = not 1 / _LARGEST_RATIO <= ratio <= _LARGEST_RATIO
    return factor if is_implausible and 1 / _LARGEST_RATIO <= ratio * factor <= _LARGEST_RATIO else 1.0


def _problem(values: NDArray[np.float64], unit: str, bands: int) -> str:
    if len(values) != bands:
        return f"are {len(values)} for {bands} bands"
    if not (np.isfinite(values) & (values > 0)).all():
        return "are not all positive numbers"
    if not unit:
        return "have no unit, and their size reveals none"
    return "" if unit in UNITS_NM or unit in WAVENUMBERS_NM else f"are in {unit}, which is not a known unit of length"


def find_bad_bands(good: Sequence[Any] | None, bands: int, name: str) -> tuple[tuple[int, ...], Notes]:
    """Return the indices of the bands that a list of flags marks as bad.

    Parameters
    ----------
    good : sequence or None
        Flags as listed in the file: 1 for a good band and 0 for a bad band.
    bands : int
        Number of bands.
    name : str
        Name of the file, for notes.

    Returns
    -------
    bad_bands : tuple of int
        Indices of the bad bands.
    notes : tuple of str
        A note if the list is invalid and therefore ignored.
    """
    if good is None:
        return (), ()
    flags = parse_numbers(good)
    problem = ""
    if len(flags) != bands:
        problem = f"has {len(flags)} values for {bands} bands"
    elif not np.isfinite(flags).all():
        problem = "is not all numbers"
    elif not np.isin(flags, (0, 1)).all():  # such as indices of the good bands
        problem = "is not all 0 or 1"
    if problem:
        return (), (f"{name}: its list of bad bands {problem}; it is ignored",)
    return tuple(int(band) for band in np.flatnonzero(flags == 0)), ()


def wavelengths_in_names(names: Sequence[Any]) -> tuple[list[str], str] | None:
    """Return the wavelengths in band names, and their unit; None unless all names have a wavelength in the same unit.

    GDAL names bands in this way if it knows their wavelengths.

    >>> wavelengths_in_names(["450.5 Nanometers", "460 Nanometers"]), wavelengths_in_names(["red (640 nm)", "460 nm"])
    ((['450.5', '460'], 'Nanometers'), (['640', '460'], 'nm'))
    >>> wavelengths_in_names(["red", "460 nm"]), wavelengths_in_names(["10 m", "20 m"])
    (None, None)
    """
    found = [_NAMED_WAVELENGTH.fullmatch(str(name).strip()) for name in names]
    units = {match[2] if match else "" for match in found}
    if len(units) != 1 or UNITS_NM.get((unit := units.pop()).lower()) not in {1.0, 1e3}:
        return None
    return [match[1] for match in found if match], unit


def check_band_names(names: Sequence[Any] | None, bands: int, name: str) -> tuple[tuple[str, ...], Notes]:
    """Check a list of band names.

    Parameters
    ----------
    names : sequence or None
        Band names as listed in the file.
    bands : int
        Number of bands.
    name : str
        Name of the file, for notes.

    Returns
    -------
    band_names : tuple of str
        Band names without surrounding spaces. Empty if there are no names or only blank names, or if the names
        are ignored.
    notes : tuple of str
        A note if the names are ignored because their number differs from the number of bands.
    """
    band_names = tuple(str(band_name).strip() for band_name in names or ())
    if len(band_names) in {0, bands}:
        return (band_names if any(band_names) else ()), ()
    return (), (f"{name}: has {len(band_names)} band names for {bands} bands; they are ignored",)
