"""Class numbers from raster values and lists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hsifeat import Labels
from hsifeat.errors import SceneError
from hsifeat.scenes import scene_blocks
from hsifeat.scenes.labels.classes import drop_zero, encode_classes, read_classes


@pytest.mark.parametrize(
    ("values", "nodata", "expected", "note"),
    [
        pytest.param(np.array([[0, 3], [1, 2]], ">i4"), (), [[0, 3], [1, 2]], None, id="big-endian"),
        pytest.param(np.array([[True, False]]), (), [[1, 0]], None, id="mask"),
        pytest.param(
            np.float32([[-99999, 3], [1, 2]]), (-99999.0,), [[0, 3], [1, 2]], "1 pixel of nodata", id="negative"
        ),
        pytest.param(np.array([[np.nan, 3], [np.nan, 2]]), (np.nan,), [[0, 3], [0, 2]], "2 pixels", id="nan"),
        pytest.param(np.uint8([[255, 3], [255, 0]]), (255.0,), [[0, 3], [0, 0]], "2 pixels", id="255"),
        pytest.param(np.uint8([[0, 3], [1, 0]]), (0.0,), [[0, 3], [1, 0]], None, id="zero"),
        pytest.param(np.uint8([[9, 3], [8, 1]]), (9.0, -1.0, 8.0), [[0, 3], [0, 1]], "2 pixels", id="several"),
        pytest.param(
            np.float32([[-3.4028234663852886e38, 1]]), (-3.4028234663852886e38,), [[0, 1]], "1 pix", id="lowest"
        ),
        pytest.param(np.float32([[2, 1]]), (-1.7976931348623157e308,), [[2, 1]], None, id="beyond-float32"),
    ],
)
def test_nodata_becomes_unlabelled(values, nodata, expected, note):
    classes, notes = read_classes(values, nodata, "gt.tif")
    np.testing.assert_array_equal(classes, expected)
    assert classes.dtype == np.uint8
    assert (note is None and not notes) or f"gt.tif: {note}" in notes[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(np.array([[-1, 2]]), "found -1, which the file does not declare as no data", id="negative"),
        pytest.param(np.array([[2**32]]), "up to 2147483647; found 4294967296", id="too-high"),
        pytest.param(np.array([[1j]]), "found complex128", id="complex"),
        pytest.param(np.array([["a"]]), "found <U1", id="text"),
        pytest.param(np.array([[np.inf]]), "fractions or NaN", id="infinite"),
    ],
)
def test_other_values_are_refused(values, message):
    with pytest.raises(SceneError, match=f"labels must be whole numbers, with 0 for unlabelled.*{message}"):
        read_classes(values, (), "gt")


def test_the_dtype_grows_with_the_classes_from_block_to_block(monkeypatch):
    monkeypatch.setattr(scene_blocks, "VALUES_AT_A_TIME", 7)
    values = np.arange(45).reshape(9, 5)
    values[3, 2], values[7, 1] = 300, 70_000
    classes, _ = read_classes(values, (), "gt")
    assert classes.dtype == np.uint32
    np.testing.assert_array_equal(classes, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(["1", "corn"], "found both 1 and 'corn'", id="both"),
        pytest.param([0.5], "fractions", id="fraction"),
        pytest.param([-4], "found -4", id="negative"),
        pytest.param(["1e+99"], "up to 2147483647", id="huge"),
        pytest.param(["1E2", "2"], "found both 2 and '1E2'", id="a number and a code"),
    ],
)
def test_lists_of_mixed_or_invalid_classes_are_refused(values, message):
    with pytest.raises(SceneError, match=message):
        encode_classes(values, "x")


def test_codes_that_look_like_numbers_beside_names_are_names():
    classes, names = encode_classes(["1E2", "2A", "1E2"], "x")
    assert classes.tolist() == [1, 2, 1] and names == {1: "1E2", 2: "2A"}
    assert encode_classes(["1E2", "3E1"], "x")[1] == {1: "1E2", 2: "3E1"}
    assert encode_classes(["1.00E+02", 2.0], "x")[0].tolist() == [100, 2]
    assert encode_classes(["NaN", "inf"], "x")[1] == {1: "NaN", 2: "inf"}
    with pytest.raises(SceneError, match="found both 1 and 'NaN'"):
        encode_classes(["NaN", 1], "x")
    with pytest.raises(SceneError, match="found both 007 and '2A'"):
        encode_classes(["007", "2A"], "x")


def test_composed_and_decomposed_accents_are_one_name():
    classes, names = encode_classes(["forêt", "fore\u0302t", "pré"], "x")
    assert classes.tolist() == [1, 1, 2] and names == {1: "forêt", 2: "pré"}
    assert drop_zero({1: "fore\u0302t"}, np.ones((1, 1), np.uint8), "x")[0] == {1: "forêt"}


@pytest.mark.parametrize(
    "as_given", [np.asarray, lambda classes: classes[:], lambda classes: pd.DataFrame(classes, copy=False).to_numpy()]
)
def test_a_label_map_keeps_its_classes_when_the_array_is_changed(as_given):
    """Merging classes in place, for a second map, also merged them in the first map."""
    classes = np.array([[0, 1], [2, 3]])
    labels = Labels("full", as_given(classes))
    classes[classes == 3] = 2
    assert labels.classes.tolist() == [[0, 1], [2, 3]] and labels.counts == {1: 1, 2: 1, 3: 1}
    assert replace(labels, name="other").classes.base is labels.classes.base


def test_a_label_map_in_a_file_is_not_read_into_memory(tmp_path):
    np.save(tmp_path / "map.npy", np.ones((4, 5), int))
    classes = np.load(tmp_path / "map.npy", mmap_mode="r")
    assert np.shares_memory(Labels("gt", classes).classes, classes)


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_a_label_map_keeps_its_classes_when_its_file_is_changed(mode, tmp_path):
    np.save(tmp_path / "map.npy", np.ones((4, 5), int))
    classes = np.load(tmp_path / "map.npy", mmap_mode=mode)
    labels = Labels("gt", classes)
    classes[0] = 2
    assert (labels.classes == 1).all()
