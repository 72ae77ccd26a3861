"""Polygons in longitude and latitude, as RFC 7946 (GeoJSON) asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.longitudes import clip_shapes, find_jumps, repeat_shapes, unwrap, whole_turn
from hsifeat.scenes.map_positions import PositionTransformer

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

_ADVICE = "write .gpkg, .tif or .csv"
_WORLD = (-180.0, -90.0, 180.0, 90.0)
# Nine decimals of a degree are a tenth of a millimetre.
_PRECISION = 1e-9


def as_longitudes_and_latitudes(frame: GeoDataFrame, pixel: float, name: str) -> GeoDataFrame:
    """Reproject polygons to WGS 84, and cut them at the 180th meridian (RFC 7946, section 3.1.9).

    GDAL's cut is not used, because it fails where the meridian runs along the edges of polygons.

    Parameters
    ----------
    frame : GeoDataFrame
        Polygons in any CRS.
    pixel : float
        Side of a pixel in units of the CRS. Edges get about one vertex per pixel, because an edge that is straight on the map is
        curved in longitude and latitude.
    name : str
        Name of the file, for errors.

    Raises
    ------
    SceneError
        If the CRS is local, so that its places on the Earth are unknown.
        If a vertex lies off the map of the CRS. If the bounding box of a polygon contains a pole, or if a
        polygon spans more than 180 degrees of longitude. Neither of these two is an error in a geographic CRS or a cylindrical
        projection. If edges of a polygon cross.
    """
    import shapely

    shapes = shapely.segmentize(frame.geometry.to_numpy(), pixel)
    points, polygons = shapely.get_coordinates(shapes, return_index=True)
    turn = whole_turn(frame.crs.to_wkt())
    lon, lat = PositionTransformer(frame.crs.to_wkt(), "EPSG:4326", (name, "GeoJSON"), _ADVICE)(points.T)
    if len(off_map := polygons[~(np.abs(lat) < 90 + _PRECISION)]):
        raise _refusal(frame, off_map[0], name, "reaches beyond the end of the map in its CRS")
    # The longitudes of a polygon are continuous: they are close to that of its first vertex, or grow with x.
    first = np.searchsorted(polygons, polygons)
    growth = 0.0 if turn is None else (points[:, 0] - points[first, 0]) * (360 / turn)
    lon = unwrap(lon, lon[first] + growth - 180, 360)
    shapes = shapely.set_coordinates(shapes, np.column_stack((lon, lat)))
    around = find_jumps(shapes, 360)
    if turn is None:
        around |= _hold_poles(frame)
    if around.any():
        at = np.flatnonzero(around)[0]
        raise _refusal(frame, at, name, "lies around a pole or beside it, or at more than half of all longitudes")
    # Straight edges between the vertices cross where the true edges are strongly curved.
    if len(crossing := np.flatnonzero(~shapely.is_valid(shapes))):
        raise _refusal(frame, crossing[0], name, "has edges that cross if they are straight in longitude and latitude")
    shapes = clip_shapes(repeat_shapes(shapes, 360, _WORLD), _WORLD)
    # If each vertex were rounded on its own, slivers beside the meridian could become lines.
    shapes = shapely.orient_polygons(shapely.set_precision(shapes, _PRECISION))
    return frame.set_geometry(shapes, crs="EPSG:4326")


def _refusal(frame: GeoDataFrame, at: int, name: str, problem: str) -> SceneError:
    return SceneError(
        f"{name}: a polygon of the class {frame['class'].iloc[at]!r} {problem}, and can't be written in longitude and latitude: "
        f"{_ADVICE}"
    )


def _hold_poles(frame: GeoDataFrame) -> NDArray[np.bool_]:
    """Return whether the bounding box of each polygon contains a pole."""
    import shapely
    from pyproj import Transformer

    to_map = Transformer.from_crs(frame.crs.geodetic_crs, frame.crs, always_xy=True)
    positions = np.column_stack(to_map.transform([0, 0], [90, -90]))
    poles = shapely.MultiPoint(positions[np.isfinite(positions).all(axis=1)])
    return np.asarray(shapely.intersects(shapely.envelope(frame.geometry.to_numpy()), poles))
