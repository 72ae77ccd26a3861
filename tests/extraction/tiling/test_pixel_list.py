"""Lists of pixels: equal lists for all ways to give the same pixels, and refusals."""

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.errors import HsifeatError
from hsifeat.extraction.tiling.pixel_list import list_pixels
from hsifeat.scenes import Labels, Scene

CUBE = np.ones((6, 5, 2), np.float32)
CUBE[0, 0] = 0
CLASSES = np.zeros((6, 5), np.uint8)
CLASSES[[0, 2, 5], [0, 4, 1]] = (1, 2, 1)
SCENE = Scene("small", CUBE, labels={"fields": Labels("fields", CLASSES)})


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=20))
def test_order_repetition_and_form_do_not_matter(pixels):
    expected = np.array(sorted(set(pixels)))
    rows, cols = zip(*pixels, strict=True)
    # The columns of a DataFrame were read by position.
    table = pd.DataFrame({"class": 1, "col": cols, "row": rows})
    arrays = ((rows, cols), np.array(pixels), [list(pixel) for pixel in pixels], (np.array(rows), list(cols)))
    for form in (*arrays, table, table[["col", "row"]], pa.Table.from_pandas(table)):
        pixel_list = list_pixels(form, SCENE)
        np.testing.assert_array_equal(np.column_stack([pixel_list.rows, pixel_list.cols]), expected)
        digest = hashlib.sha256(expected.T.astype("<i8").tobytes()).hexdigest()
        assert pixel_list.part().model_dump() == {"count": len(expected), "digest": digest}


@pytest.mark.parametrize("labels", ["fields", SCENE.labels["fields"]], ids=["name", "Labels"])
def test_labelled_pixels_without_data_are_left_out(labels):
    pixel_list = list_pixels(labels, SCENE)
    assert (pixel_list.rows.tolist(), pixel_list.cols.tolist()) == ([2, 5], [4, 1])


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ("roads", "small has no labels 'roads' to take pixels from; allowed: fields"),
        (Labels("none", np.zeros((6, 5), np.uint8)), "the labels 'none' have no labelled pixel with data"),
        (Labels("off", np.ones((3, 3), np.uint8)), "off"),
        (([6], [0]), r"pixel \(6, 0\) lies outside the scene of 6 x 5 pixels"),
        (([1], [-1]), r"pixel \(1, -1\) lies outside"),
        (([0], [0]), r"pixel \(0, 0\) of small has no data: list valid pixels only"),
        (([1, 2], [1]), "found rows and columns of different lengths"),
        (([], []), "found no pixel at all"),
        (np.zeros((4, 3), int), r"an \(n, 2\) array of integers; found int64 of shape \(4, 3\)"),
        (np.ones((4, 2)), "found float64 of shape"),
        (np.array([["a", "b"]]), "found <U1 of shape"),
        (
            pd.DataFrame({"x": [1], "y": [2]}),
            "a table of pixels has the columns row and col; found x, y: rename them",
        ),
        (pa.table({"x": [1], "y": [2]}), "row and col; found x, y: rename them"),
        (pd.DataFrame({"row": [1.5], "col": [2]}), "found float64 of shape"),
        (np.ma.masked_equal([[1, 2], [3, 4]], 3), "found masked pixels"),
        (([1, 2], np.ma.masked_equal([3, 4], 4)), "found masked pixels"),
    ],
)
def test_wrong_pixels_are_refused(pixels, message):
    with pytest.raises(HsifeatError, match=message):
        list_pixels(pixels, SCENE)
