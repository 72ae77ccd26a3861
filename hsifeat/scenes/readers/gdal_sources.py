"""GDAL drivers by suffix, and checks of the files that a VRT refers to.

GDAL chooses a driver by the content of a file, not by the suffix. A file named ``.tif`` or ``.geojson`` may therefore be a
VRT that runs Python code or opens any path. It may also be a service description that makes GDAL send network requests.
Raster readers therefore name the allowed drivers. Vector readers check the content before GDAL opens the file.
"""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsifeat.errors import SceneError, error_summary
from hsifeat.files import open_regular, read_regular
from hsifeat.quiet_warnings import ignored_warnings
from hsifeat.scenes.readers.external_sources import check_inside
from hsifeat.scenes.readers.gdal_headers import check_header

# GDAL opens only URLs that end with one of the allowed extensions. No URL ends with a brace. Without the last two options, GDAL
# returns values for missing parts of some truncated PNG and JPEG files, without an error.
OPTIONS = {
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "VRT_VIRTUAL_OVERVIEWS": "NO",
    "GML_DOWNLOAD_SCHEMA": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
}
"""GDAL configuration for reading untrusted files."""

_DRIVERS = {
    "tif": ("GTiff",), "tiff": ("GTiff",), "gtiff": ("GTiff",), "jp2": ("JP2OpenJPEG",), "png": ("PNG",), "vrt": ("VRT",),
    "img": ("HFA", "ENVI"), "jpg": ("JPEG",), "jpeg": ("JPEG",),
}  # fmt: skip
# Drivers of local rasters for other suffixes. Drivers that run code, use the network or open other data sets are left out. ERS,
# ISIS3, PCIDSK and PDS open other data sets only for headers that `check_header` refuses.
_OTHER_DRIVERS = (
    "GTiff", "HFA", "ENVI", "EHdr", "PCIDSK", "PNG", "JPEG", "JP2OpenJPEG", "BMP", "GIF", "WEBP", "PNM", "AAIGrid", "AIG", "GSAG",
    "GSBG", "GS7BG", "GRASSASCIIGrid", "RST", "SAGA", "RMF", "ISIS2", "ISIS3", "PDS", "VICAR", "LAN", "NITF", "DTED",
    "SRTMHGT", "USGSDEM", "XYZ", "BT", "MFF", "ERS", "ISCE", "ROI_PAC", "SGI", "TGA",
)  # fmt: skip
_SERVICES = re.compile(
    rb"<VRTDataset|<GDAL_WM|<WCS_GDAL|<WMTS|<TMS>|<TileMap|<GDALTileIndex|<OGRVRT|<OGRWFS|<OGRCSW|<(\w+:)?WFS_Capabilities|gdal_streamed_alg|stac_version",
    re.IGNORECASE,
)
_SCHEMA_LOCATION = re.compile(rb"""[sS]chemaLocation\s*=\s*["']([^"']*)["']""")
_HEADER_BYTES = 2**16
# Names of elements and attributes of a VRT, in lower case because GDAL ignores case. GDAL never opens the text of these as a file.
_FREE_TEXT = {"mdi", "srs", "gcpprojection", "description", "category", "sourceproperties", "expression"}
_SOURCE_TAGS = {"sourcefilename", "sourcedataset", "dempath"}
# Metadata items that GDAL opens as files: geolocation arrays of a warped VRT, and overviews.
_SOURCE_ITEMS = {"X_DATASET", "Y_DATASET", "OVERVIEW_FILE"}
_MAGIC = {
    ".gpkg": rb"SQLite format 3\0",
    ".shp": rb"\0\0'\n",
    ".fgb": rb"fgb",
    ".geojson": rb"(\xef\xbb\xbf)?\s*\{",
    ".json": rb"(\xef\xbb\xbf)?\s*\{",
    ".kml": rb"(\xef\xbb\xbf)?\s*<(?s:.*)<kml[\s>]|(\xef\xbb\xbf)?\s*<kml",
    ".gml": rb"(\xef\xbb\xbf)?\s*<(?s:.*)(FeatureCollection|gml)",
}


def raster_drivers(path: Path) -> list[str]:
    """Return the names of the GDAL drivers that are allowed for rasters with the suffix of `path`."""
    return list(_DRIVERS.get(path.suffix.lower().lstrip("."), _OTHER_DRIVERS))


def check_raster_sources(path: Path, depth: int = 0) -> None:
    """Check the data sets that a raster refers to.

    A VRT may refer only to files in its folder: to other VRTs, and to plain raster files. The content of a plain raster file
    must match its suffix, because GDAL chooses a driver by the content. Such a file must not be an HDF5 file, and must not
    describe a web service or other data sets. A raster that is not a VRT must not refer to other data sets.

    Parameters
    ----------
    path : Path
        The raster.
    depth : int
        Number of VRTs through which `path` is reached; 0 if the user opened `path` itself.

    Raises
    ------
    SceneError
        If a source of the VRT is missing or outside the folder of the VRT. If a source is neither a VRT nor a plain
        raster file. If the VRT is damaged or runs Python code. If a chain of references is longer than 4 VRTs. If the
        header of a raster refers to another data set; see `check_header`.
    """
    if path.suffix.lower() != ".vrt":
        if path.suffix.lower().lstrip(".") not in _DRIVERS:
            check_header(path)
        if depth:
            _check_plain_raster(path)
        return
    if depth > 4:
        raise SceneError(f"{path} is reached by more than 4 VRTs: name the sources directly")
    try:
        root = ET.fromstring(read_regular(path))  # noqa: S314  # expat limits the expansion of entities
    except ET.ParseError as error:
        raise SceneError(f"{path} is no VRT: {error}") from error
    for element in root.iter():
        _check_element(path, element, depth)


def _check_element(path: Path, element: ET.Element, depth: int) -> None:
    """Check the text and the attributes of an element of the VRT `path`; see `check_raster_sources`."""
    attributes = {_local_name(name): value for name, value in element.attrib.items()}
    own_text = "".join([element.text or "", *(child.tail or "" for child in element)]).strip()
    is_source_item = attributes.get("key", "").upper() in _SOURCE_ITEMS
    is_relative = re.match(r"\s*\+?0*[1-9]", attributes.get("relativetovrt", "")) is not None
    tag = _local_name(element.tag)
    # GDAL reads an attribute like an element of the same name. Keys of metadata are free text, and other attributes may be links.
    plain = {} if tag in _FREE_TEXT else attributes
    plain = {key: value for key, value in plain.items() if key in _SOURCE_TAGS or "://" not in value}
    for name, text in ((tag, own_text), *plain.items()):
        if name == "processingsteps" or (name == "pixelfunctionlanguage" and text.lower() == "python"):
            raise SceneError(
                f"{path} runs {'Python code' if text else 'processing steps'}, which is never done for a scene: convert it with "
                "gdal_translate first"
            )
        if name in _SOURCE_TAGS or (name == "mdi" and is_source_item):
            source = check_inside(path, text, "a source of the VRT", relative_to=None if is_relative else Path.cwd())
            check_raster_sources(source, depth + 1)
        elif name not in _FREE_TEXT and (text.startswith(("/", "\\")) or re.search(r"/vsi|://|\.\./", text)):
            raise SceneError(f"{path} refers to {text} ({name}), and only files in its own folder are read")


def _local_name(name: str) -> str:
    """Return the name of an element or attribute in lower case, without its namespace."""
    return name.rpartition("}")[2].lower()


def check_auxiliary_file(path: Path) -> None:
    """Check the data sets that a file of GDAL's auxiliary metadata, such as ``scene.tif.aux.xml``, refers to.

    Raises
    ------
    SceneError
        If the file is damaged or has other content. If a data set is outside the folder of the file. If a data set is
        neither a VRT nor a plain raster file; see `check_raster_sources`.
    """
    try:
        root = ET.fromstring(read_regular(path))  # noqa: S314  # expat limits the expansion of entities
    except ET.ParseError as error:
        raise SceneError(f"{path} is no file of auxiliary metadata: {error}") from error
    if root.tag != "PAMDataset":
        raise SceneError(f"{path} is no file of auxiliary metadata: its root element is {root.tag}, not PAMDataset")
    for element in root.iter():
        _check_element(path, element, 0)


def check_parts(path: Path, files: Iterable[str]) -> None:
    """Check that all `files` of the raster `path` lie in the folder of `path`; see `check_inside`."""
    for file in files:
        check_inside(path, file, "a part of the raster", relative_to=Path.cwd())


def _check_plain_raster(path: Path) -> None:
    """Check a source of a VRT, because GDAL opens such a source with any driver.

    The driver that GDAL chooses for the source must be a driver for its suffix. HDF5 files are refused, because they can
    read their values from any other file.
    """
    from h5py import is_hdf5
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
    from rasterio.io import DatasetReader

    if _SERVICES.search(_header(path)) or is_hdf5(path):
        raise SceneError(
            f"{path} describes other data sets or a service, although it is named like an image: it is not opened"
        )
    with ignored_warnings(NotGeoreferencedWarning):
        try:
            with DatasetReader(str(path), driver=raster_drivers(path), sharing=False) as dataset:
                check_parts(path, dataset.files)
            with DatasetReader(str(path), sharing=False) as dataset:
                driver = dataset.driver
        except RasterioIOError as error:
            raise SceneError(
                f"{path} is a source of a VRT, and no plain raster file: {error_summary(error)}"
            ) from error
    if driver not in raster_drivers(path):
        raise SceneError(f"{path} is a source of a VRT, and GDAL reads it as {driver}, which may refer to other files")


def check_vector_file(path: Path) -> None:
    """Check that the content of a vector file matches its suffix, because GDAL chooses a driver by the content.

    Raises
    ------
    SceneError
        If the format of the content does not match the suffix, for example if the content is a VRT or describes a web
        service. If the schema of a GML file lies outside of the folder of the file. If a GeoJSON file is damaged, or its
        CRS is a link.
    """
    header, magic = _header(path), _MAGIC.get(path.suffix.lower())
    is_text = path.suffix.lower() not in {".gpkg", ".shp", ".fgb"}
    if (magic and re.match(magic, header) is None) or (is_text and _SERVICES.search(header)):
        raise SceneError(f"{path} can't be read, it may be truncated: its content is not that of a {path.suffix} file")
    if path.suffix.lower() in {".json", ".geojson"}:
        _check_crs_links(path)
    for names in _SCHEMA_LOCATION.findall(header) if path.suffix.lower() == ".gml" else ():
        for name in names.decode("utf-8", "replace").split():
            if "://" not in name and not _is_below(path, name):
                raise SceneError(f"{path} refers to {name} (its schema), and only files in its own folder are read")


def _check_crs_links(path: Path) -> None:
    """Raise `SceneError` if the ``crs`` of a GeoJSON file is a link. GDAL would open the link over the network."""
    content = read_regular(path)
    if re.search(rb"crs|\\u", content, re.IGNORECASE) is None:
        return

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, value in pairs:
            facts = {key.lower(): str(fact).lower() for key, fact in value.items()} if isinstance(value, dict) else {}
            if name.lower() == "crs" and facts.get("type") in {"link", "url"}:
                raise SceneError(
                    f"{path} refers to a description of its CRS elsewhere ({facts['type']}), which is not opened: replace its member crs, "
                    "or convert it with ogr2ogr"
                )
        return dict(pairs)

    try:
        json.loads(content, object_pairs_hook=check)
    except (ValueError, RecursionError) as error:
        if isinstance(error, SceneError):
            raise
        raise SceneError(f"{path} can't be read, it may be truncated: {error_summary(error)}") from error


@contextmanager
def vector_options() -> Iterator[None]:
    """Set `OPTIONS` for pyogrio in a ``with`` block. pyogrio has a separate GDAL, which ignores rasterio's options.

    The options apply to all threads, so blocks of several threads must not overlap.
    """
    import pyogrio

    before = {name: pyogrio.get_gdal_config_option(name) for name in OPTIONS}
    pyogrio.set_gdal_config_options(OPTIONS)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def _is_below(path: Path, name: str) -> bool:
    folder = Path(os.path.realpath(path)).parent
    return Path(os.path.realpath(folder / name)).is_relative_to(folder)


def _header(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_HEADER_BYTES)
