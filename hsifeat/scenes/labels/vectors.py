"""Labels from the polygons and points of a vector file, rasterised onto the grid of a scene."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError, raise_resource_error
from hsifeat.formatting import format_count
from hsifeat.quiet_warnings import recorded_warnings
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels, safe_label_name
from hsifeat.scenes.labels.classes import Classes, encode_classes, note_lost_classes, note_zeros
from hsifeat.scenes.labels.geopackage import without_log
from hsifeat.scenes.labels.reprojection import repeat_on_scene, reproject, scene_corners
from hsifeat.scenes.pixel_grid import PixelGrid
from hsifeat.scenes.readers.gdal_sources import check_vector_file, vector_options
from hsifeat.scenes.scene_blocks import count_values

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from shapely.geometry.base import BaseGeometry

_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".kml", ".gml")
_GEOMETRY_TYPES = {"Polygon", "MultiPolygon", "Point", "MultiPoint"}
# Typical names of class columns, in lower case without punctuation. These columns have priority over other columns.
_CLASS_COLUMNS = {
    "class", "classid", "classname", "classes", "label", "labels", "labelid", "labelname", "code", "category", "landuse",
    "landcover", "lulc", "lu", "lc", "type", "crop", "species", "groundtruth", "gt",
}  # fmt: skip
# Held while a file is read: options of pyogrio, and filters of warnings that geopandas changes, apply to all threads.
_lock = Lock()
_ID_COLUMNS = {"id", "fid", "gid", "oid", "objectid", "uuid", "index"}


def split_vector_source(source: str | Path) -> tuple[Path | None, str]:
    """Split ``FILE``, ``FILE:COLUMN`` or ``FILE:LAYER:COLUMN`` into the file and the remaining text.

    The file is None and the text is empty if `source` is not a vector file.

    >>> split_vector_source("a.gpkg:fields:crop")
    (PosixPath('a.gpkg'), 'fields:crop')
    """
    parts = str(source).split(":")
    heads = [":".join(parts[:count]) for count in range(len(parts), 0, -1)]
    candidates = [head for head in heads if Path(head).suffix.lower() in _SUFFIXES]
    head = next((head for head in candidates if Path(head).is_file()), candidates[-1] if candidates else None)
    return (None, "") if head is None else (Path(head), str(source)[len(head) + 1 :])


def read_vectors(path: Path, selection: str, scene: PixelGrid) -> Labels:
    """Rasterise the polygons and points of a vector file onto the grid of a scene.

    Parameters
    ----------
    path : Path
        GeoPackage, GeoJSON, shapefile, FlatGeobuf, KML or GML file of polygons or points.
    selection : str
        ``COLUMN``, ``LAYER:COLUMN``, ``LAYER``, or an empty string. Without ``LAYER``, the file must have only one layer with
        geometries. Without ``COLUMN``, the layer must have only one column that seems to contain classes.
    scene : PixelGrid
        A scene with a georeference.

    Returns
    -------
    Labels
        The label map. It is named after the selected layer. If no layer is selected, it is named after the selected column,
        or otherwise after the file.

    Raises
    ------
    SceneError
        If the file does not exist or is damaged, or its path contains ``;`` or ``!``. If the file or the scene has no CRS. If the layer or column in `selection`
        does not exist. If a layer or column is not selected, and there is not exactly one candidate for it. If a
        geometry is neither a polygon nor a point. If class numbers and class names are mixed. If a class number is
        fractional, negative or above 2**31 - 1. If no labelled polygon or point lies on the scene. If a polygon crosses the
        meridian at which the CRS of the scene begins and ends, and the scene reaches this meridian from both sides.
    """
    with _lock:
        return _read_vectors(path, selection, scene)


def _read_vectors(path: Path, selection: str, scene: PixelGrid) -> Labels:
    target = scene.georeference
    if not path.is_file():
        raise SceneError(f"no such file: {path}")
    if ";" in path.name or "!" in str(path):  # pyogrio takes the path for an address with parameters, or for a zip file
        raise SceneError(
            f"{path}: vector files with ';' in their name or '!' in their path can't be read: rename the file or folder"
        )
    if target is None or target.crs is None:
        raise SceneError(
            f"{path.name} has map coordinates, but the scene {scene.name} has no CRS: assign a CRS to the scene, or use a label "
            "raster"
        )
    schema_file = path.with_suffix(".gfs")
    schema_existed = schema_file.exists()
    try:
        check_vector_file(path)
        with vector_options(), without_log(path) as file, recorded_warnings() as texts:
            features, column, name, notes = _read_features(file, selection)
        messages = dict.fromkeys(text.replace(str(file), path.name) for text in texts)
        notes += tuple(f"{path.name}: {' '.join(message.split())}" for message in messages)
    except SceneError:
        raise
    except Exception as error:  # a damaged file can make GDAL raise anything
        raise_resource_error(error)
        reason = " ".join(str(error).split()) or type(error).__name__
        if re.search("Unknown WKB type|Geometry type is not supported", reason):
            raise SceneError(
                f"{path} has a geometry that is neither a polygon nor a point, such as a TIN or a PolyhedralSurface: save its faces as "
                f"polygons ({reason})"
            ) from error
        raise SceneError(f"{path} can't be read, it may be truncated: {reason}") from error
    finally:
        # GDAL writes a schema file into the folder of a GML file.
        if path.suffix.lower() == ".gml" and not schema_existed:
            schema_file.unlink(missing_ok=True)
    features, drop_notes = _drop_unusable(features, column, path.name)
    # Class names of the whole file are numbered, so that class numbers do not depend on the scene.
    values, class_names = encode_classes(features[column].tolist(), f"{path.name}, column {column}")
    if not Georeference(features.crs.to_wkt(), target.transform).same_crs(target):
        notes += (f"{path.name}: reprojected from {features.crs.name} to the scene's {target.crs_name}",)
        features = reproject(features, target, scene, path.name)
    features = repeat_on_scene(features, target, scene)
    classes, raster_notes = _rasterise(features, values, target, scene, path.name)
    lost_notes = note_lost_classes(values[None], classes, class_names, path.name)
    notes += (*drop_notes, *raster_notes, *lost_notes, *note_zeros(values, "feature", path.name))
    return Labels(name, classes, class_names, notes=notes, georeference=target)


def _read_features(path: Path, selection: str) -> tuple[GeoDataFrame, str, str, tuple[str, ...]]:
    """Return the features, the name of the class column, the name of the label map, and notes."""
    import geopandas

    if path.suffix.lower() == ".shp":
        _check_shapefile_size(path)
    layer_table = geopandas.list_layers(path)
    # Tables without geometry have no geometry type.
    layers = {layer: _column_kinds(path, layer) for layer in layer_table.name[layer_table.geometry_type.notna()]}
    first = next(iter(layers), "")
    if len(layers) == 1 and (selection == "" or selection in layers[first]):
        layer, column, name = first, selection, selection or path.stem
    else:
        matches = [layer for layer in layers if f"{selection}:".startswith(f"{layer}:")]
        if not matches:
            raise SceneError(_no_layer_message(path, selection, layers))
        layer = name = max(matches, key=len)
        column = selection[len(layer) + 1 :]
    columns = layers[layer]
    notes: tuple[str, ...] = ()
    if column not in columns:
        if column:
            raise SceneError(f"{path.name} has no column {column!r}; it has {', '.join(columns) or 'none'}")
        column = _guess_class_column(columns, path.name)
        if len(columns) > 1:
            notes = (
                f"{path.name}: read the classes from the column {column}, of {', '.join(columns)}; FILE:COLUMN selects another",
            )
    features = geopandas.read_file(path, layer=layer, columns=[column])
    return features, column, safe_label_name(name), notes


def _check_shapefile_size(path: Path) -> None:
    """Raise `SceneError` if a shapefile is truncated, because GDAL would silently drop features."""
    with path.open("rb") as file:
        expected = 2 * int.from_bytes(file.read(28)[24:])
    if (size := path.stat().st_size) < expected:
        raise SceneError(f"{path} has {size} bytes, but its header says {expected}: it is truncated")


def _column_kinds(path: Path, layer: str) -> dict[str, str]:
    """Map the name of each column of a layer to the NumPy dtype kind of the column, such as ``i`` for integers."""
    import geopandas

    empty = geopandas.read_file(path, layer=layer, rows=0)
    return {column: dtype.kind for column, dtype in empty.dtypes.items() if column != empty.geometry.name}


def _no_layer_message(path: Path, selection: str, layers: dict[str, dict[str, str]]) -> str:
    if not layers:
        return f"{path.name} has no layer with geometries"
    if len(layers) == 1:
        columns = ", ".join(next(iter(layers.values())))
        return f"{path.name} has no column {selection!r}; it has {columns or 'none'}"
    listed = "; ".join(f"{layer} ({', '.join(columns)})" for layer, columns in layers.items())
    problem = f"no layer for {selection!r}" if selection else f"{len(layers)} layers"
    return f"{path.name} has {problem}: name one as FILE:LAYER:COLUMN, of {listed}"


def _guess_class_column(columns: dict[str, str], name: str) -> str:
    """Return the only column whose name is typical of classes, such as ``crop``.

    If no column has such a name, return the only integer or text column. Identifiers such as ``fid`` do not count.
    """
    simple = {column: re.sub(r"[\W_]", "", column.lower()) for column in columns}
    candidates = [column for column in columns if simple[column] in _CLASS_COLUMNS] or [
        column
        for column, kind in columns.items()
        if kind in "iuO" and simple[column] not in _ID_COLUMNS and not column.lower().endswith("_id")
    ]
    if len(candidates) != 1:
        problem = (
            f"several columns may hold the class, {', '.join(candidates)}" if candidates else "no column holds a class"
        )
        raise SceneError(f"{name}: {problem}: name one as FILE:COLUMN, of {', '.join(columns) or 'none'}")
    return candidates[0]


def _drop_unusable(features: GeoDataFrame, column: str, name: str) -> tuple[GeoDataFrame, tuple[str, ...]]:
    """Drop features without a geometry or a class, and check the geometry types of the remaining features."""
    if features.crs is None:
        raise SceneError(f"{name} has no CRS, so its position is unknown: assign one (ogr2ogr -a_srs, or a .prj file)")
    text = features[column].astype(str).str.strip()
    usable = features[~(features[column].isna() | (text == "") | features.geometry.isna() | features.geometry.is_empty)]
    others = sorted(set(usable.geom_type) - _GEOMETRY_TYPES)
    if others:
        raise SceneError(f"{name}: only polygons and points can become labels; found {', '.join(others)}")
    if not len(usable):
        raise SceneError(f"{name} has no feature with a geometry and a class in the column {column}")
    dropped = len(features) - len(usable)
    return usable, (
        f"{name}: dropped {format_count(dropped, 'feature')} without a class or a geometry",
    ) if dropped else ()


def _rasterise(
    features: GeoDataFrame, values: Classes, target: Georeference, scene: PixelGrid, name: str
) -> tuple[Classes, tuple[str, ...]]:
    import shapely
    from rasterio import Affine
    from rasterio.features import rasterize

    transform = Affine(*target.transform)
    inside = features.intersects(shapely.Polygon(scene_corners(target, scene))).to_numpy()
    if not inside.any():
        raise SceneError(f"{name}: no feature lies on the scene {scene.name}: check the CRS of both files")
    notes: tuple[str, ...] = ()
    if not inside.all():
        notes = (f"{name}: {np.count_nonzero(~inside)} of {len(inside)} features lie outside the scene",)
    shapes = sorted(zip(features.geometry[inside], values[inside].tolist(), strict=True), key=lambda shape: shape[1])
    # Later features overwrite earlier features, so the two orders give the highest and the lowest class of each pixel.
    highest, lowest = (
        rasterize(order, (scene.rows, scene.cols), transform=transform, dtype=values.dtype)
        for order in (shapes, shapes[::-1])
    )
    classes: Classes = np.where(highest == lowest, highest, 0)
    if overlaps := int(np.count_nonzero(highest != lowest)):
        notes += (
            f"{name}: {format_count(overlaps, 'pixel holds', 'pixels hold')} features of different classes and became 0",
        )
    elif not highest.any():
        raise SceneError(
            f"{name}: no feature with a class above 0 holds the centre of a pixel of the scene {scene.name}: check the CRS, the "
            "class column and the pixel size"
        )
    if empty := _count_empty(features.geometry[inside].to_numpy(), target, scene):
        verb = "holds" if empty == 1 else "hold"
        notes += (
            (
                f"{name}: {empty} of {np.count_nonzero(inside)} features on the scene {verb} no centre of a pixel and label nothing "
                "(polygons smaller than a pixel, or features on the edge of the scene)"
            ),
        )
    return classes, notes


def _count_empty(shapes: NDArray[np.object_], target: Georeference, scene: PixelGrid) -> int:
    """Count the features that label no pixel even without the other features."""
    from rasterio import Affine
    from rasterio.features import rasterize

    transform = Affine(*target.transform)
    # A feature that is visible when all are drawn on each other labels a pixel. Only the others are drawn one by one.
    numbers = range(1, len(shapes) + 1)
    drawn = rasterize(zip(shapes, numbers, strict=True), (scene.rows, scene.cols), transform=transform, dtype=np.int32)
    hidden = np.delete(shapes, [number - 1 for number in count_values(drawn) if number])
    return sum(not _labels_pixel(shape, target, scene) for shape in hidden)


def _labels_pixel(shape: BaseGeometry, target: Georeference, scene: PixelGrid) -> bool:
    """Return whether a feature labels a pixel of the scene. Only the part of the scene around the feature is drawn."""
    from rasterio import Affine
    from rasterio.features import rasterize

    transform, corners = Affine(*target.transform), scene_corners(target, scene)
    west, south, east, north = np.clip(shape.bounds, np.tile(corners.min(axis=0), 2), np.tile(corners.max(axis=0), 2))
    pixels = np.array([~transform @ corner for corner in ((west, south), (west, north), (east, south), (east, north))])
    # A margin of one pixel absorbs rounding.
    left, top = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 1, (scene.cols, scene.rows))
    if left >= right or top >= bottom:
        return False
    part = transform @ Affine.translation(left, top)
    return bool(rasterize([shape], (bottom - top, right - left), transform=part, dtype=np.uint8).any())
