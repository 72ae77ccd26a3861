"""Exported tables that were changed by another program before they are imported."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

import hsifeat
from classifiers import PixelTable, make_head
from hsifeat.errors import SceneError


@pytest.fixture
def table(features, tmp_path):
    hsifeat.export_features(features, tmp_path / "t.npy", planes=["t0/*"])
    return tmp_path / "t.npy"


@pytest.mark.parametrize(
    "columns",
    [("class", "row", "col"), ("col", "row", "class"), ("row", "name", "col"), ("col", "row")],
    ids=",".join,
)
def test_columns_of_the_pixels_are_found_by_name(columns, table, scene, features, tmp_path):
    """They were read by position, so that features lay at other pixels without a note."""
    pixels = table.with_suffix(".pixels.csv")
    frame = pd.read_csv(pixels).assign(name='bare soil, "dry"')
    frame[list(columns)].to_csv(pixels, index=len(columns) == 2, encoding="utf-8-sig", lineterminator="\r\n")
    hsifeat.import_planes(scene, table, out=tmp_path / "x.zarr")
    back = hsifeat.open_features(tmp_path / "x.zarr")
    np.testing.assert_array_equal(back.sample(frame.row, frame.col, ["t0/*"]), np.load(table))
    assert back.valid.sum() == len(frame)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("col", "column"), "has the columns row, column, class; it needs row and col once"),
        (lambda text: text.replace("class", "row"), "has the columns row, col, row; it needs row and col once"),
        (lambda text: text.replace(",", ";"), "has the columns row;col;class; it needs row and col once, separated by commas"),
        (lambda text: text.partition("\n")[2], "has the columns 0, 0, 1; it needs row and col once"),
        (lambda text: text.replace("\n0,1,", "\n0,0,"), "lists the pixel at row 0, column 0 more than once"),
        (lambda text: text.replace("\n0,1,", "\n0.0,1.0,"), r"line 3: row and col must be whole numbers; found '0\.0,1\.0,"),
        (lambda text: "name," + text.replace("\n", "\nplot 3,").removesuffix("plot 3,").replace("plot 3", "plot 1, 3", 1),
         "line 2: found 5 fields for 4 columns in 'plot 1,3,0,0,1': put a field that contains a comma in"),
        (lambda text: text.replace("\n0,1,", "\n0,1,note,", 1), "line 3: found 4 fields for 3 columns in '0,1,note,"),
        (lambda text: text.replace("\n0,1,", "\n0,1", 1), "line 3: found 2 fields for the columns row, col, class in '0,1"),
        (lambda text: text.replace("row", "\xe9"), "can't be read as comma-separated text in UTF-8"),
        (lambda text: "name," + text.replace("\n", "\nplot,").removesuffix("plot,") + "Gr\xfcnland,0,0,1\n",
         "can't be read as comma-separated text in UTF-8: .* byte 0xfc"),  # the file is read in parts of 8192 bytes
        (lambda text: text.replace("\n0,1,", f"\n0,{'1' * 2**18},", 1), "line 3, can't be read: field larger than field limit"),
        (lambda text: text + '0,0,"1', r"line \d+, can't be read: unexpected end of data"),
        (lambda text: "", "has the columns none; it needs row and col once"),
    ],
)  # fmt: skip
def test_pixels_without_a_place_are_refused(change, message, table, scene, tmp_path):
    pixels = table.with_suffix(".pixels.csv")
    pixels.write_text(change(pixels.read_text()), "latin-1")
    with pytest.raises(SceneError, match=rf"^{re.escape(str(pixels))}[:,]? {message}"):
        hsifeat.import_planes(scene, table, out=tmp_path / "x.zarr")


@pytest.mark.parametrize("end", [",", ",,", ", ,"])
def test_empty_fields_and_lines_that_a_spreadsheet_adds_are_ignored(end, table, scene, features, tmp_path):
    pixels = table.with_suffix(".pixels.csv")
    frame = pd.read_csv(pixels)
    head, *lines = pixels.read_text().splitlines()
    pixels.write_text("\n".join([head, *(line + end for line in lines), ",," + end]))
    hsifeat.import_planes(scene, table, out=tmp_path / "x.zarr")
    back = hsifeat.open_features(tmp_path / "x.zarr")
    np.testing.assert_array_equal(back.sample(frame.row, frame.col, ["t0/*"]), np.load(table))


def test_channels_in_another_order_are_refused(table, scene, tmp_path):
    """A sort by name puts channel 10 before channel 2. It became channel 2 without a note."""
    file = table.with_suffix(".columns.json")
    content = json.loads(file.read_text())
    content["columns"][:2] = content["columns"][1::-1]
    file.write_text(json.dumps(content))
    with pytest.raises(SceneError, match=r"the columns of t0/.* must be adjacent and in the order of their channels"):
        hsifeat.import_planes(scene, table, out=tmp_path / "x.zarr")


def planes_of(tmp_path, name, strides, seed=0):
    """Import planes with the given strides, and return the store and the classes that they show."""
    rng = np.random.default_rng(seed)
    classes = np.kron(rng.integers(1, 4, (4, 5)), np.ones((8, 8), int)).astype(np.uint8)
    scene = hsifeat.Scene(name, rng.random((32, 40, 3)), labels={"gt": hsifeat.Labels("gt", classes)})
    features = {}
    for plane, (stride, sign) in strides.items():
        cells = classes[::stride, ::stride, None] * np.array([sign, 2 * sign])
        features[plane] = (cells + rng.normal(0, 0.1, cells.shape)).astype(np.float32)
    return hsifeat.import_planes(scene, features, dtype="float32", window=1, out=tmp_path / f"{name}.zarr"), scene


def test_an_imported_table_keeps_the_order_of_its_columns(tmp_path):
    """Planes of a network are sorted by stride, and those of the table have the stride 1."""
    scene = hsifeat.Scene("s", np.random.default_rng(0).random((32, 32, 3)).astype(np.float32))
    scene = scene.with_labels(hsifeat.Labels("gt", np.kron([[1, 2], [2, 1]], np.ones((16, 16), int)).astype(np.uint8)))
    store = hsifeat.extract(
        scene, backbone="untrained:natural32", timesteps=[0], layers=["down_blocks.0", "mid_block", "up_blocks.0"], tile=32, halo=0,
        out=tmp_path / "s.zarr",
    )  # fmt: skip
    hsifeat.export_features(hsifeat.open_features(store), tmp_path / "t.npy", all_pixels=True)
    back = hsifeat.import_planes(scene, tmp_path / "t.npy", out=tmp_path / "back.zarr")
    first, second = (PixelTable.from_store(one.location.path) for one in (store, back))
    names = [group.layer for group in first.layout if group.layer]
    assert names != sorted(names) and [group.layer for group in second.layout if group.layer] == names
    head = make_head("lda", first.layout).fit(first.X, first.y)
    np.testing.assert_allclose(first.X, second.X, atol=1e-6)
    assert (head.predict(first.X) == head.predict(second.X)).all()


def test_imports_of_other_strides_have_their_planes_in_one_order(tmp_path):
    a, _ = planes_of(tmp_path, "a", {"x": (1, 1), "y": (2, -1)})
    b, scene = planes_of(tmp_path, "b", {"y": (2, -1), "x": (4, 1)}, seed=1)
    assert [str(plane.id) for plane in hsifeat.open_features(b).planes] == ["t0/x", "t0/y"]
    model = hsifeat.fit_model([a.location.path, b.location.path], "lda", inputs="planes", smooth="none")
    alone = hsifeat.fit_model([a.location.path], "lda", inputs="planes", smooth="none")
    inside = np.ix_(
        *(np.flatnonzero(np.isin(np.arange(side) % 8, (3, 4))) for side in (32, 40))
    )  # not between two classes
    for one in (model, alone):
        assert (hsifeat.predict_map(b, one) == scene.labels["gt"].classes)[inside].mean() > 0.95
