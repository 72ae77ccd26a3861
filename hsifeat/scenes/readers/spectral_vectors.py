"""Wavelengths and bandwidths of a cube that are separate vectors in the same file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hsifeat.scenes.readers import spectrum
from hsifeat.scenes.readers.raster import FileVariable, Raster

WAVELENGTH_NAMES = {
    "wavelength", "wavelengths", "wl", "lambda", "center_wavelength", "center_wavelengths", "central_wavelength", "wvl",
    "wavelength_nm", "wavelengths_nm", "central_wavelengths", "centre_wavelength", "centre_wavelengths", "band_center",
    "band_centers",
}  # fmt: skip
WIDTH_NAMES = {"fwhm", "fwhms", "full_width_half_max", "full_width_half_maximum"}


def is_spectral_vector(name: str, shape: Sequence[int], cube_shape: Sequence[int]) -> bool:
    """Return whether a variable may contain the wavelengths or bandwidths of a cube.

    Such a variable is a vector with a typical name, such as ``wavelength`` or ``fwhm``. Its length equals the length of
    one axis of the cube.

    Parameters
    ----------
    name : str
        Name of the variable, including its groups.
    shape : sequence of int
        Shape of the variable.
    cube_shape : sequence of int
        Shape of the cube.
    """
    last = name.rpartition("/")[2].lower()
    return last in WAVELENGTH_NAMES | WIDTH_NAMES and sorted(shape)[:-1] in ([], [1]) and max(shape) in cube_shape


def attach_spectrum(raster: Raster, name: str) -> Raster:
    """Set the wavelengths and bandwidths of a cube from its spectral vectors.

    Parameters
    ----------
    raster : Raster
        Raster whose array is a (rows, cols, bands) cube.
    name : str
        Name of the file, for notes.

    Returns
    -------
    Raster
        Raster with `wavelengths_nm` if exactly one wavelength vector has one value per band, and with `fwhm_nm` if exactly
        one bandwidth vector has one value per band.
    """
    bands = int(raster.array.shape[2])
    candidates = {key: vector for key, vector in raster.spectral_vectors.items() if max(vector.array.shape) == bands}
    vectors: list[FileVariable | None] = []
    notes: list[str] = []
    for kind, names in (("wavelengths", WAVELENGTH_NAMES), ("widths", WIDTH_NAMES)):
        keys = [key for key in candidates if key.rpartition("/")[2].lower() in names]
        vectors.append(candidates[keys[0]] if len(keys) == 1 else None)
        if keys:
            choice = f"used {keys[0]}" if len(keys) == 1 else f"found {', '.join(keys)} and used none"
            notes.append(f"{name}: {choice} as the {kind} of its bands")
    centres, widths = (None if vector is None else vector.values() for vector in vectors)
    wavelengths_nm, fwhm_nm, spectrum_notes = spectrum.convert_to_nm(
        centres, widths, spectral_unit(*vectors), bands, name
    )
    return replace(
        raster, wavelengths_nm=wavelengths_nm, fwhm_nm=fwhm_nm, notes=(*raster.notes, *notes, *spectrum_notes)
    )


def spectral_unit(*vectors: FileVariable | None) -> str:
    """Return the unit of the first vector that has a unit, or an empty string."""
    return next((vector.unit for vector in vectors if vector is not None and vector.unit), "")
