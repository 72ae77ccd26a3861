"""Reprojection of the polygons and points of a vector file to the CRS and the longitudes of a scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.formatting import format_count
from hsifeat.scenes.georeference import Georeference, parse_crs
from hsifeat.scenes.longitudes import clip_shapes, find_jumps, repeat_shapes, unwrap, whole_turn
from hsifeat.scenes.map_positions import RETURN_TOLERANCE_M, make_transformer
from hsifeat.scenes.pixel_grid import PixelGrid

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from pyproj import Transformer

# Features are clipped to the scene and a margin before reprojection. This is the margin relative to the extent of the scene.
_MARGIN = 0.1
# Width of the gap between the two ends of surroundings that go around the Earth, relative to a turn.
_SEAM = 1e-9
# Maximum distance, in pixels, between a point in a polygon and the polygon after reprojection. `RETURN_TOLERANCE_M` is added.
_TORN_PX = 2
# Number of longitudes and latitudes at which the ends of a map are searched.
_SEARCHED = (721, 5)
# A step between two longitudes crosses an end of the map if it is longer than this many median steps.
_LONG_STEP = 3
# Number of points along each side of the scene. The extent of the scene in another CRS is computed from these points.
_EDGE_POINTS = 100


def scene_corners(target: Georeference, scene: PixelGrid) -> NDArray[np.float64]:
    """Return the map coordinates of the scene's corners, in order around the scene, as a (4, 2) float64 array."""
    from rasterio import Affine
    from rasterio.transform import xy

    rows, cols = [0, 0, scene.rows, scene.rows], [0, scene.cols, scene.cols, 0]
    return np.column_stack(xy(Affine(*target.transform), rows, cols, offset="ul"))


def reproject(features: GeoDataFrame, target: Georeference, scene: PixelGrid, name: str) -> GeoDataFrame:
    """Reproject features to the CRS of the scene.

    Only vertices are reprojected, but a straight edge may be curved in the CRS of the scene. Edges therefore get about one
    vertex per pixel. Distant vertices may have no coordinates in the CRS of the scene. Features are therefore clipped to the
    surroundings of the scene, and cut where these reach beyond the end of a map with curved meridians.

    Parameters
    ----------
    features : GeoDataFrame
        Polygons and points in another CRS than that of the scene.
    target : Georeference
        Georeference of the scene, with a CRS.
    scene : PixelGrid
        The scene.
    name : str
        Name of the vector file, for errors.

    Raises
    ------
    SceneError
        If no transformation between the CRS of the file and of the scene is known; see `make_transformer`.
        If a polygon crosses the meridian opposite to the centre of the scene, where x jumps by a whole turn. If a polygon
        still crosses the edge of the map after the cut, or contains the place that the map stretches into its edge.
    """
    import shapely

    file_crs = features.crs.to_wkt()
    inverse = make_transformer(str(target.crs), file_crs, (f"the scene {scene.name}", name))
    turn = whole_turn(file_crs)
    target_turn = whole_turn(str(target.crs))
    left, bottom, right, top = _bounds(inverse, scene_corners(target, scene), turn)
    # The bounds are not finite if the scene lies outside the area of use of the CRS.
    if np.isfinite([left, bottom, right, top]).all() and left < right and bottom < top:
        width, height = right - left, top - bottom
        pixel = min(width / scene.cols, height / scene.rows)
        margin = _MARGIN * max(width, height) + 2 * pixel
        # Surroundings of a whole turn would hold the same place twice.
        margin_x = margin if turn is None else min(margin, (turn - width) / 2 - _SEAM * turn)
        surroundings = left - margin_x, bottom - margin, right + margin_x, top + margin
        shapes = clip_shapes(repeat_shapes(features.geometry.to_numpy(), turn, surroundings), surroundings)
        if turn is not None and target_turn is None:
            shapes = _cut_polygons(shapes, _find_ends(inverse, surroundings), surroundings, _SEAM * turn)
        features = features.set_geometry(shapely.segmentize(shapes, pixel), crs=features.crs)
    before = features.geometry.to_numpy()
    features = features.to_crs(target.crs)
    if target_turn is None:
        metres = parse_crs(str(target.crs)).axis_info[0].unit_conversion_factor
        tolerance = _TORN_PX * max(target.pixel_size) + RETURN_TOLERANCE_M / metres
        _refuse_torn(before, features.geometry.to_numpy(), inverse, tolerance, name)
        return features
    return _unwrap_around(features, target, scene, target_turn, name)


def _find_ends(inverse: Transformer, bounds: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Return the longitudes within `bounds` at which the map of the scene ends.

    Places on both sides of such a longitude lie far apart on the map. `inverse` is the transformer from the CRS of the scene to
    that of the features, in which meridians are straight.
    """
    west, south, east, north = bounds
    x = np.linspace(west, east, _SEARCHED[0])
    y = np.linspace(south, north, _SEARCHED[1] + 2)[1:-1]

    def distance(left: NDArray[np.float64], right: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        places = [np.array(inverse.transform(x, y, direction="INVERSE")) for x in (left, right)]
        return np.asarray(np.hypot(*(places[1] - places[0])))

    with np.errstate(invalid="ignore"):
        grid_x, grid_y = np.meshgrid(x, y)
        steps = distance(grid_x[:, :-1], grid_x[:, 1:], grid_y[:, 1:])
        steps[~np.isfinite(steps)] = np.nan
        rows = ~np.isnan(steps).all(axis=1)
        steps, y = steps[rows], y[rows]
        row, col = np.nonzero(steps > _LONG_STEP * np.nanmedian(steps, axis=1, keepdims=True))
        left, right, y = x[col], x[col + 1], y[row]
        for _ in range(50):
            middle = (left + right) / 2
            beyond = distance(left, middle, y) < distance(middle, right, y)
            left, right = np.where(beyond, middle, left), np.where(beyond, right, middle)
        return np.unique(np.round(left[distance(left, right, y) > steps[row, col] / 2], 9))


def _cut_polygons(
    shapes: NDArray[np.object_], at: NDArray[np.float64], bounds: tuple[float, float, float, float], width: float
) -> NDArray[np.object_]:
    """Remove strips of twice `width` around the x coordinates `at` from polygons. Points are unchanged."""
    import shapely

    if not len(at):
        return shapes
    strips = shapely.union_all(shapely.box(at - width, bounds[1], at + width, bounds[3]))
    crossing = (shapely.get_dimensions(shapes) == 2) & shapely.intersects(shapely.envelope(shapes), strips)
    shapes = shapes.copy()
    shapes[crossing] = shapely.difference(shapely.make_valid(shapes[crossing]), strips)
    return shapes


def _refuse_torn(
    before: NDArray[np.object_], after: NDArray[np.object_], inverse: Transformer, tolerance: float, name: str
) -> None:
    """Raise a `SceneError` if a polygon covers another area after reprojection.

    This happens if a polygon crosses the edge of a map, where neighbouring places lie at different ends: it then covers the
    map between both ends, or everything except its own area. The test takes a point inside each polygon before and after
    reprojection.

    Parameters
    ----------
    before, after : (n,) object arrays
        Polygons and points before and after reprojection.
    inverse : Transformer
        Transformer from the CRS of the scene to that of the features.
    tolerance : float
        Maximum distance from a point to its polygon, in the CRS of the scene.
    name : str
        Name of the vector file.
    """
    import shapely

    (parts, owners), moved = shapely.get_parts(before, return_index=True), shapely.get_parts(after)
    known = (shapely.get_dimensions(parts) == 2) & np.isfinite(shapely.bounds(moved)).all(axis=1)
    parts, moved, owners = parts[known], moved[known], owners[known]
    turn = None if inverse.target_crs is None else whole_turn(inverse.target_crs.to_wkt())
    west, _, east, _ = shapely.bounds(parts).T

    def move(points: NDArray[np.object_], direction: str) -> NDArray[np.object_]:
        x, y = inverse.transform(shapely.get_x(points), shapely.get_y(points), direction=direction)
        found = np.isfinite(x) & np.isfinite(y)
        if direction == "FORWARD":
            x = unwrap(np.where(found, x, 0), (west + east - (turn or 0)) / 2, turn)
        places = np.full(len(found), None, object)
        places[found] = shapely.points(x[found], y[found])
        return places

    drawn = shapely.point_on_surface(moved)
    nearest = shapely.get_point(shapely.shortest_line(parts, move(drawn, "FORWARD")), 0)
    torn = shapely.distance(move(nearest, "INVERSE"), drawn) > tolerance
    torn |= shapely.distance(move(shapely.point_on_surface(parts), "INVERSE"), moved) > tolerance
    if count := len(np.unique(owners[torn])):
        raise SceneError(
            f"{name}: {format_count(count, 'polygon reaches', 'polygons reach')} both ends of the map in the CRS of the scene: "
            "split them there first, or reproject the file to this CRS (ogr2ogr -t_srs)"
        )


def repeat_on_scene(features: GeoDataFrame, target: Georeference, scene: PixelGrid) -> GeoDataFrame:
    """Move features by whole turns of longitude onto the scene, or repeat them there.

    Parameters
    ----------
    features : GeoDataFrame
        Polygons and points in the CRS of the scene.
    target : Georeference
        Georeference of the scene, with a CRS.
    scene : PixelGrid
        The scene.
    """
    corners = scene_corners(target, scene)
    bounds = (*corners.min(axis=0), *corners.max(axis=0))
    shapes = repeat_shapes(features.geometry.to_numpy(), whole_turn(str(target.crs)), bounds)
    return features.set_geometry(shapes, crs=features.crs)


def _bounds(
    inverse: Transformer, corners: NDArray[np.float64], turn: float | None
) -> tuple[float, float, float, float]:
    """Return the bounds of the scene in the CRS of the features. They are continuous where x jumps by a whole turn."""
    (west, south), (east, north) = corners.min(axis=0), corners.max(axis=0)
    left, bottom, right, top = inverse.transform_bounds(west, south, east, north, densify_pts=_EDGE_POINTS)
    if turn is None:
        return left, bottom, right, top
    if inverse.target_crs is not None and inverse.target_crs.is_geographic:
        # PROJ finds no lowest latitude if all corners of the scene are off a map of the whole Earth.
        bottom = bottom if np.isfinite(bottom) else -turn / 4
        # Across the antimeridian the left bound has the higher longitude.
        return left, bottom, right + (turn if left > right else 0), top
    share = np.linspace(0, 1, _EDGE_POINTS)[:, np.newaxis]
    edges = [a + share * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    with np.errstate(invalid="ignore"):
        x = np.unwrap(inverse.transform(*np.concatenate(edges).T)[0], period=turn)
    return float(x.min()), bottom, float(x.max()), top


def _unwrap_around(
    features: GeoDataFrame, target: Georeference, scene: PixelGrid, turn: float, name: str
) -> GeoDataFrame:
    """Move the vertices of reprojected features by whole turns to the longitudes around the centre of the scene."""
    import shapely

    first = scene_corners(target, scene).mean(axis=0)[0] - turn / 2

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        finite = np.isfinite(points[:, 0])
        x = np.where(finite, unwrap(np.where(finite, points[:, 0], 0), first, turn), points[:, 0])
        return np.column_stack((x, points[:, 1]))

    shapes = shapely.transform(features.geometry.to_numpy(), move)
    if crossing := int(np.count_nonzero(find_jumps(shapes, turn))):
        raise SceneError(
            f"{name}: {format_count(crossing, 'polygon crosses', 'polygons cross')} the meridian opposite to the centre of the scene "
            f"{scene.name}: reproject the file to the CRS of the scene first (ogr2ogr -t_srs), which cuts polygons at the 180th "
            "meridian"
        )
    return features.set_geometry(shapes, crs=features.crs)
