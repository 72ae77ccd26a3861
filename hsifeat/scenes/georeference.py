"""Georeference of a grid: coordinate reference system (CRS) and affine transform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError

if TYPE_CHECKING:
    from pyproj import CRS

# Largest distance, in pixels, between the corners of two grids that count as equal.
_TOLERANCE_PX = 0.05
# Largest error of a length that counts as exact, as a share of the length.
_SCALE_ERROR = 0.01


@dataclass(frozen=True)
class Georeference:
    """Position of a grid of pixels in map coordinates.

    Attributes
    ----------
    crs : str or None
        Coordinate reference system as WKT; None if only the transform is known.
    transform : tuple of 6 floats
        ``(a, b, c, d, e, f)``: the upper left corner of a pixel has the map coordinates ``x = a * col + b * row + c`` and
        ``y = d * col + e * row + f``, in units of the CRS. If the grid is not rotated, `b` and `d` are 0.

    Raises
    ------
    SceneError
        If the CRS is neither text nor None. If the transform is not a tuple of 6 finite numbers.

    Examples
    --------
    >>> georeference = Georeference(None, (30.0, 0.0, 500_000.0, 0.0, -30.0, 4_000_000.0))
    >>> georeference.pixel_size
    (30.0, 30.0)
    """

    crs: str | None
    transform: tuple[float, float, float, float, float, float]

    def __post_init__(self) -> None:
        if not isinstance(self.crs, str | None):
            raise SceneError(
                f"the CRS of a georeference must be WKT; found {type(self.crs).__name__}: give crs.to_wkt()"
            )
        numbers = self.transform if isinstance(self.transform, tuple) else ()
        if len(numbers) != 6 or not all(
            isinstance(one, int | float | np.number) and np.isfinite(one) for one in numbers
        ):
            raise SceneError(
                f"the transform of a georeference must be a tuple of 6 finite numbers; found {' '.join(repr(self.transform).split()):.80}: give tuple(affine)[:6]"
            )

    def same_crs(self, other: Georeference) -> bool:
        """Return whether two georeferences have the same CRS according to pyproj; False if either CRS is unknown."""
        if self.crs is None or other.crs is None:
            return False
        return self.crs == other.crs or parse_crs(self.crs).equals(parse_crs(other.crs), ignore_axis_order=True)

    def same_grid(self, other: Georeference, rows: int, cols: int) -> bool:
        """Return whether two grids of `rows` x `cols` pixels have their corners at the same places, up to 5 % of a pixel.

        Grids with different CRS are not the same. If either CRS is unknown, only the transforms are compared.

        Parameters
        ----------
        other : Georeference
            Georeference of the other grid.
        rows, cols : int
            Number of rows and columns of both grids.
        """
        if self == other:
            return True
        corners = np.array([(col, row, 1) for col in (0, cols) for row in (0, rows)])
        offsets = corners @ np.subtract(self.transform, other.transform).reshape(2, 3).T
        near = bool(np.abs(offsets).max() <= _TOLERANCE_PX * min(self.pixel_size))
        return near and (self.crs is None or other.crs is None or self.same_crs(other))

    def refine(self, factor: int) -> Self:
        """Return the georeference of a finer grid with `factor` x `factor` cells per pixel of this grid."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a / factor, b / factor, c, d / factor, e / factor, f))

    def flip(self, shape: tuple[int, ...], axis: int) -> Self:
        """Return the georeference of this grid with its rows (axis 0) or columns (axis 1) in reverse order.

        `shape` starts with the numbers of rows and columns of the grid.
        """
        a, b, c, d, e, f = self.transform
        x, y = ((b, e), (a, d))[axis]
        c, f = c + shape[axis] * x, f + shape[axis] * y
        return replace(self, transform=(a, -b, c, d, -e, f) if axis == 0 else (-a, b, c, -d, e, f))

    def translate(self, columns: float) -> Self:
        """Return the georeference of a grid that begins `columns` columns after this grid, or before it if negative."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a, b, c + columns * a, d, e, f + columns * d))

    def transpose(self) -> Self:
        """Return the georeference of this grid with rows and columns exchanged."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(b, a, c, e, d, f))

    @property
    def is_rotated(self) -> bool:
        """Whether rows and columns of the grid are rotated against the axes of the CRS."""
        return (self.transform[1], self.transform[3]) != (0, 0)

    @property
    def crs_name(self) -> str:
        """Name of the CRS, with its authority code if known; ``unknown`` if the CRS is None."""
        return "unknown" if self.crs is None else name_of_crs(parse_crs(self.crs))

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Width and height of a pixel in units of the CRS."""
        a, b, _, d, e, _ = self.transform
        return (a**2 + d**2) ** 0.5, (b**2 + e**2) ** 0.5

    @property
    def pixel_size_m(self) -> float | None:
        """Side of a pixel in metres.

        None if the CRS is not projected, or if the width and the height of a pixel differ by more than 1 %. Also None if lengths
        on the map differ from lengths on the ground by more than 1 % at the upper left corner, as in Web Mercator, or if PROJ does
        not know the projection.
        """
        from pyproj import Proj, Transformer
        from pyproj.exceptions import ProjError

        width, height = self.pixel_size
        if self.crs is None or abs(width - height) > _SCALE_ERROR * width:
            return None
        crs = parse_crs(self.crs)
        if not crs.is_projected:
            return None
        try:
            to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
            scales = Proj(crs).get_factors(*to_degrees.transform(self.transform[2], self.transform[5]))
        except ProjError:
            return None
        if not all(abs(scale - 1) <= _SCALE_ERROR for scale in (scales.meridional_scale, scales.parallel_scale)):
            return None
        return width * float(crs.axis_info[0].unit_conversion_factor)


def affine_parts(georeference: Georeference, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (2, 2) matrix and the (2,) offset, both float64, that transform (col, row) to map coordinates.

    Raises
    ------
    SceneError
        If the pixels of the grid `name` have no area.
    """
    a, b, c, d, e, f = georeference.transform
    sides = np.array([[a, b], [d, e]])
    if not np.isfinite(georeference.transform).all() or np.linalg.det(sides) == 0:
        raise SceneError(f"{name}: its transform {georeference.transform} is degenerate: no pixel has an area")
    return sides, np.array([c, f])


def parse_crs(crs: str) -> CRS:
    """Return the CRS that a text describes.

    Raises
    ------
    SceneError
        If the text is neither WKT nor the name of a CRS, such as ``EPSG:32632``.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise SceneError(f"unknown CRS {crs[:80]!r}: give WKT, or a code such as EPSG:32632") from error


def name_of_crs(crs: CRS) -> str:
    """Return the name of a CRS, with its authority code if known."""
    code = crs.to_authority(min_confidence=100)
    return f"{crs.name} ({':'.join(code)})" if code else crs.name


def is_wkt(crs: str) -> bool:
    """Return whether the text `crs` describes a CRS in the format WKT."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        CRS.from_wkt(crs)
    except CRSError:
        return False
    return True


def as_wkt(crs: str) -> str:
    """Return a CRS as WKT; a text that is already WKT is returned unchanged.

    Only WKT is passed to GDAL, because GDAL may open other texts as paths or URLs.

    Raises
    ------
    SceneError
        If the text is neither WKT nor the name of a CRS, such as ``EPSG:32632``.
    """
    return crs if is_wkt(crs) else str(parse_crs(crs).to_wkt())
