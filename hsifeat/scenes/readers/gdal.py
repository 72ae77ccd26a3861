"""Lazy reader of GeoTIFF and other raster formats of GDAL, based on rasterio.

The module `gdal_metadata` reads scale, spectrum, band names and georeference.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.quiet_warnings import ignored_warnings
from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.nodata import NoData, describe_bands
from hsifeat.scenes.readers import gdal_metadata
from hsifeat.scenes.readers.gdal_classes import read_class_table
from hsifeat.scenes.readers.gdal_errors import raise_read_faults
from hsifeat.scenes.readers.gdal_sources import OPTIONS, check_parts, check_raster_sources, raster_drivers
from hsifeat.scenes.readers.raster import Raster
from hsifeat.scenes.readers.reading_errors import reading_errors

# Maximum number of values per GDAL read if a slice step discards most of the values.
_VALUES_PER_READ = 2**22


class RasterioCube(ArrayView):
    """Lazy (rows, cols, bands) array of a raster file.

    A lock lets one thread read at a time. Unpickling opens the file again.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    name : str
        GDAL's name of the dataset: the file itself, or one image in a file with several images.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._arguments = path, name
        self.dataset = _open_dataset(name, raster_drivers(path))
        check_parts(path, self.dataset.files)
        self._lock = threading.Lock()
        dtypes = self.dataset.dtypes
        if any(dtype.startswith("complex") for dtype in dtypes):
            raise SceneError(
                f"{path} holds complex values ({dtypes[0]}); a scene holds real numbers: save their magnitude"
            )
        super().__init__((self.dataset.height, self.dataset.width, self.dataset.count), np.result_type(*dtypes))

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        return type(self), self._arguments

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        import rasterio
        from rasterio.windows import Window

        rows, cols, bands = (range(part, part + 1) if isinstance(part, int) else part for part in parts)
        width = cols[-1] + 1 - cols[0]
        values = np.empty((len(bands), len(rows), len(cols)), self.dtype)
        contiguous = rows.step == cols.step == 1
        rows_per_read = len(rows) if contiguous else max(_VALUES_PER_READ // (width * rows.step * len(bands)), 1)
        with reading_errors(self._arguments[0]), self._lock, rasterio.Env(**OPTIONS):
            for first in range(0, len(rows), rows_per_read):
                part = rows[first : first + rows_per_read]
                window = Window(cols[0], part[0], width, part[-1] + 1 - part[0])
                if contiguous:
                    self._read_window(values, bands, window)
                else:
                    block = np.empty((len(bands), window.height, width), self.dtype)
                    self._read_window(block, bands, window)
                    values[:, first : first + len(part)] = block[:, :: rows.step, :: cols.step]
        return values.transpose(1, 2, 0)[tuple(slice(None) if isinstance(part, range) else 0 for part in parts)]

    def _read_window(self, out: NDArray[Any], bands: range, window: Any) -> None:
        """Read bands of a window into `out`, an array of shape (bands, rows, cols).

        Bands of different dtypes are read one by one, because rasterio can't read them together.
        """
        if len(set(self.dataset.dtypes)) == 1:
            self.dataset.read([band + 1 for band in bands], window=window, out=out)
        else:
            for index, band in enumerate(bands):
                out[index] = self.dataset.read(band + 1, window=window)


class SingleBandView(ArrayView):
    """A (rows, cols) view of a single-band cube.

    Parameters
    ----------
    cube : ArrayView of shape (rows, cols, 1)
        The single-band cube.
    """

    def __init__(self, cube: ArrayView) -> None:
        super().__init__(cube.shape[:2], cube.dtype)
        self._cube = cube

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        return self._cube[(*as_slices(parts), 0)]


def read_gdal(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a raster and its metadata with GDAL, without writing auxiliary files.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        3 for a (rows, cols, bands) cube; 2 for a (rows, cols) label map from a file with one band.
    variable : str or None
        Number of the image, counted from 1, in a file with several images such as a multi-page TIFF. Must be None for a
        file with one image.

    Raises
    ------
    SceneError
        If the file is truncated, contains complex values, or refers to files outside of its folder. If the file
        contains several images, and `variable` does not select one. If the file contains one image, and `variable` is
        not None.
    """
    import rasterio

    # Inside rasterio.Env, GDAL's warnings go to Python's logging. Outside, GDAL prints them.
    # rasterio warns when it compares a no-data value beyond float32 with the limits of the dtype.
    with rasterio.Env(**OPTIONS), raise_read_faults(path), ignored_warnings(RuntimeWarning):
        check_raster_sources(path)
        return _read_metadata(_open_image(path, variable), path, ndim, variable or "")


def raster_parts(path: Path) -> list[Path]:
    """Return the files from which GDAL reads a raster: the file itself and its companions, such as ``scene.tif.aux.xml``.

    Raises
    ------
    SceneError
        If the file can't be read, or refers to files outside of its folder.
    """
    import rasterio

    with reading_errors(path), rasterio.Env(**OPTIONS):
        check_raster_sources(path)
        with _open_dataset(str(path), raster_drivers(path)) as dataset:
            check_parts(path, dataset.files)
            return [Path(file) for file in dataset.files]


def _read_metadata(cube: RasterioCube, path: Path, ndim: int, variable: str) -> Raster:
    dataset, name = cube.dataset, path.name
    notes = _check_last_block(dataset, path)
    _check_spill_file(dataset)
    wavelengths_nm, fwhm_nm, bad_bands, spectrum_notes = gdal_metadata.read_spectrum(dataset, name)
    packing, scale, scale_notes = gdal_metadata.read_scale(dataset, name)
    georeference, georeference_notes = gdal_metadata.read_georeference(dataset, name)
    band_names, name_notes = gdal_metadata.read_band_names(dataset, name)
    is_map = ndim == 2 and dataset.count == 1
    class_names, class_colours, class_notes = read_class_table(dataset, name) if is_map else ({}, {}, ())
    if len(set(dataset.dtypes)) > 1:
        notes += (f"{name}: its bands have the dtypes {', '.join(sorted(set(dataset.dtypes)))}; read as {cube.dtype}",)
    nodata = gdal_metadata.read_nodata(dataset)
    if differing := describe_bands(nodata):
        notes += (f"{name}: its bands have different no-data values: {differing}",)
    if ndim == 3 and any(colour.name == "palette" for colour in dataset.colorinterp) and not _is_grey(dataset):
        notes += (
            f"{name}: its values are numbers of a colour table, and no brightness; gdal_translate -expand rgb writes the colours",
        )
    alpha = [band for band, colour in enumerate(dataset.colorinterp) if colour.name == "alpha"]
    if alpha and ndim == 3 and dataset.count > len(alpha):
        bad_bands = tuple(sorted({*bad_bands, *alpha}))
        numbers = ", ".join(str(band + 1) for band in alpha)
        notes += (
            f"{name}: band {numbers} is an alpha band (transparency) and counts as bad; `bad_bands='keep'` keeps it",
        )
    if alpha or any(flag.name in {"per_dataset", "alpha"} for flags in dataset.mask_flag_enums for flag in flags):
        remedy = "gdal_edit.py -a_nodata (labels) or `nodata` (a scene)" if ndim == 2 else "`nodata`"
        notes += (f"{name}: has a mask or an alpha band, which is ignored; declare the no-data value with {remedy}",)
    return Raster(
        array=SingleBandView(cube) if is_map else cube,
        variable=variable,
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        band_names=band_names,
        band_colours=gdal_metadata.read_colours(dataset),
        bad_bands=bad_bands,
        nodata=nodata,
        scale=scale,
        scale_notes=scale_notes,
        packing=packing,
        georeference=georeference,
        class_names=class_names,
        class_colours=class_colours,
        notes=(*notes, *spectrum_notes, *georeference_notes, *name_notes, *class_notes),
    )


def _is_grey(dataset: Any) -> bool:
    """Return whether the colour table of a raster gives each number the grey value of this number, as in GIF images of grey values."""
    try:
        table = dataset.colormap(1)
    except ValueError:  # no table
        return False
    return all(colour[:3] == (number,) * 3 for number, colour in table.items())


def read_driver_georeference(path: Path, driver: str) -> tuple[Georeference | None, tuple[str, ...]]:
    """Open a file with the GDAL driver `driver`. Return its georeference, and notes on ignored metadata."""
    import rasterio

    with reading_errors(path), rasterio.Env(), _open_dataset(str(path), [driver]) as dataset:
        return gdal_metadata.read_georeference(dataset, path.name)


def read_driver_nodata(path: Path, driver: str) -> NoData:
    """Open a file with the GDAL driver `driver`, and return its no-data values, also those in an auxiliary file."""
    import rasterio

    with (
        reading_errors(path),
        rasterio.Env(),
        ignored_warnings(RuntimeWarning),
        _open_dataset(str(path), [driver]) as file,
    ):
        return gdal_metadata.read_nodata(file)


def _open_dataset(name: str, drivers: list[str]) -> Any:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import DatasetReader

    with rasterio.Env(**OPTIONS), ignored_warnings(NotGeoreferencedWarning):
        # rasterio.open takes only one driver.
        return DatasetReader(name, driver=drivers, sharing=False)


def _open_image(path: Path, variable: str | None) -> RasterioCube:
    """Open the image with the number `variable`, or the only image of the file if `variable` is None."""
    with _open_dataset(str(path), raster_drivers(path)) as dataset:
        images, band_count = list(dataset.subdatasets), dataset.count
    if not images:
        if variable is not None:
            raise SceneError(f"{path} holds one image without a name; leave out {variable!r}")
        if band_count == 0:
            raise SceneError(f"{path} holds no image")
        return RasterioCube(path, str(path))
    by_number = {str(number): image for number, image in enumerate(images, start=1)}
    if variable not in by_number:
        listing = ", ".join(f"{n} ({image.rpartition('/')[2]})" for n, image in list(by_number.items())[:12])
        problem = "" if variable is None else f"none is named {variable!r}; "
        raise SceneError(f"{path} holds {len(images)} images: {listing}: {problem}choose one with `variable=NUMBER`")
    return RasterioCube(path, by_number[variable])


def _check_last_block(dataset: Any, path: Path) -> tuple[str, ...]:
    """Raise `SceneError` if the last block of a TIFF file is truncated, and return a note if this block is missing.

    GDAL reads a missing block as no data or 0, without an error.
    """
    if dataset.driver != "GTiff":
        return ()
    file_bytes, (height, width) = path.stat().st_size, dataset.block_shapes[0]
    last_col, last_row = (dataset.width - 1) // width, (dataset.height - 1) // height
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    needed = 0
    if "COMPRESSION" not in structure and "NBITS" not in dataset.tags(1, ns="IMAGE_STRUCTURE"):
        # The last strip holds only the remaining rows; tiles are always complete.
        block_rows = height if width < dataset.width else min(height, dataset.height - last_row * height)
        values = dataset.count if structure.get("INTERLEAVE") == "PIXEL" else 1
        needed = block_rows * width * values * np.dtype(dataset.dtypes[0]).itemsize
    absent = False
    for band in {1, dataset.count}:
        start, length = (
            int(dataset.get_tag_item(f"BLOCK_{field}_{last_col}_{last_row}", "TIFF", bidx=band) or 0)
            for field in ("OFFSET", "SIZE")
        )
        absent |= not start
        if start and (start + length > file_bytes or length < needed):
            raise SceneError(
                f"{path} has {file_bytes} bytes, but its last block starts at byte {start} and needs {max(needed, length)} "
                f"bytes, of which {length} are stored: the file is truncated or its header is damaged"
            )
    return (
        (f"{path.name}: its last block is not in the file; missing blocks are read as no data, or 0",) if absent else ()
    )


def _check_spill_file(dataset: Any) -> None:
    """Raise `SceneError` if the file of the values of a large HFA raster (``.ige``) is truncated.

    GDAL reads missing values of this file as 0, without an error.
    """
    if dataset.driver != "HFA":
        return
    needed = 0
    for band, dtype, (height, width) in zip(dataset.indexes, dataset.dtypes, dataset.block_shapes, strict=True):
        bits = int(dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", 8 * np.dtype(dtype).itemsize))
        blocks = math.ceil(dataset.height / height) * math.ceil(dataset.width / width)
        needed += blocks * height * width * bits // 8
    for file in map(Path, dataset.files):
        if file.suffix.lower() == ".ige" and (file_bytes := file.stat().st_size) < needed:
            raise SceneError(f"{file} has {file_bytes} bytes, and its values need {needed}: the file is truncated")
