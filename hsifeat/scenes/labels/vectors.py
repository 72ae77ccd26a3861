"""Labels from polygons and points, by geopandas, rasterised onto a scene's grid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.labels.classes import Classes, encode_classes
from hsifeat.scenes.scene import Scene

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".kml", ".gml")
# Around the scene, of its extent, within which shapes are cut out before they are reprojected.
_MARGIN = 0.1
# Points along a side of the scene by which its extent in another CRS is found.
_EDGE_POINTS = 100
_SHAPES = {"Polygon", "MultiPolygon", "Point", "MultiPoint"}
# Columns that hold classes by their name, whatever else there is.
_CLASS_NAMES = {
    "class", "classid", "classname", "classes", "label", "labels", "labelid", "labelname", "code", "category", "landuse",
    "landcover", "lulc", "lu", "lc", "type", "crop", "species", "groundtruth", "gt",
}  # fmt: skip
_ID_NAMES = {"id", "fid", "gid", "oid", "objectid", "uuid", "index"}


def split_vector_source(source: str | Path) -> tuple[Path | None, str]:
    """Read ``FILE``, ``FILE:COLUMN`` or ``FILE:LAYER:COLUMN``: the file, None if it is no vector file, and the rest.

    >>> split_vector_source("a.gpkg:fields:crop")
    (PosixPath('a.gpkg'), 'fields:crop')
    """
    parts = str(source).split(":")
    heads = [":".join(parts[:count]) for count in range(len(parts), 0, -1)]
    named = [head for head in heads if Path(head).suffix.lower() in SUFFIXES]
    head = next((head for head in named if Path(head).is_file()), named[-1] if named else None)
    return (None, "") if head is None else (Path(head), str(source)[len(head) + 1 :])


def read_vectors(path: Path, rest: str, scene: Scene) -> Labels:
    """Rasterise the features of a vector file onto a scene's grid.

    Parameters
    ----------
    path : Path
        A GeoPackage, GeoJSON, shapefile, FlatGeobuf, KML or GML of polygons or points.
    rest : str
        ``COLUMN``, ``LAYER:COLUMN``, ``LAYER``, or nothing; what is left out must have a single candidate.
    scene : Scene
        Has a georeference.

    Returns
    -------
    Labels
        Named after the layer, the column or the file: the first of them that is given.

    Raises
    ------
    SceneError
        No such file, a damaged file, no CRS on either side, several candidates for the layer or the column, other
        geometries, or no feature on the scene.
    """
    where = scene.georeference
    if not path.is_file():
        raise SceneError(f"no such file: {path}")
    if where is None or where.crs is None:
        raise SceneError(
            f"{path.name} has map coordinates, but the scene {scene.name} has no CRS: give it one, or a label raster"
        )
    index = path.with_suffix(".gfs")
    indexed = index.exists()
    try:
        features, column, name, notes = _read(path, rest)
    except SceneError:
        raise
    except Exception as error:  # a damaged file makes GDAL raise anything at all
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SceneError(f"{path} can't be read, it may be truncated: {reason}") from error
    finally:
        # GDAL writes it beside a GML.
        if path.suffix.lower() == ".gml" and not indexed:
            index.unlink(missing_ok=True)
    features, left_out = _usable(features, column, path.name)
    # All of the file's classes are numbered, so that its labels mean the same on every scene.
    values, names = encode_classes(features[column].tolist(), f"{path.name}, column {column}")
    if not Georeference(features.crs.to_wkt(), where.transform).same_crs(where):
        target = f"the scene's {where.crs_name}"
        notes += (f"{path.name}: reprojected from {features.crs.name} to {target}",)
        features = _across(features, where, scene)
    classes, changes = _rasterise(features, values, where, scene, path.name)
    return Labels(name, classes, names, notes=(*notes, *left_out, *changes))


def _read(path: Path, rest: str) -> tuple[GeoDataFrame, str, str, tuple[str, ...]]:
    """Return the features, the column of their classes, what to call them, and a note on what was guessed."""
    import geopandas

    if path.suffix.lower() == ".shp":
        _check_size(path)
    listed = geopandas.list_layers(path)
    # Tables without geometry have no type.
    layers = {layer: _columns(path, layer) for layer in listed.name[listed.geometry_type.notna()]}
    first = next(iter(layers), "")
    if len(layers) == 1 and (rest == "" or rest in layers[first]):
        layer, column, name = first, rest, rest or path.stem
    else:
        found = [layer for layer in layers if f"{rest}:".startswith(f"{layer}:")]
        if not found:
            raise SceneError(_no_layer(path, rest, layers))
        layer = name = max(found, key=len)
        column = rest[len(layer) + 1 :]
    columns = layers[layer]
    notes: tuple[str, ...] = ()
    if column not in columns:
        if column:
            raise SceneError(f"{path.name} has no column {column!r}; it has {', '.join(columns) or 'none'}")
        column = _guess(columns, path.name)
        if len(columns) > 1:
            notes = (f"{path.name}: took the column {column}, of {', '.join(columns)}; FILE:COLUMN names another",)
    features = geopandas.read_file(path, layer=layer, columns=[column])
    return features, column, name.replace("/", "-"), notes


def _check_size(path: Path) -> None:
    """Compare a shapefile's size with its header's; GDAL reads on without the features that are cut off."""
    with path.open("rb") as file:
        said = 2 * int.from_bytes(file.read(28)[24:])
    if (found := path.stat().st_size) < said:
        raise SceneError(f"{path} has {found} bytes, but its header says {said}: it is truncated")


def _columns(path: Path, layer: str) -> dict[str, str]:
    """Return the columns of a layer and the kinds of their dtypes, as NumPy's letters."""
    import geopandas

    empty = geopandas.read_file(path, layer=layer, rows=0)
    return {column: dtype.kind for column, dtype in empty.dtypes.items() if column != empty.geometry.name}


def _no_layer(path: Path, rest: str, layers: dict[str, dict[str, str]]) -> str:
    if not layers:
        return f"{path.name} has no layer with geometries"
    if len(layers) == 1:
        columns = ", ".join(next(iter(layers.values())))
        return f"{path.name} has no column {rest!r}; it has {columns or 'none'}"
    listed = "; ".join(f"{layer} ({', '.join(columns)})" for layer, columns in layers.items())
    found = f"no layer for {rest!r}" if rest else f"{len(layers)} layers"
    return f"{path.name} has {found}: name one as FILE:LAYER:COLUMN, of {listed}"


def _guess(columns: dict[str, str], name: str) -> str:
    """Take the only column that is named like a class; else the only one of whole numbers or text beside ids."""
    plain = {column: re.sub(r"[\W_]", "", column.lower()) for column in columns}
    candidates = [column for column in columns if plain[column] in _CLASS_NAMES] or [
        column
        for column, kind in columns.items()
        if kind in "iuO" and plain[column] not in _ID_NAMES and not column.lower().endswith("_id")
    ]
    if len(candidates) != 1:
        found = (
            f"several columns may hold the class, {', '.join(candidates)}" if candidates else "no column holds a class"
        )
        raise SceneError(f"{name}: {found}: name one as FILE:COLUMN, of {', '.join(columns) or 'none'}")
    return candidates[0]


def _usable(features: GeoDataFrame, column: str, name: str) -> tuple[GeoDataFrame, tuple[str, ...]]:
    """Leave out what has no geometry or no class; refuse what can't become labels."""
    if features.crs is None:
        raise SceneError(
            f"{name} has no CRS, so that where it lies is not known: assign one (ogr2ogr -a_srs, or a .prj)"
        )
    text = features[column].astype(str).str.strip()
    kept = features[~(features[column].isna() | (text == "") | features.geometry.isna() | features.geometry.is_empty)]
    others = sorted(set(kept.geom_type) - _SHAPES)
    if others:
        raise SceneError(f"{name}: polygons and points can become labels; found {', '.join(others)}")
    if not len(kept):
        raise SceneError(f"{name} has no feature with a geometry and a class in the column {column}")
    lost = len(features) - len(kept)
    return kept, (f"{name}: left out {lost} features without a class or a geometry",) if lost else ()


def _corners(where: Georeference, scene: Scene) -> NDArray[np.float64]:
    """Return the scene's corners (4, 2) in map coordinates, one after the other."""
    from rasterio import Affine
    from rasterio.transform import xy

    rows, cols = [0, 0, scene.rows, scene.rows], [0, scene.cols, scene.cols, 0]
    return np.column_stack(xy(Affine(*where.transform), rows, cols, offset="ul"))


def _across(features: GeoDataFrame, where: Georeference, scene: Scene) -> GeoDataFrame:
    """Reproject features, whose edges are straight in their own CRS and may be bent in the scene's.

    Only vertices are reprojected, and those far away may not be at all. What lies around the scene is cut out first, and
    its edges get a vertex about every pixel.
    """
    import shapely
    from pyproj import Transformer

    corners = _corners(where, scene)
    back = Transformer.from_crs(where.crs, features.crs, always_xy=True)
    (west, south), (east, north) = corners.min(axis=0), corners.max(axis=0)
    left, bottom, right, top = back.transform_bounds(west, south, east, north, densify_pts=_EDGE_POINTS)
    # Not so where the scene lies outside what the CRS is for.
    if np.isfinite([left, bottom, right, top]).all() and left != right and bottom < top:
        # Across the antimeridian what lies to the left has the higher longitude.
        width, height = right - left + (360 if left > right else 0), top - bottom
        pixel = min(width / scene.cols, height / scene.rows)
        margin = _MARGIN * max(width, height) + 2 * pixel
        sides = [(left - margin, right + margin)] if left < right else [(left - margin, 180), (-180, right + margin)]
        around = shapely.union_all([shapely.box(a, bottom - margin, b, top + margin) for a, b in sides])
        shapes = features.geometry.to_numpy().copy()
        boxes = shapely.envelope(shapes)
        near, within = shapely.intersects(around, boxes), shapely.covers(around, boxes)
        shapes[~near] = shapely.Polygon()
        cut = near & ~within
        shapes[cut] = shapely.intersection(shapely.make_valid(shapes[cut]), around)
        shapes[near] = shapely.segmentize(shapes[near], pixel)
        features = features.set_geometry(shapes, crs=features.crs)
    return features.to_crs(where.crs)


def _rasterise(
    features: GeoDataFrame, values: Classes, where: Georeference, scene: Scene, name: str
) -> tuple[Classes, tuple[str, ...]]:
    import shapely
    from rasterio import Affine
    from rasterio.features import rasterize

    transform = Affine(*where.transform)
    inside = features.intersects(shapely.Polygon(_corners(where, scene))).to_numpy()
    if not inside.any():
        raise SceneError(f"{name}: none of its features lies on the scene {scene.name}: check the CRS of both")
    notes: tuple[str, ...] = ()
    if not inside.all():
        notes = (f"{name}: {np.count_nonzero(~inside)} of {len(inside)} features lie outside the scene",)
    shapes = sorted(zip(features.geometry[inside], values[inside].tolist(), strict=True), key=lambda shape: shape[1])
    # Later features cover earlier ones: the highest class of each pixel, and the lowest.
    highest, lowest = (
        rasterize(order, (scene.rows, scene.cols), transform=transform, dtype=values.dtype)
        for order in (shapes, shapes[::-1])
    )
    classes: Classes = np.where(highest == lowest, highest, 0)
    if overlaps := int(np.count_nonzero(highest != lowest)):
        notes += (f"{name}: {overlaps} pixels hold features of different classes and became 0",)
    elif not highest.any():
        raise SceneError(
            f"{name}: no feature with a class above 0 holds the centre of a pixel of the scene {scene.name}"
        )
    return classes, notes
