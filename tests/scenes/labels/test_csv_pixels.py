"""Labels from a CSV of row, col, class."""

from __future__ import annotations

import csv

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio import Affine

from hsifeat.errors import SceneError
from hsifeat.scenes import Scene, open_labels
from tests.helpers.georeferenced import blank_scene
from tests.helpers.label_files import NORTH_UP


@pytest.mark.parametrize(
    ("text", "wanted", "names"),
    [
        pytest.param("0,1,4\n2,2,9\n", {(0, 1): 4, (2, 2): 9}, {4: "class 4", 9: "class 9"}, id="plain"),
        pytest.param("row,col,class\n0,1,4\n", {(0, 1): 4}, {4: "class 4"}, id="header"),
        pytest.param("Class, Col, note, Row\n4, 1, x, 0\n", {(0, 1): 4}, {4: "class 4"}, id="any-order"),
        pytest.param("\ufeffrow,col,class\r\n\r\n0,1,4.0\r\n", {(0, 1): 4}, {4: "class 4"}, id="excel"),
        pytest.param("0,1,wheat\n1,1,corn\n2,0,wheat\n", {(0, 1): 2, (1, 1): 1, (2, 0): 2}, {1: "corn", 2: "wheat"},
                     id="names"),
        pytest.param('0,1,"wheat, durum"\n', {(0, 1): 1}, {1: "wheat, durum"}, id="quoted"),
        pytest.param("row,col,class\n0,1,4,\n1,1,4, ,\n", {(0, 1): 4, (1, 1): 4}, {4: "class 4"}, id="empty-columns"),
        pytest.param("0,1,4\n0,1,4\n", {(0, 1): 4}, {4: "class 4"}, id="twice-the-same"),
    ],
)  # fmt: skip
def test_a_csv_of_pixels(tmp_path, text, wanted, names):
    (tmp_path / "field points.csv").write_text(text, encoding="utf-8", newline="")
    labels = open_labels(tmp_path / "field points.csv", blank_scene(3, 4))
    assert labels.name == "field points" and labels.class_names == names and not labels.notes
    expected = np.zeros((3, 4), int)
    for pixel, number in wanted.items():
        expected[pixel] = number
    np.testing.assert_array_equal(labels.classes, expected)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 300)), min_size=1, max_size=12))
def test_conflicting_classes_become_unlabelled(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("csv") / "points.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    result = {}
    for row, col, number in lines:
        result.setdefault((row, col), set()).add(number)
    expected = np.zeros((3, 4), int)
    for pixel, numbers in result.items():
        expected[pixel] = numbers.pop() if len(numbers) == 1 else 0
    labels = open_labels(path, blank_scene(3, 4))
    np.testing.assert_array_equal(labels.classes, expected)
    clashes = sum(1 for numbers in result.values() if numbers)
    classes = {number for _, _, number in lines}
    lost = [str(number) for number in sorted(classes - set(expected.flat))]
    shown = ", ".join(lost) if len(lost) <= 8 else f"{', '.join(lost[:8])} and {len(lost) - 8} more"
    assert labels.notes == (
        *(
            (
                f"points.csv: {clashes} {'pixel is' if clashes == 1 else 'pixels are'} listed with different classes and became 0",
            )
            * bool(clashes)
        ),
        *(
            (
                f"points.csv: {len(lost)} of {len(classes)} classes {'labels' if len(lost) == 1 else 'label'} no pixel of the scene: {shown}",
            )
            * bool(lost)
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"row,col,class\n0,0,1\n3,1,2\n5,1,2\n", r"line 3: row 3, col 1 is outside the scene x of 3 x 4 pixels",
                     id="row-outside"),
        pytest.param(b"0,4,1\n", r"line 1: row 0, col 4 is outside", id="col-outside"),
        pytest.param(b"0,-1,1\n", r"line 1: row 0, col -1 is outside", id="negative"),
        pytest.param(b"0,1,1\n0,1.5,1\n", r"line 2: row and col must be whole numbers; found '0,1.5,1'", id="fraction"),
        pytest.param(b"0,1,1\n0,1\n", r"line 2: expected row, col, class; found '0,1'", id="two-fields"),
        pytest.param(b"0,1,\n", r"line 1: expected row, col, class", id="no-class"),
        pytest.param(b"0,1,0.5\n", "fractions", id="fractional-class"),
        pytest.param(b"0,1,-2\n", "found -2", id="negative-class"),
        pytest.param(b"0,1,1\n0,1,x\n", "found both 1 and 'x'", id="numbers-and-names"),
        pytest.param(b"x,y,class\n1,2,3\n", r"columns row, col, class.*found x, y, class\. Save map coordinates as points",
                     id="coordinates"),
        pytest.param(b"0|1|2\n", "separated by commas, semicolons or tabs; found 0|1|2", id="bars"),
        pytest.param(b"0,1,2,3\n", "columns row, col, class", id="four-columns"),
        pytest.param(b'0,1,"corn\n0,2,wheat\n', "p.csv, line 2, can't be read: unexpected end", id="open-quote"),
        pytest.param(b'0,1,"corn\n0,2,"\n', "goes over several lines; a quote may be missing", id="quote-over-lines"),
        pytest.param(b"row,col,class\n1,2,meadow\n1,1,forest, beech\n",
                     r"^p.csv, line 3: found 4 fields for 3 columns in '1,1,forest,beech': put a field that contains a comma in "
                     "double quotes, and name all columns", id="comma-in-name"),
        pytest.param(b"0,1,corn\n0,2,corn, red\n", "line 2: found 4 fields for 3 columns", id="comma-in-name-without-header"),
        pytest.param(b"class;row;col\nwheat; red;0;1\n", "contains a semicolon in double quotes", id="semicolon-in-name"),
        pytest.param(b'"row","col","class"\n"1",0,1,"wheat"\n', "line 2: found 4 fields for 3 columns", id="row-names-of-R"),
        pytest.param(b"", "no labelled pixel", id="empty"),
        pytest.param(b"row,col,class\n", "no labelled pixel", id="header-only"),
        pytest.param(b"\xff\xfe0,1\x00", "UTF-8", id="not-utf8"),
        pytest.param(None, "no such file", id="missing"),
    ],
)  # fmt: skip
def test_a_wrong_csv_gives_one_clear_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "p.csv").write_bytes(text)
    with pytest.raises(SceneError, match=message) as caught:
        open_labels(tmp_path / "p.csv", blank_scene(3, 4))
    assert "\n" not in str(caught.value)


def test_a_csv_requires_a_scene_and_has_no_variable(tmp_path):
    (tmp_path / "p.csv").write_text("0,0,1\n")
    with pytest.raises(SceneError, match="does not define a pixel grid: give the scene"):
        open_labels(tmp_path / "p.csv")
    with pytest.raises(SceneError, match="leave out 'class'"):
        open_labels(f"{tmp_path / 'p.csv'}:class", blank_scene(3, 4))


@pytest.mark.parametrize("mark", [";", "\t", ","])
@pytest.mark.parametrize("header", [True, False])
def test_delimiters_and_headers_written_by_pandas(tmp_path, mark, header):
    frame = pd.DataFrame({"row": [0, 2], "col": [1, 3], "class": ["wheat, red, winter", "corn; maize"]})
    frame.to_csv(tmp_path / "gt.csv", sep=mark, index=False, header=header)
    labels = open_labels(tmp_path / "gt.csv", blank_scene(3, 4))
    assert labels.class_names == {1: "corn; maize", 2: "wheat, red, winter"}
    assert labels.classes[0, 1] == 2 and labels.classes[2, 3] == 1 and np.count_nonzero(labels.classes) == 2


def test_the_class_nan_is_unlabelled(tmp_path):
    (tmp_path / "gt.csv").write_text("row,col,class\n0,0,3\n0,1,NaN\n1,1,nan\n")
    labels = open_labels(tmp_path / "gt.csv", Scene("x", np.ones((2, 2, 3))))
    assert labels.classes.tolist() == [[3, 0], [0, 0]]
    assert labels.notes == ("gt.csv: 2 pixels have the class NaN and stay unlabelled",)


@pytest.mark.parametrize(("kind", "what"), [("csv", "2 lines have"), ("gpkg", "2 features have")])
def test_features_and_lines_of_class_0_are_counted(kind, what, tmp_path):
    """Classes that were counted from 0 lost their first class, without a note."""
    path, places = tmp_path / f"gt.{kind}", [(0, 0, 0), (1, 1, 0), (2, 2, 1), (2, 3, 2)]
    scene = blank_scene(3, 4, NORTH_UP)
    if kind == "csv":
        path.write_text("row,col,class\n" + "".join(f"{row},{col},{number}\n" for row, col, number in places))
    else:
        transform = Affine(*scene.georeference.transform)
        points = [shapely.Point(transform @ (col + 0.5, row + 0.5)) for row, col, _ in places]
        classes = [number for *_, number in places]
        geopandas.GeoDataFrame({"class": classes}, geometry=points, crs=scene.georeference.crs).to_file(path)
    labels = open_labels(path, scene)
    assert (
        f"{path.name}: {what} the class 0, which means unlabelled: if 0 is a class, add 1 to all classes"
        in labels.notes
    )
    assert labels.counts == {1: 1, 2: 1}
