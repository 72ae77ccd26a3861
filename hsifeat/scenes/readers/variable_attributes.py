"""Metadata in the attributes of a file variable: spectrum, no-data values, reflectance scale and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hsifeat.scenes.readers import spectrum
from hsifeat.scenes.readers.cf_georeference import read_cf_georeference
from hsifeat.scenes.readers.raster import FileVariable, Raster
from hsifeat.scenes.readers.spectral_vectors import WAVELENGTH_NAMES, WIDTH_NAMES, spectral_unit

_SCALES, _DESCRIPTIONS = {"scale_factor", "scale"}, {"description", "long_name", "standard_name", "name"}
_NODATA = {"_fillvalue", "missing_value", "data_ignore_value", "nodata", "no_data"}
_GOOD_BANDS = {"bbl", "good_wavelengths", "good_bands"}


def read_attributes(
    variable: FileVariable, dims: Sequence[str], variables: Mapping[str, FileVariable], name: str
) -> Raster:
    """Read the metadata of a variable according to the CF conventions.

    Parameters
    ----------
    variable : FileVariable
        The variable.
    dims : sequence of str
        Dimension names of the variable, in the order rows, columns, bands. A label map has only rows and columns.
    variables : mapping of str to FileVariable
        All variables of the file by name, including coordinates and the grid mapping.
    name : str
        Name of the file, for notes.

    Returns
    -------
    Raster
        Array of the variable as stored, with its metadata.
    """
    georeference, georeference_notes = read_cf_georeference(variable, dims, variables, name)
    scale, scale_notes = _read_cf_scale(variable, name)
    raster = Raster(
        variable.array,
        nodata=nodata_values(variable),
        scale=scale,
        georeference=georeference,
        notes=(*georeference_notes, *scale_notes),
    )
    if len(dims) == 2:
        class_names, class_colours = _read_flags(variable)
        return replace(raster, class_names=class_names, class_colours=class_colours)
    along_bands = {
        key.rpartition("/")[2].lower(): other
        for key, other in variables.items()
        if other.dims == (dims[2],) and other.array.dtype.kind in "biuf"
    }
    bands = variable.array.shape[variable.dims.index(dims[2])]
    wavelengths, fwhm, good = (_first(along_bands, names) for names in (WAVELENGTH_NAMES, WIDTH_NAMES, _GOOD_BANDS))
    coordinate = along_bands.get(dims[2].lower())
    if wavelengths is None and coordinate is not None and coordinate.unit.lower() in spectrum.UNITS_NM:
        wavelengths = coordinate
    wavelengths_nm, fwhm_nm, notes = spectrum.convert_to_nm(
        _values(wavelengths), _values(fwhm), spectral_unit(wavelengths, fwhm), bands, name
    )
    bad_bands, bad_band_notes = spectrum.find_bad_bands(_values(good), bands, name)
    return replace(
        raster,
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        bad_bands=bad_bands,
        notes=(*notes, *bad_band_notes, *raster.notes),
    )


def nodata_values(variable: FileVariable) -> tuple[float, ...]:
    """Return the no-data values that the attributes of a variable declare."""
    return spectrum.unique_nodata(
        [v for key, value in variable.attrs.items() if key.lower() in _NODATA for v in np.ravel(value)]
    )


def read_plain_scale(variable: FileVariable, array_name: str, name: str) -> tuple[float, tuple[str, ...]]:
    """Read the reflectance scale of a variable in a file that does not follow the CF conventions.

    A factor above 1, such as 10000 in files of NEON, is interpreted as a divisor of the stored values. A factor below 1 is
    interpreted as a multiplier.

    Parameters
    ----------
    variable : FileVariable
        The variable.
    array_name : str
        Name of the variable. The factor is used only if this name or a description contains the word reflectance.
    name : str
        Name of the file, for notes.

    Returns
    -------
    scale : float
        Stored value that corresponds to a reflectance of 1; 1 if unknown.
    notes : tuple of str
        A note that states whether the factor is used; empty without a valid factor.
    """
    factor = next(
        (float(spectrum.parse_numbers(np.ravel(v))[0]) for k, v in variable.attrs.items() if k.lower() in _SCALES), 1.0
    )
    if factor == 1 or not np.isfinite(factor) or factor <= 0:
        return 1.0, ()
    descriptions = (str(value) for key, value in variable.attrs.items() if key.lower() in _DESCRIPTIONS)
    if "reflectance" not in " ".join([array_name, *descriptions]).lower():
        return 1.0, (f"{name}: its scale factor {factor:g} is not applied: values are as stored",)
    scale = factor if factor > 1 else float(np.round(1 / factor, 9))
    return scale, (f"{name}: a stored {scale:g} is read as reflectance 1, because of its scale factor {factor:g}",)


def _read_cf_scale(variable: FileVariable, name: str) -> tuple[float, tuple[str, ...]]:
    """Return the stored value that corresponds to a reflectance of 1, and notes.

    The factor of a variable that is not a reflectance is ignored with a note.
    """
    factor, offset = (
        float(spectrum.parse_numbers(np.ravel(variable.attrs.get(key, default)))[0])
        for key, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    if (factor, offset) == (1.0, 0.0):
        return 1.0, ()
    description = " ".join(str(variable.attrs.get(key, "")) for key in ("standard_name", "long_name")).lower()
    if "reflectance" in description and offset == 0 and np.isfinite(factor) and factor > 0:
        return float(np.round(1 / factor, 9)), ()
    return 1.0, (f"{name}: its scale_factor and add_offset are not applied: values are as stored",)


def _read_flags(variable: FileVariable) -> tuple[dict[int, str], dict[int, str]]:
    """Return class names and colours from CF's ``flag_values``, ``flag_meanings`` and ``flag_colors``."""
    flag_values = spectrum.parse_numbers(np.ravel(variable.attrs.get("flag_values", [])))
    values = [int(value) for value in flag_values if value.is_integer()]
    names = str(variable.attrs.get("flag_meanings", "")).split()
    colours = str(variable.attrs.get("flag_colors", "")).lower().split()
    valid = [c for c in colours if len(c) == 7 and c[0] == "#" and set(c[1:]) <= set("0123456789abcdef")]
    return (
        {v: n for v, n in zip(values, names, strict=True) if v >= 0} if len(names) == len(values) else {},
        {v: c for v, c in zip(values, valid, strict=True) if v > 0} if len(valid) == len(values) else {},
    )


def _first(variables: Mapping[str, FileVariable], names: set[str]) -> FileVariable | None:
    return next((variable for name, variable in variables.items() if name in names), None)


def _values(variable: FileVariable | None) -> list[float] | None:
    return None if variable is None else variable.values()
