"""Features of an encoder, and the scene on whose grid they lie."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio

import hsifeat


@pytest.fixture(scope="module")
def encoder():
    return np.random.default_rng(5).normal(size=(75, 53, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def placed_scene(scene):
    where = hsifeat.scenes.georeference.Georeference(
        rasterio.CRS.from_epsg(32632).to_wkt(), (10, 0, 500_000, 0, -10, 4_000_000)
    )
    return replace(scene, georeference=where)
