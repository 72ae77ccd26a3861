"""Writers of maps as cloud-optimised GeoTIFF with a palette or named bands.

GDAL's driver for cloud-optimised GeoTIFF can only copy an existing raster. Blocks are therefore first written to a plain
tiled GeoTIFF, which is then copied. Both files are created in a temporary folder beside the output path. At the end, the
copy is moved to the output path.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.files import disk_errors, temporary_folder
from hsifeat.formatting import SOFTWARE
from hsifeat.quiet_warnings import ignored_warnings
from hsifeat.scenes.georeference import Georeference, as_wkt
from hsifeat.scenes.maps.legend import Legend
from hsifeat.scenes.readers.gdal_classes import CLASS_TAG
from hsifeat.scenes.scene_blocks import count_values
from hsifeat.types import Window, windows

if TYPE_CHECKING:
    from rasterio.io import DatasetWriter

_PLAIN_TILE_PX, _TILE_PX = 128, 256
# Size of GDAL's block cache. The default is a twentieth of the machine's memory.
_CACHE_BYTES = 2**25

# Columns of the raster attribute table: name, and GDAL's numbers for type and usage.
_INTEGER, _STRING = 0, 2
_COLUMNS = (
    ("Value", _INTEGER, 5),
    ("Count", _INTEGER, 1),
    ("Class", _STRING, 2),
    ("Red", _INTEGER, 6),
    ("Green", _INTEGER, 7),
    ("Blue", _INTEGER, 8),
)


# Endings of files that GDAL and other programs write beside a GeoTIFF, after the name of the GeoTIFF without its suffix.
_DERIVED_SUFFIXES = {
    f"{suffix}{ending}"
    for suffix in (".tif", ".tiff", ".TIF", ".TIFF")
    for ending in (".ovr", ".msk", ".msk.ovr", ".aux.xml")
} | {".tfw", ".tifw", ".wld"}


def write_map_geotiff(
    path: Path,
    classes: NDArray[np.integer],
    legend: Legend,
    georeference: Georeference | None = None,
    *,
    mark: str = SOFTWARE,
) -> None:
    """Write a classification map with a palette and nodata 0.

    Class names are written to an auxiliary file with the additional suffix ``.aux.xml``, which GDAL and QGIS read. The names
    are also written as metadata of the band, in case the auxiliary file is lost.

    Parameters
    ----------
    path : Path
        The file.
    classes : (rows, cols) integer array
        Class of each pixel; 0 is no data.
    legend : Legend
        Legend that includes all classes of the map.
    georeference : Georeference, optional
        Position of the map.
    mark : str
        Tag of the file that says what wrote it; see `is_map`.
    """
    rows, cols = classes.shape
    kind = np.uint8 if max(legend.numbers, default=0) < 2**8 else np.uint16

    def describe(file: DatasetWriter) -> None:
        opaque = {n: (*map(int, rgb), 255) for n, rgb in zip(legend.numbers, legend.rgb, strict=True)}
        file.write_colormap(1, {0: (0, 0, 0, 0), **opaque})
        file.update_tags(1, **{f"{CLASS_TAG}{n}": name for n, name in zip(legend.numbers, legend.names, strict=True)})

    blocks = ((w, classes[w.slices][..., None].astype(kind)) for w in windows(rows, cols, _PLAIN_TILE_PX))
    profile = {"height": rows, "width": cols, "count": 1, "dtype": kind, "nodata": 0}
    options = {"OVERVIEW_RESAMPLING": "MODE"}
    _write(
        path,
        blocks,
        {**profile, **_georeference_profile(georeference)},
        describe,
        options,
        _attribute_xml(classes, legend),
        mark,
    )


def is_map(path: Path, mark: str = SOFTWARE) -> bool:
    """Return whether a file is a GeoTIFF of classes or probabilities that hsifeat wrote, with this mark."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with ignored_warnings(NotGeoreferencedWarning), rasterio.open(path, driver="GTiff") as file:
        return bool(file.tags().get("TIFFTAG_SOFTWARE") == mark)


def write_probabilities_geotiff(
    path: Path,
    blocks: Iterable[tuple[Window, NDArray[np.float32]]],
    shape: tuple[int, int],
    legend: Legend,
    georeference: Georeference | None = None,
) -> None:
    """Write probabilities as one float32 band per class.

    The description of a band is the name of its class. NaN means no data.

    Parameters
    ----------
    path : Path
        The file.
    blocks : iterable of (Window, (rows, cols, classes) float32 array)
        Windows that cover the map, and the probabilities in each window.
    shape : tuple of int
        Rows and columns of the map.
    legend : Legend
        Legend with the classes in the order of the probabilities.
    georeference : Georeference, optional
        Position of the map.
    """

    def describe(file: DatasetWriter) -> None:
        file.descriptions = legend.names

    profile = {
        "height": shape[0],
        "width": shape[1],
        "count": len(legend.numbers),
        "dtype": np.float32,
        "nodata": np.nan,
    }
    options = {"OVERVIEW_RESAMPLING": "AVERAGE", "PREDICTOR": "YES"}
    _write(path, blocks, {**profile, **_georeference_profile(georeference)}, describe, options, None)


def _write(
    path: Path,
    blocks: Iterable[tuple[Window, NDArray[Any]]],
    profile: dict[str, Any],
    describe: Callable[[DatasetWriter], None],
    options: dict[str, str],
    names: ET.Element | None,
    mark: str = SOFTWARE,
) -> None:
    import rasterio
    import rasterio.shutil
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.windows import Window as RasterioWindow

    tiles = {"tiled": True, "blockxsize": _PLAIN_TILE_PX, "blockysize": _PLAIN_TILE_PX, "bigtiff": "if_safer"}
    aux_file = path.with_name(f"{path.name}.aux.xml")
    with (
        disk_errors(path),
        temporary_folder(path) as folder,
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
        ignored_warnings(NotGeoreferencedWarning),
    ):
        plain, complete, complete_xml = (folder / name for name in ("plain.tif", "map.tif", "map.tif.aux.xml"))
        try:
            with rasterio.open(plain, "w", driver="GTiff", **tiles, **profile) as file:
                describe(file)
                file.update_tags(TIFFTAG_SOFTWARE=mark)
                for w, values in blocks:
                    file.write(np.moveaxis(values, 2, 0), window=RasterioWindow(w.col, w.row, w.cols, w.rows))
            rasterio.shutil.copy(
                plain, complete, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=_TILE_PX, BIGTIFF="IF_SAFER", **options
            )
        except (RasterioError, rasterio._err.CPLE_BaseError) as error:  # noqa: SLF001  # the class has no public name
            # GDAL does not say that a disk is full.
            map_bytes = profile["count"] * profile["height"] * profile["width"] * np.dtype(profile["dtype"]).itemsize
            if shutil.disk_usage(folder).free < map_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise SceneError(f"{path} can't be written: {error}") from error
        # Overviews, masks and auxiliary files of an earlier map must not describe the new map.
        aux_file.unlink(missing_ok=True)
        for file in side_files(path):
            if file.name.removeprefix(path.stem) in _DERIVED_SUFFIXES:
                file.unlink()
        if names is not None:
            # GDAL may have written this file to store what a GeoTIFF can't, such as a CRS with a rotated pole.
            root = ET.parse(complete_xml).getroot() if complete_xml.exists() else ET.Element("PAMDataset")  # noqa: S314  # written by GDAL
            root.append(names)
            ET.indent(root, " ")
            complete_xml.write_bytes(ET.tostring(root, encoding="utf-8"))
        if complete_xml.exists():
            complete_xml.replace(aux_file)
        complete.replace(path)


def side_files(path: Path) -> list[Path]:
    """Return the other files that GDAL reads with a GeoTIFF: external overviews, masks, world files and auxiliary files.

    The list is empty if there is no readable GeoTIFF.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with ignored_warnings(NotGeoreferencedWarning), rasterio.open(path, driver="GTiff") as file:
            return [Path(name) for name in file.files if Path(name) != path]
    except RasterioError:
        return []


def holds_crs(path: Path, georeference: Georeference) -> bool:
    """Return whether the CRS that GDAL reads from a written GeoTIFF equals the CRS of a georeference."""
    import rasterio

    with rasterio.open(path) as file:
        if file.crs is None or georeference.crs is None:
            return file.crs is None and georeference.crs is None
        stored = Georeference(file.crs.to_wkt(), georeference.transform)
        return bool(file.crs == rasterio.CRS.from_wkt(as_wkt(georeference.crs))) or stored.same_crs(georeference)


def _georeference_profile(georeference: Georeference | None) -> dict[str, Any]:
    import rasterio
    from rasterio import Affine

    if georeference is None:
        return {}
    crs = None if georeference.crs is None else rasterio.CRS.from_wkt(as_wkt(georeference.crs))
    return {"crs": crs, "transform": Affine(*georeference.transform)}


def _attribute_xml(classes: NDArray[np.integer], legend: Legend) -> ET.Element:
    """Return an XML element with the class names, for GDAL's auxiliary file.

    GDAL does not read class names from a GeoTIFF file. The auxiliary file contains them twice: as category names, which QGIS shows with
    the palette, and as a raster attribute table.
    """
    band = ET.Element("PAMRasterBand", band="1")
    names = {0: "no data", **dict(zip(legend.numbers, legend.names, strict=True))}
    categories = ET.SubElement(band, "CategoryNames")
    for number in range(max(names) + 1):
        ET.SubElement(categories, "Category").text = names.get(number)
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(_COLUMNS):
        column = ET.SubElement(table, "FieldDefn", index=str(index))
        for tag, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            ET.SubElement(column, tag).text = str(value)
    counts = count_values(classes)
    for index, (number, name, rgb) in enumerate(zip(legend.numbers, legend.names, legend.rgb, strict=True)):
        row = ET.SubElement(table, "Row", index=str(index))
        for value in (number, counts.get(number, 0), name, *rgb):
            ET.SubElement(row, "F").text = str(value)
    return band
