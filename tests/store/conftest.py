"""Stores that tests of the store share."""

import pytest

from hsifeat.store.store import Store
from tests.helpers.small_stores import LAYOUTS, PIXELS, manifest_of, scene_arrays


@pytest.fixture
def arrays():
    return scene_arrays()


@pytest.fixture(params=LAYOUTS)
def small_store(request, tmp_path):
    """An empty store, whose planes cover the scene or list pixels."""
    pixels = PIXELS if request.param == "pixels" else None
    return Store.create(tmp_path / "s.zarr", manifest_of(LAYOUTS[request.param]), scene_arrays(pixels))
