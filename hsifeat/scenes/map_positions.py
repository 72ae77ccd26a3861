"""Transformation of positions from one CRS to another, limited to places on both maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import name_of_crs, parse_crs
from hsifeat.scenes.longitudes import unwrap, whole_turn

if TYPE_CHECKING:
    from pyproj import Transformer

_ADVICE = "if one of them is wrong, assign the CRS that its coordinates are in (gdal_edit.py -a_srs or ogr2ogr -a_srs)"
RETURN_TOLERANCE_M = 1000.0
"""Maximum distance, in metres, between a position and the result of its transformation to another CRS and back.

PROJ may use different datum transformations in the two directions; these differ by less.
"""
_EARTH_RADIUS_M = 6_371_000.0


def make_transformer(source: str, target: str, owners: tuple[str, str], advice: str = _ADVICE) -> Transformer:
    """Return pyproj's transformer from one CRS to another, with x before y.

    Parameters
    ----------
    source, target : str
        The two CRS.
    owners : (str, str)
        What the two CRS belong to, such as names of files, for the message.
    advice : str
        Advice at the end of the message. [default: assign another CRS]

    Raises
    ------
    SceneError
        If a CRS is unknown. If PROJ has no transformation, because one CRS is local (such as the axes of a plot), because its
        projection is unknown, or because the two belong to different planets.
    """
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    one, another = parse_crs(source), parse_crs(target)
    try:
        return Transformer.from_crs(one, another, always_xy=True)
    except ProjError as error:
        raise SceneError(
            f"{owners[0]} has the CRS {name_of_crs(one)}, and {owners[1]} has {name_of_crs(another)}: no transformation between "
            f"the two is known; {advice}"
        ) from error


class PositionTransformer:
    """Transformation of positions from one CRS to another. Positions that are not on the maps of both CRS have no result.

    PROJ gives coordinates for many positions off the map. Beyond the end of a sinusoidal map, for example, longitudes are beyond
    180 degrees. Far from its area of use, a projection may put a place onto another one. The inverse transformation then
    gives another place, and the position has no result. A position without an inverse transformation is kept, because the
    edge of some maps has none.

    Parameters
    ----------
    source, target : str
        The two CRS.
    owners : (str, str)
        What the two CRS belong to, such as names of files, for the message.
    advice : str
        Advice at the end of the message; see `make_transformer`.

    Raises
    ------
    SceneError
        If no transformation is known; see `make_transformer`.

    Examples
    --------
    On the sinusoidal map, only the equator is 40 million metres long.

    >>> to_degrees = PositionTransformer("ESRI:54008", "EPSG:4326", ("map.tif", "fields.gpkg"))
    >>> to_degrees(np.array([[19e6, 19e6], [0, 6e6]])).round().tolist()
    [[171.0, nan], [0.0, nan]]
    """

    def __init__(self, source: str, target: str, owners: tuple[str, str], advice: str = _ADVICE) -> None:
        self._transformer = make_transformer(source, target, owners, advice)
        self._turn = whole_turn(source)
        parsed = parse_crs(source)
        unit = parsed.axis_info[0].unit_conversion_factor
        self._radians, self._metres = (unit, unit * _EARTH_RADIUS_M) if parsed.is_geographic else (0.0, unit)

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transform positions.

        Parameters
        ----------
        points : (2, n) float64 array
            Positions in the first CRS; x before y, longitude before latitude.

        Returns
        -------
        (2, n) float64 array
            Positions in the second CRS; NaN for positions that are not on the maps of both CRS.
        """
        found = np.array(self._transformer.transform(points[0], points[1]))
        found[:, ~np.isfinite(found).all(axis=0)] = np.nan
        back = np.array(self._transformer.transform(found[0], found[1], direction="INVERSE"))
        back = np.where(np.isfinite(back), back, points)
        x, y = back - points
        if self._turn is not None:
            x = unwrap(x, -self._turn / 2, self._turn)
        # A degree of longitude is shorter than one of latitude, and has no length at a pole.
        distance = np.hypot(x * np.cos(points[1] * self._radians), y) * self._metres
        found[:, distance > RETURN_TOLERANCE_M] = np.nan
        return found
