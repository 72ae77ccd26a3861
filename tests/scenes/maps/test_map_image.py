"""Maps as PNG, read back by Pillow."""

import numpy as np
from PIL import Image

from hsifeat.scenes.maps import Legend, fonts, write_map
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
    *_, note = write_map(tmp_path / "m.png", classes, LEGEND)
    assert note == "m.png shows one of 3 x 3 pixels, because the map has 50 x 4500; a .tif file has all pixels"
    rgb = np.zeros((8, 3), np.uint8)
    rgb[list(LEGEND.numbers)] = LEGEND.rgb
    with Image.open(tmp_path / "m.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[:17, :1500], rgb[classes[1::3, 1::3]])


def test_names_without_a_font_are_numbers(tmp_path, monkeypatch):
    """Classes with Chinese names had equal boxes as names, on a machine without a font for them."""
    names = {1: "小麦", 2: "玉米", 3: "forêt"}
    legend = Legend.from_mappings(range(1, 4), names, {})
    monkeypatch.setattr(fonts, "_system_fonts", tuple)
    (note,) = write_map(tmp_path / "m.png", np.ones((40, 60), np.uint8), legend)
    assert "numbers in place of the names of the classes 1, 2, because no installed font has their letters" in note
    plain = Legend.from_mappings(range(1, 4), {1: "class 1", 2: "class 2", 3: "forêt"}, {})
    assert write_map(tmp_path / "n.png", np.ones((40, 60), np.uint8), plain) == ()
    assert (tmp_path / "m.png").read_bytes() == (tmp_path / "n.png").read_bytes()


def test_a_font_of_the_system_is_used_for_letters_that_dejavu_lacks(monkeypatch):
    files = [fonts.Path("a.ttf"), fonts.Path("b.ttf")]
    letters = {files[0]: frozenset(map(ord, "小")), files[1]: frozenset(map(ord, "小麦"))}
    monkeypatch.setattr(fonts, "_system_fonts", lambda: tuple(files))
    monkeypatch.setattr(fonts, "_letters", lambda file: letters.get(file, frozenset(map(ord, "abc"))))
    assert [fonts.find_font(text) for text in ("小麦", "小 小", "")] == [files[1], files[0], next(fonts._font_files())]
    assert fonts.find_font("ab").name == "DejaVuSans.ttf" and fonts.find_font("a小") is None
