"""Vector files that tests write, on a grid of 10 m."""

from __future__ import annotations

import geopandas
import shapely
from rasterio import Affine

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 4_000_000)
CRS = "EPSG:32617"


def box(left, top, right, bottom, transform=NORTH_UP):
    """A polygon from one corner to the other, in columns and rows."""
    return shapely.Polygon(
        [transform @ corner for corner in ((left, top), (right, top), (right, bottom), (left, bottom))]
    )


def saved(path, columns, geometry, crs=CRS, **options):
    geopandas.GeoDataFrame(columns, geometry=geometry, crs=crs).to_file(path, **options)
    return path
