"""Where a grid lies on the earth: its coordinate reference system (CRS) and its affine transform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True)
class Georeference:
    """Where a grid lies.

    Attributes
    ----------
    crs : str or None
        The coordinate reference system as WKT; None where a transform is known, but not in which system.
    transform : tuple of 6 floats
        ``(a, b, c, d, e, f)``: ``x = a col + b row + c`` and ``y = d col + e row + f`` are the map coordinates of the
        upper left corner of a pixel, in units of the CRS; rotated grids have `b` and `d`.
    """

    crs: str | None
    transform: tuple[float, float, float, float, float, float]

    def same_crs(self, other: Georeference) -> bool:
        """Tell whether both speak of the same system, compared by pyproj; False where either is not known."""
        from pyproj import CRS

        if self.crs is None or other.crs is None:
            return False
        return self.crs == other.crs or CRS(self.crs).equals(CRS(other.crs), ignore_axis_order=True)

    def finer(self, factor: int) -> Self:
        """Return the georeference of a grid that has `factor` x `factor` cells for each pixel of this one."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a / factor, b / factor, c, d / factor, e / factor, f))

    @property
    def crs_name(self) -> str:
        """Return the system's name for people, with its authority's code where it has one."""
        from pyproj import CRS

        if self.crs is None:
            return "unknown"
        crs = CRS(self.crs)
        code = crs.to_authority(min_confidence=100)
        return f"{crs.name} ({':'.join(code)})" if code else crs.name

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Width and height of a pixel in units of the CRS."""
        a, b, _, d, e, _ = self.transform
        return (a**2 + d**2) ** 0.5, (b**2 + e**2) ** 0.5
