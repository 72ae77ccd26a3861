"""GeoTIFF and every other raster that GDAL knows, by rasterio, read by windows when they are sliced."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import Part, View
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.readers import Raster, spectrum, suffixes
from hsifeat.scenes.readers.gdal_errors import whole
from hsifeat.scenes.readers.reading_errors import told

# Columns of attribute tables that count or colour pixels, whatever GDAL takes them for.
_NO_VALUES = {"count", "histogram", "red", "green", "blue", "alpha", "opacity", "r", "g", "b", "a"}
# Values read at a time where a step leaves out most of what GDAL has to read.
_VALUES_AT_A_TIME = 2**22


class RasterioCube(View):
    """A raster (rows, cols, bands) of a file; one thread reads at a time, and another process opens it again.

    Parameters
    ----------
    path : Path
        The file, for messages.
    name : str
        What GDAL opens: the file, or one of the images in it.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._arguments = path, name
        self.dataset = _open(name)
        self._lock = threading.Lock()
        kinds = self.dataset.dtypes
        if any(kind.startswith("complex") for kind in kinds):
            raise SceneError(
                f"{path} holds complex values ({kinds[0]}); a scene holds real numbers: save their magnitude"
            )
        super().__init__((self.dataset.height, self.dataset.width, self.dataset.count), np.result_type(*kinds))

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        return type(self), self._arguments

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        import rasterio
        from rasterio.windows import Window

        rows, cols, bands = (range(part, part + 1) if isinstance(part, int) else part for part in parts)
        wide, tall = cols[-1] + 1 - cols[0], rows.step
        values = np.empty((len(bands), len(rows), len(cols)), self.dtype)
        dense = rows.step == cols.step == 1
        height = len(rows) if dense else max(_VALUES_AT_A_TIME // (wide * tall * len(bands)), 1)
        with told(self._arguments[0]), self._lock, rasterio.Env():
            for first in range(0, len(rows), height):
                some = rows[first : first + height]
                window = Window(cols[0], some[0], wide, some[-1] + 1 - some[0])
                if dense:
                    self._into(values, bands, window)
                else:
                    block = np.empty((len(bands), window.height, wide), self.dtype)
                    self._into(block, bands, window)
                    values[:, first : first + len(some)] = block[:, :: rows.step, :: cols.step]
        return values.transpose(1, 2, 0)[tuple(slice(None) if isinstance(part, range) else 0 for part in parts)]

    def _into(self, out: NDArray[Any], bands: range, window: Any) -> None:
        """Read bands of a window into an array; one by one where their dtypes differ, which rasterio reads no other way."""
        if len(set(self.dataset.dtypes)) == 1:
            self.dataset.read([band + 1 for band in bands], window=window, out=out)
        else:
            for place, band in enumerate(bands):
                out[place] = self.dataset.read(band + 1, window=window)


class OneBand(View):
    """The only band of a cube, as a map (rows, cols).

    Parameters
    ----------
    cube : array-like of shape (rows, cols, 1)
        What is seen.
    """

    def __init__(self, cube: View) -> None:
        super().__init__(cube.shape[:2], cube.dtype)
        self._cube = cube

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        rows, cols = (part if isinstance(part, int) else slice(part.start, part.stop, part.step) for part in parts)
        return self._cube[rows, cols, 0]


def read(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a raster with all that GDAL knows of it; nothing is written beside it.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        3 for a cube; 2 for a map of one band.
    variable : str or None
        The number of an image, from 1, where the file holds several, such as the pages of a TIFF.

    Raises
    ------
    SceneError
        It can't be opened, holds complex values, or several images and none is named.
    """
    import rasterio

    # Within it GDAL's warnings go to Python's logging, outside they are printed.
    with rasterio.Env(), whole(path):
        cube, notes = _image(path, variable)
        return _described(cube, path, ndim, variable or "", notes)


def _described(cube: RasterioCube, path: Path, ndim: int, variable: str, notes: tuple[str, ...]) -> Raster:
    dataset = cube.dataset
    notes += _last_block(dataset, path)
    wavelengths_nm, fwhm_nm, bad, spectral = _spectrum(dataset, path.name)
    scale, scale_notes = _scale(dataset, path.name)
    georeference, where_notes = _georeference(dataset, path.name)
    band_names, name_notes = _band_names(dataset, path.name)
    one = ndim == 2 and dataset.count == 1
    class_names, class_colours, class_notes = _classes(dataset, path.name) if one else ({}, {}, ())
    if len(set(dataset.dtypes)) > 1:
        notes += (f"{path.name}: its bands are of {', '.join(sorted(set(dataset.dtypes)))}; read as {cube.dtype}",)
    if any(flag.name in {"per_dataset", "alpha"} for flags in dataset.mask_flag_enums for flag in flags):
        says = "of labels gdal_edit.py -a_nodata, of a scene --nodata" if ndim == 2 else "--nodata"
        notes += (f"{path.name}: has a mask or an alpha band, which is not used; {says} says what stands for no data",)
    return Raster(
        array=OneBand(cube) if one else cube,
        variable=variable,
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        band_names=band_names,
        bad_bands=bad,
        nodata=spectrum.nodata_of([value for value in dataset.nodatavals if value is not None]),
        scale=scale,
        georeference=georeference,
        class_names=class_names,
        class_colours=class_colours,
        notes=(*notes, *spectral, *scale_notes, *where_notes, *name_notes, *class_notes),
    )


def read_unknown(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a file of an unknown suffix, if GDAL can; `SceneError` names the suffixes that are known."""
    from rasterio.errors import RasterioIOError

    try:
        raster = read(path, ndim, variable)
    except RasterioIOError as error:
        known = ", ".join(f".{suffix}" for suffix in suffixes())
        raise SceneError(
            f"{path} is a file ending in {path.suffix or 'nothing'}; files ending in {known} can be read, others only if "
            "GDAL knows them"
        ) from error
    return raster


def georeference_of(path: Path, driver: str) -> tuple[Georeference | None, tuple[str, ...]]:
    """Return where the raster in a file lies, as one of GDAL's drivers has it."""
    import rasterio

    with told(path), rasterio.Env(), _open(str(path), driver) as dataset:
        return _georeference(dataset, path.name)


def _open(name: str, driver: str | None = None) -> Any:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with rasterio.Env(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(name, driver=driver, sharing=False)


def _image(path: Path, variable: str | None) -> tuple[RasterioCube, tuple[str, ...]]:
    """Open the only image of a file, or the one that is named by its number."""
    with _open(str(path)) as dataset:
        images, size = list(dataset.subdatasets), dataset.count
    if not images:
        if variable is not None:
            raise SceneError(f"{path} holds one image without a name; leave out {variable!r}")
        if size == 0:
            raise SceneError(f"{path} holds no image")
        return RasterioCube(path, str(path)), ()
    numbers = {str(number): image for number, image in enumerate(images, start=1)}
    if variable not in numbers:
        listing = ", ".join(f"{n} ({image.rpartition('/')[2]})" for n, image in list(numbers.items())[:12])
        wrong = "" if variable is None else f"none is named {variable!r}; "
        raise SceneError(f"{path} holds {len(images)} images: {listing}: {wrong}name one with --variable NUMBER")
    return RasterioCube(path, numbers[variable]), ()


def _last_block(dataset: Any, path: Path) -> tuple[str, ...]:
    """Check that the last block of a TIFF is in the file, and whole: GDAL reads what is not there as if it were empty."""
    if dataset.driver != "GTiff":
        return ()
    size, (height, width) = path.stat().st_size, dataset.block_shapes[0]
    right, low = (dataset.width - 1) // width, (dataset.height - 1) // height
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    needed = 0
    if "COMPRESSION" not in structure and "NBITS" not in dataset.tags(1, ns="IMAGE_STRUCTURE"):
        # The last strip is as high as is left; tiles are always whole.
        tall = height if width < dataset.width else min(height, dataset.height - low * height)
        values = dataset.count if structure.get("INTERLEAVE") == "PIXEL" else 1
        needed = tall * width * values * np.dtype(dataset.dtypes[0]).itemsize
    absent = False
    for band in {1, dataset.count}:
        start, length = (
            int(dataset.get_tag_item(f"BLOCK_{what}_{right}_{low}", "TIFF", bidx=band) or 0)
            for what in ("OFFSET", "SIZE")
        )
        absent |= not start
        if start and (start + length > size or length < needed):
            raise SceneError(
                f"{path} has {size} bytes, but its last block takes {max(needed, length)} from byte {start} and has {length}: "
                "it is truncated or its header is damaged"
            )
    return (
        (f"{path.name}: its last block is not in the file; blocks that are not read as no data, or 0",)
        if absent
        else ()
    )


def _georeference(dataset: Any, name: str) -> tuple[Georeference | None, tuple[str, ...]]:
    transform = dataset.transform
    crs = dataset.crs.to_wkt() if dataset.crs else None
    if transform.is_identity or transform.is_degenerate:
        located = "ground control points" if dataset.gcps[0] else "rational polynomials (RPC)" if dataset.rpcs else ""
        if located:
            return None, (f"{name}: is located by {located}, which are not used: gdalwarp puts it on a map's grid",)
        return None, (f"{name}: has a CRS, but says not where in it the pixels lie",) if crs else ()
    return Georeference(crs, tuple(transform)[:6]), ()


def _scale(dataset: Any, name: str) -> tuple[float, tuple[str, ...]]:
    envi = _envi(dataset).get("reflectance scale factor")
    if envi:
        value = float(spectrum.numbers(envi)[0])
        if np.isfinite(value) and value > 0:
            return value, ()
    scales, offsets = set(dataset.scales), set(dataset.offsets)
    if scales == {1.0} and offsets == {0.0}:
        return 1.0, ()
    (scale, *others) = scales
    if others or offsets != {0.0} or not np.isfinite(scale) or scale <= 0:
        return 1.0, (f"{name}: its bands have scales and offsets, which are not applied",)
    return float(np.round(1 / scale, 9)), ()


def _band_names(dataset: Any, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if any(dataset.descriptions):
        return tuple(text or f"band {number}" for number, text in enumerate(dataset.descriptions, start=1)), ()
    return spectrum.names_of(_envi(dataset).get("band names"), dataset.count, name)


def _spectrum(dataset: Any, name: str) -> tuple[spectrum.Lengths, spectrum.Lengths, tuple[int, ...], tuple[str, ...]]:
    """Return wavelengths, widths, bad bands and notes: from tags of the bands, their IMAGERY domain, or the ENVI domain."""
    envi, bands = _envi(dataset), dataset.count
    own = [_lower(dataset.tags(band)) for band in dataset.indexes]
    imagery = [_lower(dataset.tags(band, ns="IMAGERY")) for band in dataset.indexes]
    common = _lower(dataset.tags())

    def of_bands(tags: list[dict[str, str]], *keys: str) -> list[str] | None:
        listed = [next((one[key] for key in keys if key in one), "") for one in tags]
        # A band without one is no number, so that the whole is left out and said so.
        return [text or "missing" for text in listed] if any(listed) else None

    def unit(*sources: dict[str, Any]) -> str:
        keys = ("wavelength_units", "wavelength_unit", "wavelength units")
        found = [one[key] for one in sources for key in keys if one.get(key)]
        return ", ".join(found[0]) if found and isinstance(found[0], list) else str(found[0]) if found else ""

    bad, bad_notes = spectrum.bad_bands(of_bands(own, "bbl") or envi.get("bbl"), bands, name)
    for wavelengths, fwhm, units in (
        (of_bands(own, "wavelength", "wavelengths", "center_wavelength", "central_wavelength"),
         of_bands(own, "fwhm"), unit(own[0], common, envi)),
        (of_bands(imagery, "central_wavelength_um"), of_bands(imagery, "fwhm_um"), "um"),
        (of_bands(own, "central_wavelength_um"), of_bands(own, "fwhm_um"), "um"),
        (envi.get("wavelength"), envi.get("fwhm"), unit(envi, common)),
    ):  # fmt: skip
        if wavelengths is not None:
            found, widths, notes = spectrum.in_nm(wavelengths, fwhm, units, bands, name)
            return found, widths, bad, (*notes, *bad_notes)
    return None, None, bad, bad_notes


def _envi(dataset: Any) -> dict[str, list[str]]:
    """Return the fields of the dataset's ENVI domain as lists, under the names that they have in ENVI headers."""
    return {
        key.lower().replace("_", " "): [part.strip() for part in text.strip().strip("{}").split(",")]
        for key, text in dataset.tags(ns="ENVI").items()
    }


def _lower(tags: dict[str, str]) -> dict[str, str]:
    return {key.lower(): text for key, text in tags.items()}


def _classes(dataset: Any, name: str) -> tuple[dict[int, str], dict[int, str], tuple[str, ...]]:
    """Return names of the classes from 0 up and colours from 1 up, which rasterio does not hand out, but GDAL writes into a VRT.

    They are in the band's category names and colour table, or in its attribute table.
    """
    import rasterio.shutil
    from rasterio.io import MemoryFile

    with MemoryFile(ext=".vrt") as memory:
        rasterio.shutil.copy(dataset, memory.name, driver="VRT")
        memory.seek(0)
        band = ET.fromstring(memory.read()).find("VRTRasterBand")  # noqa: S314  # GDAL has just written it
    names, colours = {}, {}
    notes: tuple[str, ...] = ()
    if band is not None:
        names = {number: one.text or "" for number, one in enumerate(band.iterfind("CategoryNames/Category"))}
        for number, entry in enumerate(band.iterfind("ColorTable/Entry")):
            colours[number] = _hex([entry.get(part, "0") for part in ("c1", "c2", "c3")])
        if (table := band.find("GDALRasterAttributeTable")) is not None:
            more_names, more_colours, notes = _attribute_table(table, name)
            names, colours = {**more_names, **names}, {**more_colours, **colours}
    kept = {number: name.strip() for number, name in names.items() if number >= 0 and name.strip()}
    # A colour table has 256 entries, whether there are as many classes or not.
    shown = {n: text for n, text in colours.items() if n > 0 and (n in kept or not set(kept) - {0}) and text}
    return kept, shown, notes


def _attribute_table(table: ET.Element, file: str) -> tuple[dict[int, str], dict[int, str], tuple[str, ...]]:
    usages = [int(one.text or 0) for one in table.iterfind("FieldDefn/Usage")]
    titles = [(one.text or "").strip().lower() for one in table.iterfind("FieldDefn/Name")]
    kinds = [one.text for one in table.iterfind("FieldDefn/Type")]
    # GDAL's numbers for what a column is used for: 0 anything, 2 name, 3 least and 5 only value, 6 to 8 red, green and blue.
    value, name = (
        next((usages.index(usage) for usage in wanted if usage in usages), None) for wanted in ((5, 3), (2,))
    )
    if value is None and "value" in titles:
        value = titles.index("value")
    # Without a column of values the rows are the values, where the table says so or has no number that could be one.
    first, width = spectrum.numbers([table.get("Row0Min") or 0, table.get("BinSize") or 1]).tolist()
    others = [
        title
        for title, kind, usage in zip(titles, kinds, usages, strict=True)
        if kind != "2" and usage == 0 and title not in _NO_VALUES
    ]
    if value is None and table.get("BinSize") is None and others:
        return {}, {}, (f"{file}: its table of classes has no column Value; classes' names are left out",)
    names, colours = {}, {}
    for row in table.iterfind("Row"):
        cells = [cell.text or "" for cell in row.iterfind("F")]
        number = float(spectrum.numbers([cells[value] if value is not None else row.get("index", "")])[0])
        number = number if value is not None else first + width * number
        if not number.is_integer():
            continue
        if name is not None:
            names[int(number)] = cells[name]
        if {6, 7, 8} <= set(usages):
            colours[int(number)] = _hex([cells[usages.index(usage)] for usage in (6, 7, 8)])
    return names, colours, ()


def _hex(parts: Sequence[str]) -> str:
    """Return a colour as ``#rrggbb``, or an empty string for what is none."""
    values = spectrum.numbers(parts)
    good = len(values) == 3 and bool(((values >= 0) & (values <= 255)).all())
    return "#" + "".join(f"{int(value):02x}" for value in values) if good else ""
