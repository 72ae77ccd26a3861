"""Small scenes and rasters with a georeference, for tests of labels and maps."""

from __future__ import annotations

import numpy as np
import rasterio

from hsifeat.scenes import Georeference, Scene
from hsifeat.scenes.readers import Raster


def blank_scene(rows, cols, transform=None, crs="EPSG:32617"):
    """Return a scene with two bands whose values are all 1. The scene has a georeference if `transform` is not None."""
    cube = np.ones((rows, cols, 2), np.uint8)
    if transform is None:
        return Scene("x", cube)
    return Scene("x", cube, georeference=georeference(transform, crs))


def georeference(transform, crs="EPSG:32617"):
    return Georeference(crs and rasterio.CRS.from_user_input(crs).to_wkt(), tuple(transform)[:6])


def read_first_band(path):
    """Read the first band of a file and its georeference with rasterio."""
    with rasterio.open(path) as file:
        nodata = () if file.nodata is None else (file.nodata,)
        return Raster(
            file.read(1), nodata=nodata, georeference=Georeference(file.crs.to_wkt(), tuple(file.transform)[:6])
        )
