"""A companion image lies on its scene, pixel by pixel, or is refused; rasterio writes both."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from hsifeat.errors import SceneError
from hsifeat.scenes import open_scene


def write(path, values, transform, epsg=32633):
    bands, rows, cols = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=cols, count=bands, dtype=values.dtype, crs=f"EPSG:{epsg}",
        transform=transform,
    ) as file:  # fmt: skip
        file.write(values)


@pytest.fixture
def scene_file(tmp_path):
    path = tmp_path / "scene.tif"
    write(path, np.ones((5, 20, 30), np.uint16), Affine(4, 0, 500000, 0, -4, 4000000))
    return path


def test_a_finer_image_of_the_same_place_is_taken(scene_file, tmp_path):
    image = np.arange(3 * 80 * 120, dtype=np.uint8).reshape(3, 80, 120)
    write(tmp_path / "rgb.tif", image, Affine(1, 0, 500000.2, 0, -1, 4000000))
    scene = open_scene(scene_file, companion=tmp_path / "rgb.tif")
    assert scene.companion_factor == 4
    np.testing.assert_array_equal(scene.companion[:, :, :], image.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("rows", "transform", "epsg"),
    [
        pytest.param(80, Affine(1, 0, 500040, 0, -1, 4000000), 32633, id="beside"),
        pytest.param(80, Affine(1, 0, 500000, 0, 1, 4000000 - 80), 32633, id="upside-down"),
        pytest.param(80, Affine(1, 0, 500000, 0, -1, 4000000), 32634, id="another-zone"),
        pytest.param(80, Affine(2, 0, 500000, 0, -2, 4000000), 32633, id="larger"),
    ],
)
def test_an_image_that_lies_elsewhere_is_refused(scene_file, tmp_path, rows, transform, epsg):
    write(tmp_path / "rgb.tif", np.ones((3, rows, 120), np.uint8), transform, epsg)
    with pytest.raises(SceneError, match="does not lie on the scene"):
        open_scene(scene_file, companion=tmp_path / "rgb.tif")


def test_an_image_that_is_no_whole_times_finer_is_refused(scene_file, tmp_path):
    write(tmp_path / "rgb.tif", np.ones((3, 81, 120), np.uint8), Affine(1, 0, 500000, 0, -1, 4000000))
    with pytest.raises(
        SceneError, match="companion image has the shape 81 x 120 x 3; its sides must be k times 20 x 30"
    ):
        open_scene(scene_file, companion=tmp_path / "rgb.tif")
