"""Stores that tests of the cache share."""

import pytest

from hsifeat.files import cache_folder
from tests.helpers.cached_stores import make


@pytest.fixture
def three(store_path):
    """Three stores in the cache folder, from the least to the most recently used. An older store lies outside of the folder."""
    make(store_path, cache_folder().parent / "mine.zarr", 1e9)
    return [make(store_path, cache_folder() / f"{name}.zarr", 1e9 + 100 * i) for i, name in enumerate("abc", 1)]
