"""Maps as PNG, read back by Pillow."""

import numpy as np
from PIL import Image

from hsifeat.scenes.maps import Legend, write_map
from tests.helpers.class_maps import LEGEND, class_map


def test_a_picture_has_a_legend_of_all_classes(tmp_path):
    classes = np.ones((40, 60), np.uint8)
    write_map(tmp_path / "m.png", classes, Legend.from_mappings(range(1, 41), {}, {}))
    with Image.open(tmp_path / "m.png") as image:
        picture = np.asarray(image)
    legend = Legend.from_mappings(range(1, 41), {}, {})
    # 60 columns are drawn 600 points wide.
    assert picture.shape[1] > 600 and (picture[:400, :600] == legend.rgb[0]).all()
    beside = picture[:, 600:].reshape(-1, 3)
    for rgb in legend.rgb:
        assert (beside == rgb).all(axis=1).sum() >= 100
    assert (picture[-1] == 255).all(), "paper below a map that is lower than its legend"


def test_pixels_of_a_small_map_are_squares(tmp_path):
    classes = class_map(145, 97)
    write_map(tmp_path / "m.png", classes, LEGEND)
    with Image.open(tmp_path / "m.png") as image:
        picture = np.asarray(image)[: 4 * 145, : 4 * 97]
    rgb = np.zeros((8, 3), np.uint8)
    rgb[list(LEGEND.numbers)] = LEGEND.rgb
    for row, col in np.ndindex(4, 4):
        np.testing.assert_array_equal(picture[row::4, col::4], rgb[classes])


def test_the_reduced_resolution_of_a_large_picture_is_noted(tmp_path):
    classes = class_map(50, 4500)
    (note,) = write_map(tmp_path / "m.png", classes, LEGEND)
    assert note == "m.png shows one of 3 x 3 pixels, because the map has 50 x 4500; a .tif file has all pixels"
    rgb = np.zeros((8, 3), np.uint8)
    rgb[list(LEGEND.numbers)] = LEGEND.rgb
    with Image.open(tmp_path / "m.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[:17, :1500], rgb[classes[1::3, 1::3]])
