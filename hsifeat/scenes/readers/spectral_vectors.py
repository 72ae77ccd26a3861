"""Wavelengths, bandwidths and bad bands of a cube, stored as separate vectors in the same file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

from hsifeat.formatting import format_count
from hsifeat.scenes.readers import spectrum
from hsifeat.scenes.readers.raster import FileVariable, Raster
from hsifeat.scenes.readers.scopes import group_of, nearest

WAVELENGTH_NAMES = {
    "wavelength", "wavelengths", "wl", "lambda", "center_wavelength", "center_wavelengths", "central_wavelength", "wvl",
    "wavelength_nm", "wavelengths_nm", "wavelength_um", "wavelengths_um", "central_wavelengths", "centre_wavelength", "centre_wavelengths", "band_center",
    "band_centers",
}  # fmt: skip
WAVELENGTH_STANDARD_NAMES = {"radiation_wavelength", "sensor_band_central_radiation_wavelength"}
WAVENUMBER_NAMES = {"wavenumber", "wavenumbers"}
WIDTH_NAMES = {"fwhm", "fwhms", "full_width_half_max", "full_width_half_maximum"}
GOOD_BAND_NAMES = {"bbl", "good_wavelengths", "good_bands"}
BAD_BAND_NAMES = {"bad_bands", "bad_band_list", "bad_bands_list"}
_CUBE_AXES = 3
_SMALLEST_NM = 100


def is_spectral_vector(name: str, shape: Sequence[int], cube_shape: Sequence[int]) -> bool:
    """Return whether a variable may contain the wavelengths, bandwidths or bad-band flags of a cube.

    Such a variable is a vector with a typical name, such as ``wavelength`` or ``fwhm``. The vector is as long as one axis
    of the cube.

    Parameters
    ----------
    name : str
        Name of the variable, including its groups.
    shape : sequence of int
        Shape of the variable.
    cube_shape : sequence of int
        Shape of the cube.
    """
    names = WAVELENGTH_NAMES | WAVENUMBER_NAMES | WIDTH_NAMES | GOOD_BAND_NAMES | BAD_BAND_NAMES
    return _last(name) in names and len(shape) > 0 and sorted(shape)[:-1] in ([], [1]) and max(shape) in cube_shape


def select_spectral_vectors(variables: Mapping[str, FileVariable], name: str) -> dict[str, FileVariable]:
    """Return the vectors that may describe the bands of a cube.

    Vectors that probably describe another cube, which has an axis of their length, are left out; see `nearest`.

    Parameters
    ----------
    variables : mapping of str to FileVariable
        All variables of the file by path.
    name : str
        Path of the cube.
    """
    shape = variables[name].array.shape
    shapes = {key: variable.array.shape for key, variable in variables.items()}
    cubes = {key: axes for key, axes in shapes.items() if len(axes) >= _CUBE_AXES}

    def may_describe(key: str) -> bool:
        length = max(shapes[key])
        return bool(nearest([key], name, [cube for cube, axes in cubes.items() if length in axes]))

    return {
        key: variable
        for key, variable in variables.items()
        if is_spectral_vector(key, shapes[key], shape) and may_describe(key)
    }


def count_wavelengths(raster: Raster, *, own: bool = False) -> int | None:
    """Return the number of values in the vectors of wavelengths or wavenumbers of a cube.

    If `own` is true, only vectors in attributes of the cube count, which can't belong to another cube of the file. Only the vectors in the group nearest to the cube count; see `nearest`. The result is None if there is no such vector, or if their lengths
    differ. Single numbers are no vectors, and vectors with values that are not different positive numbers do not count. Neither does a
    ``lambda`` that is not in nm, because it often names another parameter.
    """
    keys = [
        key
        for key, vector in raster.spectral_vectors.items()
        if may_be_wavelengths(_last(key), [*vector.values()]) and not (own and group_of(key) != raster.variable)
    ]
    lengths = {max(raster.spectral_vectors[key].array.shape) for key in nearest(keys, raster.variable, ())}
    return lengths.pop() if len(lengths) == 1 else None


def may_be_wavelengths(name: str, values: Sequence[float]) -> bool:
    """Return whether a vector with a name such as ``wavelength`` has different positive numbers. A ``lambda`` must be in nm."""
    if name not in WAVELENGTH_NAMES | WAVENUMBER_NAMES or not 1 < len(values) == len(set(values)):
        return False
    return all((_SMALLEST_NM if name == "lambda" else 0) < value < inf for value in values)


def attach_spectrum(raster: Raster, name: str) -> Raster:
    """Set the wavelengths, bandwidths and bad bands of a cube from its spectral vectors.

    Parameters
    ----------
    raster : Raster
        Raster whose array is a (rows, cols, bands) cube.
    name : str
        Name of the file, for notes.

    Returns
    -------
    Raster
        Raster with `wavelengths_nm`, `fwhm_nm` and `bad_bands`. Vectors without one value per band are ignored, with a note. If several
        groups of the file have vectors of the same kind, only the group nearest to the cube counts; see `nearest`. An
        attribute is set if exactly one vector of its kind remains.
    """
    bands = int(raster.array.shape[2])
    candidates = {key: vector for key, vector in raster.spectral_vectors.items() if max(vector.array.shape) == bands}
    vectors: list[FileVariable | None] = []
    notes: list[str] = []
    for kind, names in (
        ("wavelengths", WAVELENGTH_NAMES),
        ("widths", WIDTH_NAMES),
        ("good and bad bands", GOOD_BAND_NAMES),
    ):
        keys = nearest([key for key in candidates if _last(key) in names], raster.variable, ())
        if names is WAVELENGTH_NAMES and not keys:
            keys = nearest([key for key in candidates if _last(key) in WAVENUMBER_NAMES], raster.variable, ())
        vectors.append(with_unit(keys[0], candidates[keys[0]]) if len(keys) == 1 else None)
        if keys:
            choice = f"used {keys[0]}" if len(keys) == 1 else f"found {', '.join(keys)} and used none"
            notes.append(f"{name}: {choice} as the {kind} of its bands")
    notes += [
        f"{name}: {key} has {format_count(max(vector.array.shape), 'value')} for {format_count(bands, 'band')}; it is ignored"
        for key, vector in raster.spectral_vectors.items()
        if key not in candidates
    ]
    notes += bad_band_notes([key for key in candidates if _last(key) in BAD_BAND_NAMES], name)
    centres, widths, good = (None if vector is None else vector.values() for vector in vectors)
    wavelengths_nm, fwhm_nm, spectrum_notes = spectrum.convert_to_nm(
        centres, widths, spectral_unit(*vectors[:2]), bands, name, width_unit=spectral_unit(vectors[1])
    )
    bad_bands, flag_notes = spectrum.find_bad_bands(good, bands, name)
    return replace(
        raster,
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        bad_bands=bad_bands,
        notes=(*raster.notes, *notes, *spectrum_notes, *flag_notes),
    )


def bad_band_notes(vectors: Sequence[str], name: str) -> tuple[str, ...]:
    """Return a note for each vector of a file that names bad bands: 1 may mark a good band, as in ENVI's list, or a bad one."""
    return tuple(
        f"{name}: {key} is not used, because its values may mark good or bad bands: list the bad bands with `bad_bands`"
        for key in vectors
    )


def _last(name: str) -> str:
    return name.rpartition("/")[2].lower()


def with_unit(name: str, vector: FileVariable) -> FileVariable:
    """Return `vector`. If it has no unit and `name` is a name of wavenumbers, the result has the unit cm-1."""
    if vector.unit or _last(name) not in WAVENUMBER_NAMES:
        return vector
    return replace(vector, attrs={**vector.attrs, "units": "cm-1"})


def spectral_unit(*vectors: FileVariable | None) -> str:
    """Return the unit of the first vector that has a unit, or an empty string."""
    return next((vector.unit for vector in vectors if vector is not None and vector.unit), "")
