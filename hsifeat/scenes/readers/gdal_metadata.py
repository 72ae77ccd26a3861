"""Metadata of a GDAL dataset: georeference, reflectance scale, band names and spectrum."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from hsifeat.files import open_regular
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.nodata import NoData, combine_bands, parse_nodata
from hsifeat.scenes.readers import spectrum
from hsifeat.scenes.readers.raster import Packing
from hsifeat.scenes.readers.reflectance_scale import declared_packing, find_reflectance_scale

# GDAL reads a decimal comma as a point, and ignores what follows a blank.
_WORLD_FILE_NUMBER = re.compile(rb"\s*[-+]?(\d+[.,]?\d*|[.,]\d+)(e[-+]?\d+)?(\s|$)", re.IGNORECASE)
_WORLD_FILE_BYTES = 4096
_DESCRIPTIONS = ("tifftag_imagedescription", "description", "long_name", "standard_name")


def read_georeference(dataset: Any, name: str) -> tuple[Georeference | None, tuple[str, ...]]:
    """Read the georeference of a dataset.

    Ground control points and rational polynomials (RPC) are ignored with a note. So is the georeference if the world file has
    text in place of numbers, or fewer than six lines.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        The open dataset.
    name : str
        Name of the file, for notes.

    Returns
    -------
    georeference : Georeference or None
        CRS and transform; None without a usable transform.
    notes : tuple of str
        If metadata is ignored, a note with the reason.
    """
    transform = dataset.transform
    crs = dataset.crs.to_wkt() if dataset.crs else None
    is_known = not (transform.is_identity or transform.is_degenerate or not np.isfinite(tuple(transform)).all())
    method = "ground control points" if dataset.gcps[0] else "rational polynomials (RPC)" if dataset.rpcs else ""
    if method and not is_known:
        return None, (f"{name}: is georeferenced by {method}, which are ignored; warp it with gdalwarp first",)
    if (file := _malformed_world_file(dataset, is_known)) is not None:
        return None, (
            f"{name}: its world file {file.name} is not six lines of one number each; its georeference is ignored",
        )
    if not is_known:
        return None, (f"{name}: has a CRS but no transform; its georeference is ignored",) if crs else ()
    return Georeference(crs, tuple(transform)[:6]), ()


def _malformed_world_file(dataset: Any, is_known: bool) -> Path | None:
    """Return the world file of a dataset if a line has no number, which GDAL reads as 0, or if it has fewer than six lines.

    `is_known` states whether the dataset has a transform. If it has one, only a world file that GDAL read it from is checked.
    """
    path, used = Path(dataset.name), {Path(file) for file in dataset.files}
    if path not in used:  # a part of a file, or the description of a dataset as text
        return None
    extension = path.suffix.lower()[1:]
    suffixes = {f".{extension[:1]}{extension[-1:]}w", f".{extension}w", ".wld"}
    names = {path.stem + form(suffix) for suffix in suffixes for form in (str.lower, str.upper)}
    for file in sorted(path.with_name(name) for name in names):
        if file in used if is_known else file.is_file():
            with suppress(OSError), open_regular(file) as stream:
                lines = [line for line in stream.read(_WORLD_FILE_BYTES).splitlines() if line.strip()]
                if len(lines) < 6 or not all(map(_WORLD_FILE_NUMBER.match, lines[:6])):
                    return file
    return None


def read_scale(dataset: Any, name: str) -> tuple[Packing, float, tuple[str, ...]]:
    """Read the scale factors and offsets, and the stored value that corresponds to a reflectance of 1.

    The value comes from ENVI metadata or, if absent there, from the scales of the bands; see `find_reflectance_scale`.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        The open dataset.
    name : str
        Name of the file, for notes.

    Returns
    -------
    packing : Packing
        Scale factors and offsets of the bands.
    scale : float
        Stored value that corresponds to a reflectance of 1; 1 if unknown.
    notes : tuple of str
        A note if the bands have scales or offsets.
    """
    envi, tags = _envi_fields(dataset), _lower_keys(dataset.tags())
    stated = float(spectrum.parse_numbers(envi.get("reflectance scale factor", ["nan"]))[0])
    if np.isfinite(stated) and stated > 0:
        return Packing((1 / stated,)), stated, ()
    descriptions = [*filter(None, dataset.descriptions), *(tags.get(key, "") for key in _DESCRIPTIONS)]
    unit = next(filter(None, dataset.units), "")
    scale, notes = find_reflectance_scale(
        dataset.scales, dataset.offsets, name, description=" ".join(descriptions), unit=unit
    )
    return declared_packing(dataset.scales, dataset.offsets), scale, notes


def read_nodata(dataset: Any) -> NoData:
    """Read the no-data values of a dataset. In some files, these values differ between bands.

    For 64-bit integers, the values are read from GDAL's description of the dataset, because rasterio rounds them to float64.
    """
    if {"int64", "uint64"} & set(dataset.dtypes):
        bands = describe_as_vrt(dataset).iterfind("VRTRasterBand")
        return combine_bands([parse_nodata([band.findtext("NoDataValue", "")]) for band in bands])
    return combine_bands([parse_nodata([] if value is None else [value]) for value in dataset.nodatavals])


def describe_as_vrt(dataset: Any) -> ET.Element:
    """Return GDAL's description of a dataset: the root element of the VRT file that GDAL writes for it."""
    import rasterio.shutil
    from rasterio.io import MemoryFile

    with MemoryFile(ext=".vrt") as memory:
        rasterio.shutil.copy(dataset, memory.name, driver="VRT")
        memory.seek(0)
        return ET.fromstring(memory.read())  # noqa: S314  # GDAL has just written it


def read_band_names(dataset: Any, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read band names from band descriptions or, if absent, from ENVI metadata.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        The open dataset.
    name : str
        Name of the file, for notes.

    Returns
    -------
    band_names : tuple of str
        Band names, or an empty tuple.
    notes : tuple of str
        A note if the list of names is invalid and therefore ignored.
    """
    if any(dataset.descriptions):
        return tuple(text or f"band {number}" for number, text in enumerate(dataset.descriptions, start=1)), ()
    return spectrum.check_band_names(_envi_fields(dataset).get("band names"), dataset.count, name)


def read_colours(dataset: Any) -> tuple[str, ...]:
    """Read the colours that a file declares for its bands, such as ``red``; empty if it declares no red, green or blue."""
    names = tuple(colour.name for colour in dataset.colorinterp)
    return names if {"red", "green", "blue"} & {*names} else ()


def read_spectrum(
    dataset: Any, name: str
) -> tuple[spectrum.Lengths, spectrum.Lengths, tuple[int, ...], tuple[str, ...]]:
    """Read wavelengths, bandwidths and bad bands.

    Wavelengths and bandwidths come from band tags, GDAL's IMAGERY domain or ENVI metadata. The first of these sources that
    has wavelengths is used for both.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        The open dataset.
    name : str
        Name of the file, for notes.

    Returns
    -------
    wavelengths_nm, fwhm_nm : (bands,) float64 array or None
        Centre wavelengths and full widths at half maximum in nm.
    bad_bands : tuple of int
        Indices of the bands that the file marks as bad.
    notes : tuple of str
        Notes on lists that were ignored, and on units that were inferred.
    """
    envi, bands = _envi_fields(dataset), dataset.count
    band_tags = [_lower_keys(dataset.tags(band)) for band in dataset.indexes]
    imagery = [_lower_keys(dataset.tags(band, ns="IMAGERY")) for band in dataset.indexes]
    file_tags = _lower_keys(dataset.tags())

    def collect(tags: list[dict[str, str]], *keys: str) -> list[str] | None:
        texts = [next((band[key] for key in keys if key in band), "") for band in tags]
        # The placeholder is not a number, so that a list with gaps is ignored as a whole, with a note.
        return [text or "missing" for text in texts] if any(texts) else None

    def unit(*sources: dict[str, Any]) -> str:
        keys = ("wavelength_units", "wavelength_unit", "wavelength units")
        units = [source[key] for source in sources for key in keys if source.get(key)]
        return ", ".join(units[0]) if units and isinstance(units[0], list) else str(units[0]) if units else ""

    bad_bands, bad_band_notes = spectrum.find_bad_bands(collect(band_tags, "bbl") or envi.get("bbl"), bands, name)
    for wavelengths, fwhm, units in (
        (collect(band_tags, "wavelength", "wavelengths", "center_wavelength", "central_wavelength"),
         collect(band_tags, "fwhm"), [unit(tags, file_tags, envi) for tags in band_tags]),
        (collect(imagery, "central_wavelength_um"), collect(imagery, "fwhm_um"), "um"),
        (collect(band_tags, "central_wavelength_um"), collect(band_tags, "fwhm_um"), "um"),
        (envi.get("wavelength"), envi.get("fwhm"), unit(envi, file_tags)),
    ):  # fmt: skip
        if wavelengths is not None:
            wavelengths_nm, fwhm_nm, notes = spectrum.convert_to_nm(wavelengths, fwhm, units, bands, name)
            return wavelengths_nm, fwhm_nm, bad_bands, (*notes, *bad_band_notes)
    return None, None, bad_bands, bad_band_notes


def _envi_fields(dataset: Any) -> dict[str, list[str]]:
    """Return the ENVI metadata of a dataset: a list of values for each field, such as ``wavelength``."""
    return {
        key.lower().replace("_", " "): [part.strip() for part in text.strip().strip("{}").split(",")]
        for key, text in dataset.tags(ns="ENVI").items()
    }


def _lower_keys(tags: dict[str, str]) -> dict[str, str]:
    return {key.lower(): text for key, text in tags.items()}
