"""Label maps: added and replaced at any time; a half-replaced one is never listed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from hsifeat.errors import StoreError
from hsifeat.store.store import Store
from tests.helpers.damaged_stores import edit_attributes
from tests.helpers.fuzz_subjects import reseal_store
from tests.helpers.small_stores import COLS, ROWS


def test_maps_are_added_and_replaced(small_store, tmp_path):
    for number in (1, 2):
        classes = np.full((ROWS, COLS), number, np.int16)
        small_store.add_labels("fields", classes, {"class_names": {str(number): "corn"}})
    small_store.add_labels("roads", np.zeros((ROWS, COLS), np.uint8), {})
    assert small_store.labels == ["fields", "roads"]
    raw = zarr.open_group(tmp_path / "s.zarr", mode="r")["scene/labels/fields"]
    np.testing.assert_array_equal(raw[:], 2)
    assert raw.attrs.asdict() == {"class_names": {"2": "corn"}} and raw.metadata.dimension_names == ("y", "x")
    np.testing.assert_array_equal(small_store.label_array("fields")[:], 2)
    with pytest.raises(StoreError, match="has no scene/labels/soil"):
        small_store.label_array("soil")


@pytest.mark.parametrize(
    ("former", "new", "decodes"),
    [((1, np.uint8), (2, np.uint8), True), ((1, np.uint8), (0, np.uint8), True), ((0, np.uint8), (1, np.uint8), True),
     ((1, np.uint8), (2, np.int16), False), ((1, np.uint8), (0, np.int16), False)],
)  # fmt: skip
def test_a_map_is_never_read_in_two_states(small_store, former, new, decodes):
    """Chunks without labels have no file. The metadata of two maps of one type are equal."""
    shape = ROWS, COLS
    small_store.add_labels("fields", np.full(shape, *former), {})
    read, started, unread = (Store.open(small_store.location) for _ in range(3))
    np.testing.assert_array_equal(read.label_classes("fields"), former[0])
    array = started.label_array("fields")
    small_store.add_labels("fields", np.full(shape, *new), {})
    with pytest.raises(StoreError, match="the label map 'fields' was replaced since it was read: open the store again"):
        read.label_classes("fields")
    if decodes:
        np.testing.assert_array_equal(array[:], new[0])
    else:
        with pytest.raises(StoreError, match="the label map 'fields' was replaced"):
            array[:]
    for _ in range(2):
        np.testing.assert_array_equal(unread.label_classes("fields"), new[0])
    small_store.add_labels("fields", np.full(shape, *former), {})
    with pytest.raises(StoreError, match="the label map 'fields' was replaced"):
        unread.label_classes("fields")


def test_an_interrupted_replacement_leaves_no_map(small_store, monkeypatch):
    small_store.add_labels("fields", np.ones((ROWS, COLS), np.uint8), {})

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(zarr.Group, "create_array", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_store.add_labels("fields", np.ones((ROWS, COLS), np.uint8), {})
    assert Store.open(small_store.location).labels == []


@pytest.mark.parametrize("name", ["zarr.json", "..", "", "a/b", "a\nb"])
def test_a_name_that_would_damage_the_store_is_refused(small_store, tmp_path, name):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(StoreError):
        small_store.add_labels(name, np.ones((ROWS, COLS), np.uint8), {})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("texts", [["corn"], {"x": "corn"}, {"1": 3}, 3], ids=str)
@pytest.mark.parametrize("attribute", ["class_names", "class_colours"])
def test_texts_that_are_not_by_class_number_are_refused(store_path, tmp_path, attribute, texts):
    path = Path(shutil.copytree(store_path, tmp_path / "s.zarr"))
    file = path / "scene" / "labels" / "fields" / "zarr.json"
    edit_attributes(file, **{attribute: texts})
    reseal_store(path)
    with pytest.raises(StoreError, match=f"{attribute} of the label map fields must be texts by class number; found"):
        Store.open(path).label_array("fields")


@pytest.mark.parametrize(
    ("classes", "attributes", "message"),
    [
        (np.eye(ROWS, COLS) == 1, {}, "the type bool; expected are integers"),
        (np.eye(ROWS, COLS), {}, "the type float64; expected are integers"),
        (np.eye(COLS, ROWS, dtype=int), {}, rf"the shape \({COLS}, {ROWS}\) .* of shape \({ROWS}, {COLS}\)"),
        (np.ma.masked_equal(np.eye(ROWS, COLS, dtype=int), 1), {}, "has a mask"),
        (-np.eye(ROWS, COLS, dtype=int), {}, "0 is unlabelled; found -1: renumber"),
        (np.eye(ROWS, COLS, dtype=np.uint64) * 2**31, {}, f"0 is unlabelled; found {2**31}: renumber"),
        (np.eye(ROWS, COLS, dtype=int), {"class_names": {"1": 5}}, "class_names .* must be texts by class number"),
        (np.eye(ROWS, COLS, dtype=int), {"class_names": {"0": "none"}}, "class_names .* must be texts by class number"),
        (np.eye(ROWS, COLS, dtype=int), {"class_names": {"1" * 5000: "a"}}, "class_names .* must be texts by class number"),
        (np.eye(ROWS, COLS, dtype=int), {"note": np.int64(1)}, "must be JSON values"),
        (np.eye(ROWS, COLS, dtype=int), {"class_colours": {"1": "red"}}, "is text such as #1f77b4; found"),
    ],
)  # fmt: skip
def test_a_map_that_no_reader_accepts_is_refused_and_the_former_one_stays(small_store, classes, attributes, message):
    """The maps were stored. Then no map of the store could be used, and a repeated extraction failed, too."""
    former = np.full((ROWS, COLS), 3, np.uint8)
    small_store.add_labels("fields", former, {})
    with pytest.raises(StoreError, match=message):
        small_store.add_labels("fields", classes, attributes)
    np.testing.assert_array_equal(Store.open(small_store.location).label_classes("fields"), former)
    small_store.add_labels("rest", np.eye(ROWS, COLS, dtype=np.int64), {"class_names": {1: "a\nb"}})
    assert Store.open(small_store.location).label_array("rest").attrs["class_names"] == {"1": "a\nb"}


def test_a_label_map_with_coordinates_is_refused(small_store):
    classes = xr.DataArray(np.zeros((ROWS, COLS), np.uint8), dims=("y", "x"))
    for labelled in (classes, classes.to_pandas()):
        with pytest.raises(StoreError, match="is a Data.*, whose coordinates would be ignored: give its values"):
            small_store.add_labels("fields", labelled, {})
