"""Maps as cloud-optimised GeoTIFF: tiles, overviews, a palette or named bands, where the scene lies, names of the classes.

GDAL's driver for such files copies from another raster, so blocks go into a plain tiled file first. Both lie in a folder
beside the map until they are whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.files import disk_errors
from hsifeat.scenes.blocks import count_values
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.maps.legend import Legend
from hsifeat.types import Window, windows

if TYPE_CHECKING:
    from rasterio.io import DatasetWriter

_PLAIN_TILE_PX, _TILE_PX = 128, 256
# GDAL would take a twentieth of the machine's memory for its cache of blocks.
_CACHE_BYTES = 2**25

# Types and usages of the columns of GDAL's raster attribute table.
_INTEGER, _STRING = 0, 2
_COLUMNS = (
    ("Value", _INTEGER, 5),
    ("Count", _INTEGER, 1),
    ("Class", _STRING, 2),
    ("Red", _INTEGER, 6),
    ("Green", _INTEGER, 7),
    ("Blue", _INTEGER, 8),
)


def write_map(
    path: Path, classes: NDArray[np.integer], legend: Legend, georeference: Georeference | None = None
) -> None:
    """Write a map of classes (rows, cols) with a palette, nodata 0, and ``.aux.xml`` beside it with the classes' names."""
    rows, cols = classes.shape
    kind = np.uint8 if max(legend.numbers, default=0) < 2**8 else np.uint16

    def describe(file: DatasetWriter) -> None:
        opaque = {n: (*map(int, rgb), 255) for n, rgb in zip(legend.numbers, legend.rgb, strict=True)}
        file.write_colormap(1, {0: (0, 0, 0, 0), **opaque})

    blocks = ((w, classes[w.slices][..., None].astype(kind)) for w in windows(rows, cols, _PLAIN_TILE_PX))
    facts = {"height": rows, "width": cols, "count": 1, "dtype": kind, "nodata": 0}
    options = {"OVERVIEW_RESAMPLING": "MODE"}
    _write(path, blocks, {**facts, **_place(georeference)}, describe, options, _names(classes, legend))


def write_probabilities(
    path: Path,
    blocks: Iterable[tuple[Window, NDArray[np.float32]]],
    shape: tuple[int, int],
    legend: Legend,
    georeference: Georeference | None = None,
) -> None:
    """Write probabilities, blocks of (rows, cols, classes), as one float32 band a class that bears its name; nodata NaN."""

    def describe(file: DatasetWriter) -> None:
        file.descriptions = legend.names

    facts = {"height": shape[0], "width": shape[1], "count": len(legend.numbers), "dtype": np.float32, "nodata": np.nan}
    options = {"OVERVIEW_RESAMPLING": "AVERAGE", "PREDICTOR": "YES"}
    _write(path, blocks, {**facts, **_place(georeference)}, describe, options, None)


def _write(
    path: Path,
    blocks: Iterable[tuple[Window, NDArray[Any]]],
    facts: dict[str, Any],
    describe: Callable[[DatasetWriter], None],
    options: dict[str, str],
    names: ET.Element | None,
) -> None:
    import rasterio
    import rasterio.shutil
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.windows import Window as AxisIndex

    tiles = {"tiled": True, "blockxsize": _PLAIN_TILE_PX, "blockysize": _PLAIN_TILE_PX, "bigtiff": "if_safer"}
    beside = path.with_name(f"{path.name}.aux.xml")
    with (
        disk_errors(path),
        TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder,
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        plain, done, said = (Path(folder, name) for name in ("plain.tif", "map.tif", "map.tif.aux.xml"))
        try:
            with rasterio.open(plain, "w", driver="GTiff", **tiles, **facts) as file:
                describe(file)
                for w, values in blocks:
                    file.write(np.moveaxis(values, 2, 0), window=AxisIndex(w.col, w.row, w.cols, w.rows))
            rasterio.shutil.copy(
                plain, done, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=_TILE_PX, BIGTIFF="IF_SAFER", **options
            )
        except (RasterioError, rasterio._err.CPLE_BaseError) as error:  # noqa: SLF001  # the class has no other name
            raise SceneError(f"{path} can't be written ({error}): is there room for it on the disk?") from error
        # What lies there from an earlier map must not describe this one.
        beside.unlink(missing_ok=True)
        if names is not None:
            # GDAL has put there what a GeoTIFF can't hold, such as the CRS of a rotated pole.
            root = ET.parse(said).getroot() if said.exists() else ET.Element("PAMDataset")  # noqa: S314  # GDAL's own
            root.append(names)
            ET.indent(root, " ")
            said.write_bytes(ET.tostring(root, encoding="utf-8"))
        if said.exists():
            said.replace(beside)
        done.replace(path)


def holds_crs(path: Path, georeference: Georeference) -> bool:
    """Tell whether a GeoTIFF, with what lies beside it, has a CRS as GDAL or pyproj sees it."""
    import rasterio

    with rasterio.open(path) as file:
        if file.crs is None or georeference.crs is None:
            return file.crs is None and georeference.crs is None
        found = Georeference(file.crs.to_wkt(), georeference.transform)
        return bool(file.crs == rasterio.CRS.from_wkt(georeference.crs)) or found.same_crs(georeference)


def _place(georeference: Georeference | None) -> dict[str, Any]:
    from rasterio import Affine

    return {} if georeference is None else {"crs": georeference.crs, "transform": Affine(*georeference.transform)}


def _names(classes: NDArray[np.integer], legend: Legend) -> ET.Element:
    """Return the names as the band of GDAL's auxiliary file has them: as category names, which QGIS puts beside the palette, and as a table.

    Neither has a place in the GeoTIFF itself.
    """
    band = ET.Element("PAMRasterBand", band="1")
    named = {0: "no data", **dict(zip(legend.numbers, legend.names, strict=True))}
    categories = ET.SubElement(band, "CategoryNames")
    for number in range(max(named) + 1):
        ET.SubElement(categories, "Category").text = named.get(number)
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
