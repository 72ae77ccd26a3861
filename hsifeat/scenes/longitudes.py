"""Positions that are equal because longitudes repeat after a whole turn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.georeference import Georeference, parse_crs

MAX_TURNS = 2
"""Maximum number of turns between equal positions. Longitudes are usually between -180 and 540."""

# Maximum distance, in columns, between equal columns of a grid whose columns repeat after a whole turn.
_TOLERANCE = 0.05


@lru_cache(maxsize=64)
def whole_turn(crs: str) -> float | None:
    """Return the difference of the x coordinates of a place after a whole turn around the Earth.

    The result is 360 for a geographic CRS in degrees, and the length of the equator on the map for a cylindrical projection.
    The result is None for other projections, and for those that PROJ does not know.

    Examples
    --------
    >>> whole_turn("EPSG:4326"), whole_turn("EPSG:32632")
    (360.0, None)
    """
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    parsed = parse_crs(crs)
    if parsed.is_geographic:
        return float(2 * np.pi / parsed.axis_info[0].unit_conversion_factor)
    geodetic = parsed.geodetic_crs
    if not parsed.is_projected or geodetic is None:
        return None
    try:
        to_map = Transformer.from_crs(geodetic, parsed, always_xy=True)
    except ProjError:
        return None
    quarter = np.pi / 2 / geodetic.axis_info[0].unit_conversion_factor
    # In a cylindrical projection, x grows evenly with the longitude at all latitudes, except for one jump.
    longitudes = np.arange(-12, 13) * quarter / 6
    x, _ = to_map.transform(np.tile(longitudes, (2, 1)), np.repeat([[0.0], [quarter / 2]], 25, axis=1))
    if not np.isfinite(x).all():
        return None
    steps = np.diff(x)
    step = np.median(steps)
    if np.count_nonzero(np.abs(steps - step) > 1e-9 * abs(step)) > 2:
        return None
    return float(24 * step)


def columns_per_turn(georeference: Georeference) -> int | None:
    """Return the number of columns of a grid after which longitudes repeat; None if there is no such whole number.

    Examples
    --------
    >>> columns_per_turn(Georeference("EPSG:4326", (0.25, 0.0, -180.0, 0.0, -0.25, 90.0)))
    1440
    """
    turn = None if georeference.crs is None or georeference.is_rotated else whole_turn(georeference.crs)
    if turn is None or georeference.transform[0] == 0:
        return None
    columns = turn / abs(georeference.transform[0])
    return round(columns) if columns >= 1 and abs(columns - round(columns)) <= _TOLERANCE else None


def unwrap(x: NDArray[np.float64], first: float | NDArray[np.float64], turn: float | None) -> NDArray[np.float64]:
    """Move x coordinates by whole turns into the range from `first` to `first` + `turn`.

    Parameters
    ----------
    x : (n,) float64 array
        Longitudes or other x coordinates.
    first : float or (n,) float64 array
        Start of the range, for all coordinates or for each.
    turn : float or None
        Length of a turn; see `whole_turn`. If it is None, the coordinates are unchanged.

    Examples
    --------
    >>> unwrap(np.array([-0.5, 0.5, 180.0]), 0.0, 360.0).tolist()
    [359.5, 0.5, 180.0]
    """
    return x if turn is None else x - turn * np.floor((x - first) / turn)


def repeat_shapes(
    shapes: NDArray[np.object_], turn: float | None, bounds: tuple[float, float, float, float]
) -> NDArray[np.object_]:
    """Return the copies of each shape that reach into `bounds` (west, south, east, north), as one shape.

    Copies of a shape are whole turns apart. A shape without a copy in `bounds` is unchanged. All shapes are unchanged if `turn`
    is None.

    Parameters
    ----------
    shapes : (n,) array of shapely geometries (dtype object)
        Polygons and points.
    turn : float or None
        Length of a turn; see `whole_turn`.
    bounds : tuple of 4 floats
        Bounds of the area of interest.

    Examples
    --------
    >>> import shapely
    >>> repeat_shapes(np.array([shapely.Point(350, 5)]), 360.0, (-20, -10, 20, 10)).tolist()
    [<POINT (-10 5)>]
    """
    import shapely

    shapes = shapes.copy()
    if turn is None:
        return shapes
    west, _, east, _ = bounds
    left, _, right, _ = shapely.bounds(shapes).T
    copies: dict[int, list[object]] = {}
    for count in range(-MAX_TURNS, MAX_TURNS + 1):
        offset = np.array([count * turn, 0])
        near = np.flatnonzero((left + offset[0] <= east) & (right + offset[0] >= west))
        moved = (
            shapely.transform(shapes[near], lambda points, offset=offset: points + offset) if count else shapes[near]
        )
        for index, shape in zip(near.tolist(), moved, strict=True):
            copies.setdefault(index, []).append(shape)
    for index, found in copies.items():
        shapes[index] = found[0] if len(found) == 1 else shapely.union_all(shapely.make_valid(found))
    return shapes


def clip_shapes(shapes: NDArray[np.object_], bounds: tuple[float, float, float, float]) -> NDArray[np.object_]:
    """Clip shapes to `bounds` (west, south, east, north). Shapes inside the bounds are unchanged, shapes outside become empty.

    Where a polygon only touches the bounds, no line or point remains.

    Parameters
    ----------
    shapes : (n,) array of shapely geometries (dtype object)
        Polygons and points.
    bounds : tuple of 4 floats
        The area that is kept.

    Examples
    --------
    >>> import shapely
    >>> clip_shapes(np.array([shapely.Point(1, 1), shapely.Point(9, 9)]), (0, 0, 2, 2)).tolist()
    [<POINT (1 1)>, <POLYGON EMPTY>]
    """
    import shapely

    shapes, area = shapes.copy(), shapely.box(*bounds)
    boxes = shapely.envelope(shapes)
    near, within = shapely.intersects(area, boxes), shapely.covers(area, boxes)
    shapes[~near] = shapely.Polygon()
    for index in np.flatnonzero(near & ~within).tolist():
        parts = shapely.get_parts(shapely.intersection(shapely.make_valid(shapes[index]), area))
        same = parts[shapely.get_dimensions(parts) == shapely.get_dimensions(shapes[index])]
        shapes[index] = same[0] if len(same) == 1 else shapely.union_all(same)
    return shapes


def find_jumps(shapes: NDArray[np.object_], turn: float) -> NDArray[np.bool_]:
    """Return which polygons have an edge along which x changes by more than half a turn, as an (n,) bool array.

    `shapes` is an (n,) object array of polygons and points.

    Examples
    --------
    >>> import shapely
    >>> find_jumps(np.array([shapely.box(-179, 0, 179, 1), shapely.box(0, 0, 9, 9)]), 360.0).tolist()
    [True, False]
    """
    import shapely

    parts, owners_of_parts = shapely.get_parts(shapes, return_index=True)
    rings, parts_of_rings = shapely.get_rings(parts, return_index=True)
    owners = owners_of_parts[parts_of_rings]
    points, index = shapely.get_coordinates(rings, return_index=True)
    with np.errstate(invalid="ignore"):
        jumps = (np.abs(np.diff(points[:, 0])) > turn / 2) & (np.diff(index) == 0)
    found = np.zeros(len(shapes), np.bool_)
    found[owners[index[1:][jumps]]] = True
    return found
