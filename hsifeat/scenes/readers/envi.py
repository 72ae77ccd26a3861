"""ENVI rasters, a header and a flat data file beside it, mapped into memory by the package spectral."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.readers import Raster, spectrum
from hsifeat.scenes.readers.envi_header import Header, read_header

if TYPE_CHECKING:
    from hsifeat.types import Cube

# How data files are named; the entry points of these suffixes all lead here. Many have no suffix at all.
DATA_SUFFIXES = ("", ".img", ".dat", ".raw", ".bin", ".bil", ".bip", ".bsq", ".hyspex")


def read(path: Path, ndim: int, variable: str | None) -> Raster:
    """Map an ENVI raster, named by its header or by its data file, as (rows, cols, bands).

    Nothing is read until it is sliced, whatever the interleave, data type, byte order or header offset. A raster of one
    band can be a label map too.

    Parameters
    ----------
    path : Path
        The ``.hdr``, or the data file beside it.
    ndim : int
        3 for a cube; 2 for a label map.
    variable : str or None
        Must be None: there is none to name.

    Raises
    ------
    SceneError
        Either file is missing, they do not fit one another, or the header asks for what can't be read.
    """
    if variable is not None:
        raise SceneError(f"{path}: an ENVI file holds one raster without a name; leave out {variable!r}")
    if path.suffix.lower() == ".hdr":
        header = read_header(path)
        data, notes = _find_data(header)
    else:
        header, data, notes = read_header(_find_header(path)), path, ()
    _check_size(header, data)
    array = _map(header, data)
    name, bands = header.path.name, header.bands
    unit = header.text("wavelength units")
    wavelengths_nm, fwhm_nm, spectral = spectrum.in_nm(
        header.listed("wavelength"), header.listed("fwhm"), unit, bands, name
    )
    bad, bad_notes = spectrum.bad_bands(header.listed("bbl"), bands, name)
    band_names, name_notes = spectrum.names_of(header.listed("band names"), bands, name)
    scale, scale_notes = _scale(header)
    georeference, where_notes = _georeference(header, data)
    class_names, class_colours = _classes(header)
    return Raster(
        array=array[:, :, 0] if ndim == 2 and bands == 1 else array,
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        band_names=band_names,
        bad_bands=bad,
        nodata=spectrum.nodata_of(header.listed("data ignore value") or ()),
        scale=scale,
        georeference=georeference,
        class_names=class_names,
        class_colours=class_colours,
        notes=(*notes, *header.notes, *spectral, *bad_notes, *name_notes, *scale_notes, *where_notes),
    )


def read_img(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read an ``.img``: ENVI's, or ERDAS Imagine's, which says so in its first bytes."""
    with path.open("rb") as file:
        erdas = file.read(15) == b"EHFA_HEADER_TAG"
    if erdas:
        from hsifeat.scenes.readers import gdal

        return gdal.read(path, ndim, variable)
    return read(path, ndim, variable)


def has_header(path: Path) -> bool:
    """Say whether an ENVI header lies beside a file, whatever the file's suffix."""
    return any(candidate.is_file() for candidate in _headers_of(path))


def _headers_of(path: Path) -> Iterable[Path]:
    # scene.img is described by scene.hdr or by scene.img.hdr.
    for suffix in (".hdr", ".HDR"):
        yield path.with_suffix(suffix)
        yield path.with_name(path.name + suffix)


def _find_header(data: Path) -> Path:
    for candidate in _headers_of(data):
        if candidate.is_file():
            return candidate
    raise SceneError(
        f"{data} has no ENVI header beside it, which would be {data.with_suffix('.hdr').name} or {data.name}.hdr: "
        "put it there"
    )


def _find_data(header: Header) -> tuple[Path, tuple[str, ...]]:
    """Find a header's data file; where several lie there, those of the size that the header says come first."""
    stem = header.path.with_suffix("")
    names = dict.fromkeys(stem.name + s for suffix in DATA_SUFFIXES for s in (suffix, suffix.upper()))
    there = [stem.with_name(name) for name in names if stem.with_name(name).is_file()]
    if not there:
        raise SceneError(
            f"{header.path} has no data file beside it: looked for {stem.name} with the suffixes "
            f"{', '.join(filter(None, DATA_SUFFIXES))} or none; put it there, or name the data file itself"
        )
    # A file system that ignores case shows one file under two names.
    there = [p for i, p in enumerate(there) if not any(p.samefile(earlier) for earlier in there[:i])]
    chosen = min(there, key=lambda p: p.stat().st_size != header.size_bytes)
    others = ", ".join(p.name for p in there if p != chosen)
    return chosen, (f"{header.path.name}: took the data file {chosen.name}, not {others}",) if others else ()


def _check_size(header: Header, data: Path) -> None:
    found = data.stat().st_size
    if found != header.size_bytes:
        fault = "the file may be truncated" if found < header.size_bytes else "lines, samples or data type may be wrong"
        raise SceneError(
            f"{data} has {found} bytes, but {header.path.name} says {header.size_bytes}: {header.rows} lines x "
            f"{header.cols} samples x {header.bands} bands of {header.dtype.name} after {header.offset} bytes; "
            f"{fault}, or it is the header of another file"
        )


def _map(header: Header, data: Path) -> Cube:
    """Map the data file as (rows, cols, bands) in the file's own dtype and byte order."""
    from spectral.io import envi
    from spectral.io.bilfile import BilFile
    from spectral.io.bipfile import BipFile
    from spectral.io.bsqfile import BsqFile

    params = envi.gen_params(header.fields)
    params.filename = str(data)
    kind = {"bil": BilFile, "bip": BipFile, "bsq": BsqFile}[header.interleave]
    mapped: NDArray[np.generic] | None = kind(params, header.fields).open_memmap(interleave="bip")
    if mapped is None:  # spectral keeps the reason to itself
        raise SceneError(f"{data} can't be mapped into memory: it must lie on a file system that allows that")
    return mapped


def _scale(header: Header) -> tuple[float, tuple[str, ...]]:
    text = header.text("reflectance scale factor")
    if not text:
        return 1.0, ()
    scale = float(spectrum.numbers([text])[0])
    if np.isfinite(scale) and scale > 0:
        return scale, ()
    return 1.0, (f"{header.path.name}: its reflectance scale factor {text!r} is no positive number; it is left out",)


def _georeference(header: Header, data: Path) -> tuple[Georeference | None, tuple[str, ...]]:
    """Let GDAL read the map info, which knows ENVI's projections, datums and the sense of its rotation."""
    if not header.text("map info") and not header.text("coordinate system string"):
        return None, ()
    from hsifeat.scenes.readers import gdal

    try:
        return gdal.georeference_of(data, "ENVI")
    except SceneError:
        return None, (f"{header.path.name}: its map info can't be read; where the scene lies is left out",)


def _classes(header: Header) -> tuple[dict[int, str], dict[int, str]]:
    """Return names of the classes from 0 up, which is ENVI's unclassified, and colours from 1 up."""
    names = [str(name).strip() for name in header.listed("class names") or ()]
    values = spectrum.numbers(header.listed("class lookup") or ())
    colours = values[: len(values) // 3 * 3].reshape(-1, 3).tolist()
    return (
        {number: name for number, name in enumerate(names) if name},
        {
            number: "#" + "".join(f"{int(part):02x}" for part in colour)
            for number, colour in enumerate(colours)
            if number and all(0 <= part <= 255 for part in colour)
        },
    )
