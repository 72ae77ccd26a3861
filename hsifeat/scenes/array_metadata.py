"""Metadata of an `xarray.DataArray`: no-data values, reflectance scale, wavelengths and bandwidths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.formatting import format_count
from hsifeat.objects_with_arrays import read_only
from hsifeat.scenes.array_coordinates import ARRAY_KEY, coordinate_variables, own_georeference
from hsifeat.scenes.band_ranges import format_bands
from hsifeat.scenes.nodata import by_band, combine_bands, parse_nodata
from hsifeat.scenes.readers.raster import FileVariable, Raster
from hsifeat.scenes.readers.spectrum import parse_numbers
from hsifeat.scenes.readers.variable_attributes import (
    nodata_of_bands,
    of_present_bands,
    range_notes,
    read_scale,
    read_spectrum,
)

ROUNDING_NM = 0.5
"""Largest difference, in nm, between a wavelength and the coordinate of its band, such as 450 nm for 450.43 nm."""

# Attributes of packed values, and the numbers that change no value.
_PACKING = {"scale_factor": 1.0, "scale": 1.0, "scales": 1.0, "add_offset": 0.0, "offset": 0.0, "offsets": 0.0}
_OPPOSITE_SIGN = {"true": "i", "false": "u"}


def add_array_values(given: Raster, name: str) -> Raster:
    """Add the no-data values and the reflectance scale that an array declares, as a variable of a NetCDF file does.

    Parameters
    ----------
    given : Raster
        Array with the metadata that a user gives. Its no-data values are kept. A scale other than 1 has precedence over that
        of the array.
    name : str
        Name of the array, for messages.

    Returns
    -------
    Raster
        The array with `nodata`, `scale`, `packing` and notes; `given` itself if the array is not an `xarray.DataArray`.

    Raises
    ------
    SceneError
        See `add_array_nodata`.
    """
    variable = _as_variable(given.array)
    if variable is None:
        return given
    variable, notes = _without_stale_packing(variable, name)
    packing, scale, scale_notes = read_scale(variable, str(getattr(given.array, "name", None) or ""), name)
    if given.scale == 1:
        given = replace(given, scale=scale, scale_notes=scale_notes, notes=join_notes(given.notes, notes))
    return add_array_nodata(replace(given, packing=packing), name)


def add_array_metadata(raster: Raster, name: str) -> Raster:
    """Return a raster with all metadata of its `xarray.DataArray`. Rasters of other arrays are returned unchanged.

    Parameters
    ----------
    raster : Raster
        The array, and the metadata that are known otherwise.
    name : str
        Name of the scene, for notes and errors.
    """
    for add in (add_array_values, add_array_spectrum, add_array_georeference):
        raster = add(raster, name)
    return replace(raster, notes=join_notes(tuple(dict.fromkeys(raster.notes)), raster.scale_notes))


def add_array_nodata(given: Raster, name: str) -> Raster:
    """Add the no-data values that an array declares, and a note on a range of valid values, which is not applied.

    No-data values are attributes such as ``_FillValue``, ``missing_value`` and ``nodata``. The attribute ``nodatavals`` of
    rioxarray has one value for each band. xarray moves ``_FillValue`` and ``missing_value`` to `encoding` if it sets missing
    values to NaN. They are used from there as well, unless `encoding` also has a scale or an offset: then they are
    packed values, which the array no longer has.

    Parameters
    ----------
    given : Raster
        Array of shape (rows, cols, bands) with the no-data values that a user gives, which are kept.
    name : str
        Name of the array, for messages.

    Returns
    -------
    Raster
        The array with `nodata` and notes; `given` itself if the array is not an `xarray.DataArray`.

    Raises
    ------
    SceneError
        If the attribute ``_Unsigned`` states that signed integers mean unsigned integers, or the other way round.
    """
    variable = _as_variable(given.array)
    if variable is None:
        return given
    if _OPPOSITE_SIGN.get(str(variable.attrs.get("_Unsigned", "")).lower()) == given.array.dtype.kind:
        raise SceneError(
            f"{name}: the attribute _Unsigned of the array states that its values of {given.array.dtype} have the other sign: open the "
            "file by its name, or with xarray and mask_and_scale=True"
        )
    bands = int(given.array.shape[2])
    declared = nodata_of_bands(variable, variable.dims[2], np.ravel(variable.attrs.get("fill_value", [])))
    nodata = given.nodata
    if any(declared):
        own = by_band(given.nodata, bands)
        nodata = combine_bands([parse_nodata((*a, *b)) for a, b in zip(own, declared, strict=True)])
    return replace(given, nodata=nodata, notes=join_notes(given.notes, range_notes(variable, name)))


def add_array_georeference(given: Raster, name: str) -> Raster:
    """Add the georeference that the coordinates of an array state, unless the user gives one.

    Parameters
    ----------
    given : Raster
        Array of shape (rows, cols, bands), with the georeference that a user gives.
    name : str
        Name of the array, for notes.

    Returns
    -------
    Raster
        The array with `georeference` and notes; see `own_georeference`.
    """
    if given.georeference is not None:
        return given
    georeference, notes = own_georeference(given.array, name)
    return replace(given, georeference=georeference, notes=join_notes(given.notes, notes))


def add_array_spectrum(given: Raster, name: str) -> Raster:
    """Add the wavelengths and bandwidths that are coordinates of the bands, found by name and unit as in a NetCDF file.

    Parameters
    ----------
    given : Raster
        Array of shape (rows, cols, bands), with the wavelengths and bandwidths that a user gives.
    name : str
        Name of the array, for messages.

    Returns
    -------
    Raster
        The array with `wavelengths_nm`, `fwhm_nm`, `band_names` and notes; `given` itself if the array is not an `xarray.DataArray`.

    Raises
    ------
    SceneError
        If given wavelengths or bandwidths differ from the coordinates by more than `ROUNDING_NM`.
    """
    variable = _as_variable(given.array)
    if variable is None:
        return given
    band_dim = variable.dims[2]
    coordinates = {
        key: coordinate
        for key, coordinate in coordinate_variables(given.array).items()
        if coordinate.dims == (band_dim,) and not _is_count(np.asarray(coordinate.array))
    }
    found = read_spectrum(Raster(given.array), ARRAY_KEY, band_dim, {ARRAY_KEY: variable, **coordinates}, name)
    notes = list(found.notes) if given.wavelengths_nm is None else []
    if found.bad_bands:
        notes.append(
            f"{name}: the array marks bands as bad (bands {format_bands(found.bad_bands)}, counted from 0), which are kept: "
            "`scene.without_bands(...)` leaves them out"
        )
    return replace(
        given,
        wavelengths_nm=_agreed(given.wavelengths_nm, found.wavelengths_nm, f"{name}: wavelengths_nm", coordinates),
        fwhm_nm=_agreed(given.fwhm_nm, found.fwhm_nm, f"{name}: fwhm_nm", coordinates),
        band_names=given.band_names or found.band_names,
        notes=join_notes(given.notes, notes),
    )


def channel_labels(array: Any) -> tuple[str, ...]:
    """Return the labels of the last axis of an `xarray.DataArray` of three axes as texts; empty if there are none."""
    dims, coords = getattr(array, "dims", ()), getattr(array, "coords", {})
    if not isinstance(dims, tuple) or len(dims) != 3 or dims[2] not in coords:
        return ()
    return tuple(str(label) for label in np.asarray(coords[dims[2]]).tolist())


def _as_variable(array: Any) -> FileVariable | None:
    """Return an `xarray.DataArray` as a variable of a file; None for an array of another library."""
    dims, attrs, encoding = (getattr(array, key, None) for key in ("dims", "attrs", "encoding"))
    if not isinstance(dims, tuple) or not isinstance(attrs, Mapping):
        return None
    encoding = encoding if isinstance(encoding, Mapping) else {}
    fills = {} if set(_PACKING) & set(encoding) else {key: encoding.get(key) for key in ("_FillValue", "missing_value")}
    fills = {key: value for key, value in fills.items() if value is not None}
    own = {str(key): value for key, value in attrs.items()}
    coordinate = getattr(array, "coords", {}).get("band")  # an xarray.Variable has no coordinates
    if coordinate is not None and coordinate.dims == dims[2:]:
        own = of_present_bands(own, coordinate)
    return FileVariable(tuple(map(str, dims)), array, {**fills, **own})


def _without_stale_packing(variable: FileVariable, name: str) -> tuple[FileVariable, tuple[str, ...]]:
    """Return a variable without the scales and offsets of floating-point values, with a note.

    If a user multiplies integers by their scale, the products are floating-point numbers, and xarray may keep the attributes.
    """
    attrs = variable.attrs
    packing = [
        key
        for key, value in attrs.items()
        if key.lower() in _PACKING and set(parse_numbers(np.ravel(value)).tolist()) != {_PACKING[key.lower()]}
    ]
    if not packing or variable.array.dtype.kind != "f":
        return variable, ()
    words = " and ".join(packing)
    note = f"{name}: the {words} of its floating-point values is not applied, because they may already be scaled"
    return replace(variable, attrs={key: value for key, value in attrs.items() if key not in packing}), (note,)


def _is_count(values: NDArray[Any]) -> bool:
    """Return whether values are 0, 1, 2 and so on, or 1, 2, 3 and so on. Two values are no count, because they may be flags of bands."""
    counts = (np.arange(len(values)) + first for first in (0, 1))
    return len(values) > 2 and values.dtype.kind in "iuf" and any(np.array_equal(values, count) for count in counts)


def _agreed(
    given: NDArray[np.float64] | None, found: NDArray[np.float64] | None, what: str, coordinates: Iterable[str]
) -> NDArray[np.float64] | None:
    """Return the given wavelengths or bandwidths, or those of the array if none are given. Raise `SceneError` if they differ."""
    if given is None or found is None:
        return given if found is None else read_only(found)
    apart = np.abs(given - found)
    if differ := int(np.count_nonzero(apart > ROUNDING_NM * (1 + 1e-6))):
        band = int(apart.argmax())
        raise SceneError(
            f"{what} differ from the coordinates of the array in {format_count(differ, 'band')} of {len(given)}: band {band} has "
            f"{given[band]:g} nm instead of {found[band]:g} nm: leave them out, so that the coordinates are used, or give "
            f"array.drop_vars({list(coordinates)}) if they are right for the bands in the order of the array"
        )
    return given


def join_notes(notes: tuple[str, ...], further: Iterable[str]) -> tuple[str, ...]:
    """Return notes and further notes without duplicates.

    A scene that is made from another one has the notes of its array already. They may start with the name of the other scene.
    """
    known = {note.partition(": ")[2] for note in notes}
    return (*notes, *(note for note in further if note.partition(": ")[2] not in known))
