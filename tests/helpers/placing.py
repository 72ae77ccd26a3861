"""Features that are placed on the grid of a blank scene."""

from __future__ import annotations

import numpy as np
import rasterio
from rasterio import Affine

from hsifeat.imports.feature_map import FeatureMap
from hsifeat.imports.placement import place_features
from hsifeat.types import PlaneId, Window
from tests.helpers.georeferenced import blank_scene, georeference

SCENE = Affine(10, 0, 500_000, 0, -10, 4_000_000)
UTM_32, UTM_33, DEGREES = "EPSG:32632", "EPSG:32633", "EPSG:4326"


def smooth(rows, cols, channels=3, seed=0):
    """Values of any size between neighbours, so that a shift by a tenth of a cell shows."""
    return np.random.default_rng(seed).normal(size=(rows, cols, channels)).astype(np.float32)


def placed(values, transform, crs=UTM_32, scene=None, stride=None, **options):
    where = None if transform is None else georeference(transform, crs)
    scene = scene or blank_scene(90, 75, SCENE, UTM_32)
    return place_features(FeatureMap(PlaneId(0, "f"), "f.tif", values, georeference=where, **options), scene, stride)


def whole(one):
    return one.read(Window(0, 0, one.rows, one.cols))


def write(path, values, transform, crs, nodata=None):
    rows, cols, channels = values.shape
    size = {"height": rows, "width": cols, "count": channels, "dtype": "float32"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, nodata=nodata, **size) as file:
        file.write(values.transpose(2, 0, 1))
    return path
