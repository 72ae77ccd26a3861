"""Polygons in longitude and latitude, as RFC 7946 (GeoJSON) asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.scenes.longitudes import clip_shapes, repeat_shapes, unwrap, whole_turn

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

_WORLD = (-180.0, -90.0, 180.0, 90.0)


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
        If the bounding box of a polygon contains a pole. The longitudes of such a polygon have no fixed range.
    """
    import shapely

    shapes = shapely.segmentize(frame.geometry.to_numpy(), pixel)
    _check_poles(frame, name)
    points, polygons = shapely.get_coordinates(shapes, return_index=True)
    frame = frame.set_geometry(shapes, crs=frame.crs)
    turn = whole_turn(frame.crs.to_wkt())
    frame = frame.to_crs("EPSG:4326")
    lon, lat = shapely.get_coordinates(frame.geometry.to_numpy()).T
    # The longitudes of a polygon are continuous: they are close to that of its first vertex, or grow with x.
    first = np.searchsorted(polygons, polygons)
    growth = 0.0 if turn is None else (points[:, 0] - points[first, 0]) * (360 / turn)
    lon = unwrap(lon, lon[first] + growth - 180, 360)
    shapes = shapely.set_coordinates(shapes, np.column_stack((lon, lat)))
    shapes = clip_shapes(repeat_shapes(shapes, 360, _WORLD), _WORLD)
    return frame.set_geometry(shapes, crs=frame.crs)


def _check_poles(frame: GeoDataFrame, name: str) -> None:
    import shapely
    from pyproj import Transformer

    if not frame.crs.is_projected:
        return
    to_map = Transformer.from_crs(frame.crs.geodetic_crs, frame.crs, always_xy=True)
    positions = np.column_stack(to_map.transform([0, 0], [90, -90]))
    poles = shapely.MultiPoint(positions[np.isfinite(positions).all(axis=1)])
    around = shapely.intersects(shapely.envelope(frame.geometry.to_numpy()), poles)
    if around.any():
        raise SceneError(
            f"{name}: a polygon of the class {frame['class'][around].iloc[0]!r} lies around a pole or beside it, and can't be "
            "written in longitude and latitude: write .gpkg, .tif or .csv"
        )
