"""GeoTIFF label maps, written by rasterio."""

from __future__ import annotations

import rasterio
import rasterio.warp
from rasterio import Affine

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 4_000_000)


def write_label_tif(path, values, transform=NORTH_UP, **options):
    rows, cols = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=cols, count=1, dtype=values.dtype, crs="EPSG:32617",
        transform=transform, **options,
    ) as file:  # fmt: skip
        file.write(values, 1)
    return path
