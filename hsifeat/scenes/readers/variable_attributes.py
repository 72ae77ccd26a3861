"""Metadata in the attributes of a file variable: spectrum, no-data values, reflectance scale and classes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hsifeat.scenes.nodata import combine_bands, parse_nodata
from hsifeat.scenes.readers import spectrum
from hsifeat.scenes.readers.cf_georeference import read_cf_georeference
from hsifeat.scenes.readers.pixel_coordinates import pixel_axes
from hsifeat.scenes.readers.raster import FileVariable, Packing, Raster
from hsifeat.scenes.readers.reflectance_scale import declared_packing, find_reflectance_scale
from hsifeat.scenes.readers.scopes import nearest
from hsifeat.scenes.readers.spectral_vectors import (
    BAD_BAND_NAMES,
    GOOD_BAND_NAMES,
    WAVELENGTH_NAMES,
    WAVELENGTH_STANDARD_NAMES,
    WAVENUMBER_NAMES,
    WIDTH_NAMES,
    bad_band_notes,
    may_be_wavelengths,
    spectral_unit,
    with_unit,
)

_COLOUR = re.compile("#[0-9a-f]{6}", re.IGNORECASE)
_SCALES, _OFFSETS = ("scale_factor", "scale", "scales"), ("add_offset", "offset", "offsets")
_DESCRIPTIONS = {"description", "long_name", "standard_name", "name"}
_RANGES = ("valid_range", "valid_min", "valid_max")
# Attributes of rioxarray with one value per band of the file.
_OF_FILE_BANDS = {"scales", "offsets", "nodatavals"}
_NODATA = {"_fillvalue", "missing_value", "data_ignore_value", "nodata", "no_data"}


def read_attributes(
    variable_name: str, dims: Sequence[str], variables: Mapping[str, FileVariable], name: str
) -> Raster:
    """Read the metadata of a variable according to the CF conventions.

    Parameters
    ----------
    variable_name : str
        Path of the variable. Metadata are searched in the group of the variable, then in the parents of this group, then in
        all other groups. In these other groups, metadata that probably describe another cube are ignored.
    dims : sequence of str
        Paths of the dimensions of the variable, in the order rows, columns, bands. A label map has only rows and columns.
    variables : mapping of str to FileVariable
        All variables of the file by path, including coordinates and the grid mapping.
    name : str
        Name of the file, for notes.

    Returns
    -------
    Raster
        Array of the variable as stored, with its metadata.
    """
    variable = variables[variable_name]
    if len(dims) == 3 and dims[2] in variables:
        variable = replace(variable, attrs=of_present_bands(variable.attrs, variables[dims[2]].array))
    georeference, georeference_notes = read_cf_georeference(variable_name, dims, variables, name)
    packing, scale, scale_notes = read_scale(variable, variable_name, name)
    raster = Raster(
        variable.array,
        nodata=nodata_values(variable) if len(dims) == 2 else combine_bands(nodata_of_bands(variable, dims[2])),
        scale=scale,
        scale_notes=scale_notes,
        packing=packing,
        georeference=georeference,
        pixel_axes=pixel_axes(dims, variables) if georeference is None else (),
        notes=(*georeference_notes, *range_notes(variable, name)),
    )
    if len(dims) == 2:
        class_names, class_colours, class_notes = _read_flags(variable, name)
        notes = (*raster.notes, *class_notes)
        return replace(raster, class_names=class_names, class_colours=class_colours, notes=notes)
    return read_spectrum(raster, variable_name, dims[2], variables, name)


def read_spectrum(
    raster: Raster, variable_name: str, band_dim: str, variables: Mapping[str, FileVariable], name: str
) -> Raster:
    """Set the wavelengths, bandwidths and bad bands of a cube from the variables along its bands.

    Parameters
    ----------
    raster : Raster
        Raster of the cube, without a spectrum.
    variable_name : str
        Path of the variable of the cube.
    band_dim : str
        Path of the dimension of the bands.
    variables : mapping of str to FileVariable
        All variables of the file by path, including the cube and the coordinates.
    name : str
        Name of the file, for notes.

    Returns
    -------
    Raster
        Raster with `wavelengths_nm`, `fwhm_nm`, `bad_bands` and, if the coordinate of the bands has texts, `band_names`.
    """
    variable = variables[variable_name]
    along_bands = [
        key for key, other in variables.items() if other.dims == (band_dim,) and other.array.dtype.kind in "biuf"
    ]
    cubes = [
        key for key, other in variables.items() if len(other.array.shape) >= 3 and band_dim in other.dims
    ]  # a cube

    def find(names: set[str]) -> FileVariable | None:
        candidates = [key for key in along_bands if key.rpartition("/")[2].lower() in names]
        return next((with_unit(key, variables[key]) for key in nearest(candidates, variable_name, cubes)), None)

    def find_standard(names: set[str]) -> FileVariable | None:
        candidates = [key for key in along_bands if _as_text(variables[key].attrs.get("standard_name")) in names]
        return next((variables[key] for key in nearest(candidates, variable_name, cubes)), None)

    bands = variable.array.shape[variable.dims.index(band_dim)]
    wavelengths, fwhm, good = find(WAVELENGTH_NAMES), find(WIDTH_NAMES), find(GOOD_BAND_NAMES)
    coordinate = variables[band_dim] if band_dim in along_bands else None
    if wavelengths is None and coordinate is not None and spectrum.is_spectral_unit(coordinate.unit):
        wavelengths = coordinate
    wavelengths = wavelengths or find_standard(WAVELENGTH_STANDARD_NAMES) or find(WAVENUMBER_NAMES)
    wavelengths_nm, fwhm_nm, notes = spectrum.convert_to_nm(
        _values(wavelengths),
        _values(fwhm),
        spectral_unit(wavelengths, fwhm),
        bands,
        name,
        width_unit=spectral_unit(fwhm),
    )
    flags = _values(good or good_band_attribute(variable))
    if good is None and flags is not None and coordinate is not None:
        flags = _in_order_of_bands(flags, coordinate.values())
    bad_bands, flag_notes = spectrum.find_bad_bands(flags, bands, name)
    unused = [key for key in along_bands if key.rpartition("/")[2].lower() in BAD_BAND_NAMES]
    return replace(
        raster,
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        bad_bands=bad_bands,
        band_names=_band_names(variables.get(band_dim), bands),
        notes=(*notes, *flag_notes, *bad_band_notes(unused, name), *raster.notes),
    )


def unordered_raster(
    variable: FileVariable,
    variable_name: str,
    vectors: dict[str, FileVariable],
    name: str,
    *,
    divisors: bool = False,
) -> Raster:
    """Return a raster with the metadata of a variable whose axes may have any order.

    Parameters
    ----------
    variable : FileVariable
        The variable.
    variable_name : str
        Path of the variable.
    vectors : dict of str to FileVariable
        Vectors of the file, by path. They may be wavelengths, bandwidths or bad-band flags. Attributes of the variable with such
        vectors are added.
    name : str
        Name of the file, for notes.
    divisors : bool
        Whether a scale factor above 1 is a divisor of the stored values, such as 10000 in files of NEON.
    """
    packing, scale, scale_notes = read_scale(variable, variable_name, name, divisors=divisors)
    if (good := good_band_attribute(variable)) is not None:
        vectors = {**vectors, f"{variable_name}/bbl": good}
    own = {f"{variable_name}/{key}": vector for key, vector in _spectrum_attributes(variable).items()}
    return Raster(
        variable.array,
        ordered=False,
        variable=variable_name,
        nodata=nodata_values(variable),
        scale=scale,
        scale_notes=scale_notes,
        packing=packing,
        spectral_vectors={**vectors, **own},
        notes=range_notes(variable, name),
    )


def good_band_attribute(variable: FileVariable) -> FileVariable | None:
    """Return the flags of good bands in an attribute of a variable, such as ENVI's ``bbl``, as a vector; None if it has none."""
    attrs = _lower_keys(variable)
    return next((_as_vector(attrs[key]) for key in sorted(GOOD_BAND_NAMES) if key in attrs), None)


def _spectrum_attributes(variable: FileVariable) -> dict[str, FileVariable]:
    """Return the wavelengths and bandwidths in attributes of a variable, as vectors by the names of the attributes.

    An attribute must have several positive numbers, as many as an axis of the variable. Of several such attributes of a kind, the first in alphabetical order
    is taken. Wavenumbers count if there are no wavelengths.
    """
    attrs, shape = _lower_keys(variable), variable.array.shape
    wavelengths = _first_spectrum(attrs, WAVELENGTH_NAMES, "wavelength", shape)
    wavelengths = wavelengths or _first_spectrum(attrs, WAVENUMBER_NAMES, "wavenumber", shape)
    return wavelengths | _first_spectrum(attrs, WIDTH_NAMES, "fwhm", shape)


def _first_spectrum(
    attrs: Mapping[str, Any], names: set[str], stem: str, shape: Sequence[int]
) -> dict[str, FileVariable]:
    """Return the first of the named attributes that may be a spectrum, with the unit in an attribute such as ``wavelength_units``."""
    for key in sorted(names & {*attrs}):
        vector = _as_vector(attrs[key])
        values = np.asarray(vector.array)
        is_spectrum = len(values) in shape and (may_be_wavelengths(key, values.tolist()) or names is WIDTH_NAMES)
        if is_spectrum and len(values) > 1 and bool((np.isfinite(values) & (values > 0)).all()):
            stems = (key, key.removesuffix("s"), stem, f"{stem}s")
            units = [attrs[name] for start in stems for end in ("units", "unit") if (name := f"{start}_{end}") in attrs]
            return {key: replace(vector, attrs={"units": " ".join(_texts(units[0])[:1])} if units else {})}
    return {}


def _lower_keys(variable: FileVariable) -> dict[str, Any]:
    """Return the attributes of a variable by their names in lower case, with ``_`` for blanks."""
    return {key.lower().replace(" ", "_"): value for key, value in variable.attrs.items()}


def _as_vector(value: object) -> FileVariable:
    text = " ".join(_as_text(item) for item in np.ravel(np.asarray(value, object)))
    return FileVariable((), spectrum.parse_numbers(re.findall(r"[^\s,{}\[\]]+", text)), {})


def of_present_bands(attrs: dict[str, Any], coordinate: Any) -> dict[str, Any]:
    """Return the attributes of an array, with those of rioxarray that have one value per band of the file for the bands of the array.

    Parameters
    ----------
    attrs : dict
        Attributes of the array.
    coordinate : array-like of shape (bands,)
        Coordinate ``band``, in which rioxarray counts the bands of the file from 1. It names the values if bands were selected
        or reordered.
    """
    bands = np.asarray(coordinate)
    if bands.dtype.kind not in "iu" or bands.ndim != 1 or bands.min(initial=1) < 1:
        return attrs
    return {
        key: [np.ravel(value)[band - 1] for band in bands.tolist()]
        if key.lower() in _OF_FILE_BANDS and bands.max(initial=0) <= np.size(value) > 1
        else value
        for key, value in attrs.items()
    }


def _in_order_of_bands(flags: list[float], numbers: list[float]) -> list[float]:
    """Return the flags of the bands of a file in the order of the bands of an array.

    The attribute of an array that was reordered in xarray still has the order of the file. `numbers` is the coordinate of the
    bands. If it counts the bands of the file, from 0 or up to the last one from 1, it says which band each one is.
    """
    first = 0 if 0 in numbers else 1
    indices = [number - first for number in numbers]
    counted = all(index.is_integer() and 0 <= index < len(flags) for index in indices)
    if not counted or (first == 1 and max(numbers) != len(flags)):
        return flags
    return [flags[int(index)] for index in indices]


def nodata_values(variable: FileVariable) -> tuple[float, ...]:
    """Return the no-data values that the attributes of a variable declare."""
    return parse_nodata([v for key, value in variable.attrs.items() if key.lower() in _NODATA for v in np.ravel(value)])


def nodata_of_bands(variable: FileVariable, band_dim: str, further: Iterable[Any] = ()) -> list[tuple[float, ...]]:
    """Return the no-data values of each band: those of the whole variable, and rioxarray's attribute ``nodatavals``.

    Parameters
    ----------
    variable : FileVariable
        The variable.
    band_dim : str
        Path of the dimension of the bands.
    further : iterable of float
        Further no-data values of all bands.
    """
    bands = variable.array.shape[variable.dims.index(band_dim)]
    everywhere = (*nodata_values(variable), *further)
    of_bands = [[value] for value in np.ravel(variable.attrs.get("nodatavals", []))]
    if len(of_bands) != bands:  # such as one value for all bands, or those of an array from which bands were taken
        of_bands = [[value for values in of_bands for value in values]] * bands
    return [parse_nodata((*everywhere, *values)) for values in of_bands]


def read_scale(
    variable: FileVariable, variable_name: str, name: str, *, divisors: bool = False
) -> tuple[Packing, float, tuple[str, ...]]:
    """Read the scale factors and offsets, and the stored value that corresponds to a reflectance of 1 with notes on it.

    See `find_reflectance_scale`.

    Parameters
    ----------
    variable : FileVariable
        The variable.
    variable_name : str
        Path of the variable. The path may state which quantity the variable contains.
    name : str
        Name of the file, for notes.
    divisors : bool
        Whether a scale factor above 1 is a divisor of the stored values, such as 10000 in files of NEON.
    """
    attrs = {key.lower(): value for key, value in variable.attrs.items()}
    factors, offsets = (
        next((list(np.ravel(attrs[key])) for key in names if key in attrs), [default])
        for names, default in ((_SCALES, 1.0), (_OFFSETS, 0.0))
    )
    descriptions = [variable_name, *(_as_text(attrs[key]) for key in sorted(_DESCRIPTIONS) if key in attrs)]
    scale, notes = find_reflectance_scale(
        factors, offsets, name, description=" ".join(descriptions), unit=variable.unit, divisors=divisors
    )
    return declared_packing(factors, offsets, scale), scale, notes


def range_notes(variable: FileVariable, name: str) -> tuple[str, ...]:
    """Return a note if a variable declares a range of valid values, because the range is not applied."""
    declared = [
        f"{key} {' to '.join(f'{v}' for v in np.ravel(variable.attrs[key]))}"
        for key in _RANGES
        if key in variable.attrs
    ]
    if not declared:
        return ()
    return (
        (
            f"{name}: its {' and '.join(declared)} is not applied, so values outside count as valid: "
            "`nodata` adds a value of pixels without data"
        ),
    )


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _texts(value: object) -> list[str]:
    """Return the texts in an attribute: the items of a list, or otherwise the words of a single text."""
    items = [_as_text(item) for item in np.ravel(np.asarray(value, object))]
    return items if len(items) > 1 else " ".join(items).split()


def _band_names(coordinate: FileVariable | None, bands: int) -> tuple[str, ...]:
    """Return the texts of the coordinate of the bands; empty if there is none, or if it has numbers."""
    if coordinate is None or coordinate.array.dtype.kind not in "OSUT":
        return ()
    texts = np.ravel(np.asarray(coordinate.array)).tolist()
    are_texts = len(texts) == bands and all(isinstance(text, str | bytes) for text in texts)
    return tuple(_as_text(text) for text in texts) if are_texts else ()


def _read_flags(variable: FileVariable, file: str) -> tuple[dict[int, str], dict[int, str], tuple[str, ...]]:
    """Return class names and colours, and notes; see `_read_names`.

    Names of a boolean map are ignored, with a note. xarray keeps the attributes of a label map that was compared with a class, and writes
    the result as int8, so the names can be those of the map before the comparison.
    """
    names, colours, notes = _read_names(variable, file)
    is_boolean = variable.array.dtype.kind == "b" or variable.attrs.get("dtype") == "bool"
    if is_boolean and names:
        return (
            {},
            {},
            (
                f"{file}: is a map of True and False; its class names are ignored, because they can be those of another map",
            ),
        )
    return names, colours, notes


def _read_names(variable: FileVariable, file: str) -> tuple[dict[int, str], dict[int, str], tuple[str, ...]]:
    """Return class names and colours, and notes.

    They are in the attributes ``class_names`` and ``class_colours`` that `hsifeat.Features.to_xarray` writes, or otherwise in
    CF's ``flag_values``, ``flag_meanings`` and ``flag_colors``. These names are ignored if there are more or fewer names than
    values: blanks separate the names, so a name with a blank reads as two.
    """
    own_names, own_colours = (_numbered_texts(variable.attrs.get(key)) for key in ("class_names", "class_colours"))
    if own_names:
        return own_names, {c: text for c, text in own_colours.items() if _COLOUR.fullmatch(text)}, ()
    flag_values = spectrum.parse_numbers(np.ravel(variable.attrs.get("flag_values", [])))
    values = [int(value) for value in flag_values if value.is_integer()]
    names = _texts(variable.attrs.get("flag_meanings", ""))
    colours = [text.lower() for text in _texts(variable.attrs.get("flag_colors", ""))]
    valid = [text for text in colours if _COLOUR.fullmatch(text)]
    notes: tuple[str, ...] = ()
    if values and names and len(names) != len(values):
        notes = (f"{file}: has {len(names)} flag_meanings for {len(values)} flag_values; they are ignored",)
    return (
        {v: n for v, n in zip(values, names, strict=True) if v >= 0} if len(names) == len(values) else {},
        {v: c for v, c in zip(values, valid, strict=True) if v > 0} if len(valid) == len(values) else {},
        notes,
    )


def _numbered_texts(value: object) -> dict[int, str]:
    """Return texts by number from a JSON object or a Zarr attribute; empty if it is something else."""
    try:
        found = json.loads(value) if isinstance(value, str | bytes) else value
    except ValueError:
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {int(key): text for key, text in items if str(key).isdecimal() and isinstance(text, str)}


def _values(variable: FileVariable | None) -> list[float] | None:
    return None if variable is None else variable.values()
