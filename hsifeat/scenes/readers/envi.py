"""Reader of ENVI rasters, which consist of a header and a flat data file in the same folder."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.files import open_regular, read_regular
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.nodata import NoData, describe_bands, distinct_values, parse_nodata
from hsifeat.scenes.readers import spectrum
from hsifeat.scenes.readers.envi_header import EnviHeader, header_candidates, read_header
from hsifeat.scenes.readers.external_sources import check_inside
from hsifeat.scenes.readers.gdal import read_driver_georeference, read_driver_nodata, read_gdal
from hsifeat.scenes.readers.raster import Packing, Raster
from hsifeat.scenes.readers.reflectance_scale import declared_packing, excludes_reflectance, find_reflectance_scale
from hsifeat.types import Cube

# Suffixes of ENVI data files. Many data files have no suffix. Each suffix except "" is registered as an entry point.
DATA_SUFFIXES = ("", ".img", ".dat", ".raw", ".bin", ".bil", ".bip", ".bsq", ".hyspex")

# An option such as rotation with a decimal comma.
_SPLIT_OPTION = re.compile(r"\w+\s*=\s*[-+]?\d+,\d+")


def read_envi(path: Path, ndim: int, variable: str | None) -> Raster:
    """Memory-map an ENVI raster as a cube or as a label map.

    Any interleave, real data type, byte order and header offset is supported.

    Parameters
    ----------
    path : Path
        The header (``.hdr``) or the data file.
    ndim : int
        3 for a (rows, cols, bands) cube; 2 for a (rows, cols) label map from a file with one band.
    variable : str or None
        Must be None, because an ENVI file has a single array without a name.

    Raises
    ------
    SceneError
        If the header or the data file is missing. If the two files do not match. If the header describes unsupported
        data.
    """
    if variable is not None:
        raise SceneError(f"{path}: an ENVI file holds one raster without a name; leave out {variable!r}")
    header, data_file, notes = find_files(path)
    _check_size(header, data_file)
    array = _map_data(header, data_file)
    name, bands = header.path.name, header.bands
    wavelengths, unit = header.values("wavelength"), header.text("wavelength units")
    named = None if wavelengths else spectrum.wavelengths_in_names(header.values("band names") or ())
    if named is not None:
        (wavelengths, unit), notes = named, (*notes, f"{name}: its wavelengths are read from its band names")
    wavelengths_nm, fwhm_nm, spectrum_notes = spectrum.convert_to_nm(
        wavelengths, header.values("fwhm"), unit, bands, name
    )
    bad_bands, bad_band_notes = spectrum.find_bad_bands(header.values("bbl"), bands, name)
    band_names, name_notes = spectrum.check_band_names(header.values("band names"), bands, name)
    factor, factor_notes = _read_factor(header)
    packing, scale, scale_notes = _read_scale(header, factor)
    georeference, georeference_notes = _read_georeference(header, data_file)
    class_names, class_colours, class_notes = _read_classes(header) if ndim == 2 else ({}, {}, ())
    nodata, ignored_notes = _read_nodata(header, data_file)
    return Raster(
        array=array[:, :, 0] if ndim == 2 and bands == 1 else array,
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        band_names=band_names,
        bad_bands=bad_bands,
        nodata=nodata,
        scale=scale,
        scale_notes=scale_notes,
        packing=packing,
        georeference=georeference,
        class_names=class_names,
        class_colours=class_colours,
        notes=(
            *notes,
            *header.notes,
            *factor_notes,
            *ignored_notes,
            *spectrum_notes,
            *bad_band_notes,
            *name_notes,
            *class_notes,
            *georeference_notes,
        ),
    )


def read_img(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read an ``.img`` file, which is an ERDAS Imagine file or an ENVI data file.

    The first bytes identify an ERDAS Imagine file.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        3 for a (rows, cols, bands) cube; 2 for a (rows, cols) label map from a file with one band.
    variable : str or None
        Number of the image in an ERDAS Imagine file; must be None for ENVI.

    Raises
    ------
    SceneError
        If `read_envi` or `hsifeat.scenes.readers.gdal.read_gdal` can't read the file.
    """
    return read_gdal(path, ndim, variable) if is_erdas(path) else read_envi(path, ndim, variable)


def is_erdas(path: Path) -> bool:
    """Return whether the first bytes of a file are those of an ERDAS Imagine file."""
    with open_regular(path) as stream:
        return stream.read(15) == b"EHFA_HEADER_TAG"


def find_files(path: Path) -> tuple[EnviHeader, Path, tuple[str, ...]]:
    """Return the header and the data file of an ENVI raster, and notes on other files that could be its data file.

    Parameters
    ----------
    path : Path
        The header (``.hdr``) or the data file.

    Raises
    ------
    SceneError
        If the header or the data file is missing. If the header is invalid.
    """
    if path.suffix.lower() == ".hdr":
        header = read_header(path)
        return header, *_find_data_file(header)
    header_file, notes = _find_header(path)
    return read_header(header_file), path, notes


def _find_header(data_file: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the header of a data file, and a note if another header could belong to it."""
    found = [candidate for candidate in header_candidates(data_file) if candidate.is_file()]
    if found:
        others = ", ".join(file.name for file in found[1:] if not file.samefile(found[0]))
        return found[0], (f"{data_file.name}: read by the header {found[0].name}, not {others}",) if others else ()
    raise SceneError(
        f"{data_file} has no ENVI header beside it: put {data_file.with_suffix('.hdr').name} or {data_file.name}.hdr into its folder"
    )


def _find_data_file(header: EnviHeader) -> tuple[Path, tuple[str, ...]]:
    """Return the data file of a header, preferably a file of the expected size without a header of its own. Also return notes."""
    stem = header.path.with_suffix("")
    names = dict.fromkeys(stem.name + s for suffix in DATA_SUFFIXES for s in (suffix, suffix.upper()))
    candidates = [stem.with_name(name) for name in names if stem.with_name(name).is_file()]
    if not candidates:
        raise SceneError(
            f"{header.path} has no data file beside it: looked for {stem.name} with the suffixes "
            f"{', '.join(filter(None, DATA_SUFFIXES))} or none; put the data file into this folder, or give its path"
        )
    # A case-insensitive file system shows one file under two names.
    files = [p for i, p in enumerate(candidates) if not any(p.samefile(earlier) for earlier in candidates[:i])]
    others_own = {
        p for p in files if next((c for c in header_candidates(p) if c.is_file()), header.path) != header.path
    }
    data_file = min(files, key=lambda p: (p in others_own, p.stat().st_size != header.size_bytes))
    check_inside(header.path, data_file.name, "its data file", relative_to=header.path.parent)
    others = ", ".join(p.name for p in files if p != data_file)
    return data_file, (f"{header.path.name}: read the data file {data_file.name}, not {others}",) if others else ()


def _check_size(header: EnviHeader, data_file: Path) -> None:
    size = data_file.stat().st_size
    if size != header.size_bytes:
        cause = "the file may be truncated" if size < header.size_bytes else "lines, samples or data type may be wrong"
        raise SceneError(
            f"{data_file} has {size} bytes, but {header.path.name} says {header.size_bytes}: {header.rows} lines x "
            f"{header.cols} samples x {header.bands} bands of {header.dtype.name} after {header.offset} bytes; "
            f"{cause}, or the header belongs to another file"
        )


def _map_data(header: EnviHeader, data_file: Path) -> Cube:
    """Memory-map the data file as a (rows, cols, bands) array, in the dtype and byte order of the file."""
    from spectral.io import envi
    from spectral.io.bilfile import BilFile
    from spectral.io.bipfile import BipFile
    from spectral.io.bsqfile import BsqFile

    open_regular(data_file).close()  # spectral prints a traceback if it can't open the file
    params = envi.gen_params(header.fields)
    params.filename = str(data_file)
    file_class = {"bil": BilFile, "bip": BipFile, "bsq": BsqFile}[header.interleave]
    array: NDArray[np.generic] | None = file_class(params, header.fields).open_memmap(interleave="bip")
    if array is None:  # spectral gives no reason
        raise SceneError(f"{data_file} can't be memory-mapped: move it to a file system that supports that")
    return array


def _read_factor(header: EnviHeader) -> tuple[float | None, tuple[str, ...]]:
    """Return the reflectance scale factor of a header, or None, with a note if what it states is not a positive number."""
    text = header.text("reflectance scale factor")
    factor = float(spectrum.parse_numbers([text])[0]) if text else None
    if factor is None or (np.isfinite(factor) and factor > 0):
        return factor, ()
    return None, (f"{header.path.name}: its reflectance scale factor {text!r} is not a positive number and is ignored",)


def _read_scale(header: EnviHeader, factor: float | None) -> tuple[Packing, float, tuple[str, ...]]:
    """Read what the stored values mean: the reflectance scale factor, or otherwise the gains and offsets of the bands."""
    name = header.path.name
    packing, notes = Packing(), tuple[str, ...]()
    unit = header.text("data units")
    stated = f"{header.text('description')} {unit}"
    if factor is not None:
        packing = Packing((1 / factor,))
        if not excludes_reflectance(stated, unit):
            read = f"{name}: a stored {factor:g} is read as reflectance 1, because of its reflectance scale factor"
            return packing, factor, (read,) if factor != 1 else ()
        text = header.text("reflectance scale factor")
        problem = "is not used, because the values are another quantity than reflectance"
        notes = (f"{name}: its reflectance scale factor {text!r} {problem}",)
    for kind in ("data reflectance", "data"):
        gains, offsets = header.values(f"{kind} gain values"), header.values(f"{kind} offset values")
        if any(values and len(values) not in {1, header.bands} for values in (gains, offsets)):
            ignored = f"{name}: its {kind} gain or offset values are not one per band; they are ignored"
            return declared_packing(gains or (), offsets or ()), 1.0, (*notes, ignored)
        if gains or offsets:
            scale, scale_notes = find_reflectance_scale(
                gains or (), offsets or (), name, description=f"{stated} {kind}", unit=unit
            )
            return declared_packing(gains or (), offsets or ()), scale, (*notes, *scale_notes)
    return packing, 1.0, notes


def _read_nodata(header: EnviHeader, data_file: Path) -> tuple[NoData, tuple[str, ...]]:
    """Read the no-data values of a header. As in GDAL, those in an auxiliary file beside the data file take precedence."""
    ignored = header.values("data ignore value") or ()
    nodata = parse_nodata(ignored)
    notes: tuple[str, ...] = ()
    if any(str(value).strip() for value in ignored) and not nodata:
        text = header.text("data ignore value")
        notes = (f"{header.path.name}: its data ignore value {text!r} is not a number and is ignored",)
    aux_file = data_file.with_name(f"{data_file.name}.aux.xml")
    if not aux_file.is_file() or b"<NoDataValue" not in read_regular(aux_file):
        return nodata, notes
    try:
        stored = read_driver_nodata(data_file, "ENVI")
    except SceneError:
        return nodata, (*notes, f"{aux_file.name} can't be read, and no-data values in it are ignored")
    if differing := describe_bands(stored):
        notes += (f"{aux_file.name}: the bands have different no-data values: {differing}",)
    elif stored and stored != nodata:
        notes += (
            f"{aux_file.name}: no-data values are {', '.join(f'{value:g}' for value in distinct_values(stored))}",
        )
    return stored or nodata, notes


def _read_georeference(header: EnviHeader, data_file: Path) -> tuple[Georeference | None, tuple[str, ...]]:
    """Read the georeference with GDAL, which supports ENVI's projections, datums and rotated grids."""
    if not header.text("map info") and not header.text("coordinate system string"):
        return None, ()
    if problem := _map_info_problem(header):
        return None, (f"{header.path.name}: its map info {problem}; its georeference is ignored",)
    try:
        georeference, notes = read_driver_georeference(data_file, "ENVI")
    except SceneError:
        return None, (f"{header.path.name}: its map info can't be read; its georeference is ignored",)
    if georeference is None and not notes:
        notes = (f"{header.path.name}: its map info gives no position of the pixels and is ignored",)
    return georeference, notes


def _map_info_problem(header: EnviHeader) -> str:
    """Return what is wrong with the fields of the map info, or an empty text. GDAL does not report such faults.

    The fields are a name, six numbers (reference pixel, its position, and the size of a pixel), and in UTM the zone and the
    hemisphere. A number with a decimal comma becomes two fields. Longitudes and latitudes may have the zone 0, after which GDAL
    assumes the datum WGS-84.
    """
    name, *fields = [value.strip() for value in header.values("map info") or [""]]
    are_numbers = [bool(np.isfinite(spectrum.parse_numbers([field])).any()) for field in fields]
    found = [*are_numbers, False].index(False)
    if found < 6:
        return f"has {fields[found]!r} in place of a number" if len(fields) >= 6 else ""  # GDAL reads no position
    zone, hemisphere, datum = [*fields[6:9], "", "", ""][:3]
    is_hemisphere = hemisphere.lower() in {"north", "n", "south"}  # GDAL reads any other word, such as S, as North
    has_zone = not name.lower().startswith("geographic") or (is_hemisphere and datum.upper() == "WGS-84")
    if found > 6 + has_zone:
        return f"has {found} numbers where {6 + has_zone} are expected: a number may have a decimal comma"
    if split := _SPLIT_OPTION.search(",".join(fields)):
        return f"has {split[0]!r} in place of a number, which may have a decimal comma"
    if name.lower() != "utm" or header.text("coordinate system string"):
        return ""
    if spectrum.parse_numbers([zone or "none"])[0] in range(1, 61):
        return "" if is_hemisphere else f"has {hemisphere!r} in place of North or South"
    return f"has {zone!r} in place of a UTM zone"


def _read_classes(header: EnviHeader) -> tuple[dict[int, str], dict[int, str], tuple[str, ...]]:
    """Return class names, including class 0 (Unclassified), class colours, without class 0, and notes.

    Commas separate the names, so a name with a comma reads as two. If the header has more or fewer names
    than classes, they are ignored, because they may belong to other classes. Empty names at the end, after a last comma,
    don't count.
    """
    names = [str(name).strip() for name in header.values("class names") or ()]
    channels = spectrum.parse_numbers(header.values("class lookup") or ())
    colours = channels[: len(channels) // 3 * 3].reshape(-1, 3).tolist()
    count = header.text("classes")
    notes: tuple[str, ...] = ()
    classes = spectrum.parse_numbers([count])[0] if count else len(names)
    while len(names) > classes and not names[-1]:
        names.pop()
    if any(names) and classes != len(names):
        problem = f"has {len(names)} class names for classes = {count}; they are ignored (a name may have a comma)"
        names, notes = [], (f"{header.path.name}: {problem}",)
    return (
        {number: name for number, name in enumerate(names) if name},
        {
            number: "#" + "".join(f"{int(part):02x}" for part in colour)
            for number, colour in enumerate(colours)
            if number and all(0 <= part <= 255 for part in colour)
        },
        notes,
    )
