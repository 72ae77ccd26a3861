"""Fixtures for the tests of scene readers."""

import pytest

from tests.helpers.scene_formats import CUBE, tif


@pytest.fixture
def tif_folder(tmp_path):
    """A folder with the cube of `scene_formats` as ``x.tif``."""
    tif(tmp_path / "x.tif", CUBE)
    return tmp_path
