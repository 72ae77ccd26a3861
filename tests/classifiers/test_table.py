"""Pixel tables: the right pixels, the right columns, in the right order."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from scipy.ndimage import uniform_filter

import hsifeat
from classifiers.columns import read_columns
from classifiers.splits import layout_footprints
from classifiers.table import PixelTable
from hsifeat.errors import HsifeatError, SceneError, StoreError
from hsifeat.features.stack import open_stack
from hsifeat.scenes import Labels


def test_rows_and_columns_match_the_scene_and_the_store(store_path, features, scene):
    table = PixelTable.from_store(store_path, window=5, planes=["t0/mid_block", "t300/up_blocks.2"])
    assert [str(g) for g in table.layout] == [
        "spectra",
        "spectra mean 5x5",
        "t0/mid_block",
        "t300/up_blocks.2",
    ]
    assert table.layout.width == table.X.shape[1] == 12 + 12 + 16 + 8
    rows, cols = np.nonzero(scene.labels["fields"].classes)
    np.testing.assert_array_equal(table.y, scene.labels["fields"].classes[rows, cols])
    np.testing.assert_array_equal(table.X[:, :12], scene.cube[rows, cols].astype(np.float32))
    np.testing.assert_array_equal(table.X[:, 12:24], features.spectra(rows, cols, pool=5))
    np.testing.assert_array_equal(table.X[:, 24:40], features.sample(rows, cols, ["t0/mid_block"]))
    some = table[np.array([5, 2])]
    np.testing.assert_array_equal(read_columns(features, table.layout, some.rows, some.cols), some.X)


def test_masks_of_pandas_select_rows_by_position_only_in_the_order_of_the_table(store_path):
    """pandas aligns a mask by its index. A sorted mask selected the rows of other pixels."""
    table = PixelTable.from_store(store_path, planes=[])
    frame = pd.DataFrame({"y": table.y, "band": table.X[:, 0]})
    np.testing.assert_array_equal(table[frame.y == 2].X, table.X[table.y == 2])
    np.testing.assert_array_equal(table[frame.index[frame.y == 2]].X, table.X[table.y == 2])
    mask = frame.sort_values("band").y == 2
    with pytest.raises(HsifeatError, match=r"index of a mask of rows must be 0, 1, 2 and so on: sort the mask"):
        table[mask]
    np.testing.assert_array_equal(table[mask.sort_index()].y, 2)
    for wrong in ((0, np.arange(3)), (slice(3), [0, 1]), (0, 1)):
        with pytest.raises(HsifeatError, match="rows of a table are a mask, an array of indices or a slice"):
            table[wrong]
    with pytest.raises(HsifeatError, match=f"do not fit a table of {len(table)} rows"):
        table[np.ones(3, bool)]


def test_selecting_column_groups(store_path):
    table = PixelTable.from_store(store_path)
    planes = table.select_groups(lambda group: group.t == 300)
    assert planes.layout.width == planes.X.shape[1] == 16 * 3 + 8
    assert planes.layout.groups[0].start == 0
    start = next(g.start for g in table.layout if g.t == 300)
    np.testing.assert_array_equal(planes.X, table.X[:, start:])


def test_an_iterator_of_planes_gives_the_columns_of_the_list(store_path, scene, tmp_path):
    """The iterator was used up before the columns were chosen, so that the table had spectra only."""
    hsifeat.extract(scene, backbone="context", layers=["mean-3", "mean-5"], out=tmp_path / "context.zarr")
    stores, context = [store_path, tmp_path / "context.zarr"], iter(["*/mean-5"])
    table = PixelTable.from_store(stores, planes=iter(["t0/mid_block", "t300/up_blocks.2"]), context=context)
    layers = [(group.kind, group.layer) for group in table.layout]
    assert layers == [("spectra", None), ("context", "mean-5"), ("plane", "mid_block"), ("plane", "up_blocks.2")]


def test_exported_columns_are_in_the_order_of_the_layout(store_path, scene, tmp_path):
    """PyArrow reads the names. The values of the context plane follow SciPy's means of the bands."""
    hsifeat.extract(
        scene, backbone="context", layers=["mean-3"], projection="bands:0,5,9", dtype="float32", out=tmp_path / "c.zarr"
    )
    stores = [store_path, tmp_path / "c.zarr"]
    hsifeat.export_features(stores, tmp_path / "t.parquet", planes=["t0/mid_block", "*/mean-3"], spectra=True)
    read = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    sources = [name.partition("[")[0] for name in read.column_names[4:]]
    table = PixelTable.from_store(stores, planes=["t0/mid_block"])
    named = [str(group).replace("spectra", "band") for group in table.layout for _ in range(group.width)]
    assert sources == named and list(dict.fromkeys(sources)) == ["band", "t0/mean-3", "t0/mid_block"]
    exported = np.stack([read[name] for name in read.column_names[4:]], axis=1)
    np.testing.assert_array_equal(exported, table.X)
    means = [uniform_filter(scene.cube[..., band].astype(float), 3, mode="mirror") for band in (0, 5, 9)]
    inside = (table.rows > 0) & (table.cols > 0) & (table.rows < 74) & (table.cols < 52)
    for band, mean in zip(range(3), means, strict=True):
        values = exported[inside, 12 + band]
        assert np.corrcoef(values, mean[table.rows, table.cols][inside])[0, 1] > 0.99


def test_labels_of_another_shape_and_empty_tables_are_refused(store_path):
    with pytest.raises(SceneError, match="labels 'x' have 3 x 3 pixels, but the scene small has 75 x 53"):
        PixelTable.from_store(store_path, labels=Labels("x", np.ones((3, 3), int)))
    with pytest.raises(StoreError, match="no labelled pixel"):
        PixelTable.from_store(store_path, labels=Labels("x", np.zeros((75, 53), int)))
    with pytest.raises(StoreError, match="gives no columns"):
        PixelTable.from_store(store_path, planes=[], spectra=False)


def test_labelled_pixels_without_data_are_dropped(backbone_folder, tmp_path, scene):

    cube = scene.cube.copy()
    cube[:9, :9] = 0
    holed = hsifeat.Scene("holed", cube, scene.wavelengths_nm, scene.labels)
    hsifeat.extract(
        holed,
        backbone=backbone_folder,
        timesteps=[0],
        layers=["mid_block"],
        tile=32,
        halo=8,
        out=tmp_path / "h.zarr",
    )
    table = PixelTable.from_store(tmp_path / "h.zarr")
    assert (
        len(table) == (scene.labels["fields"].classes != 0).sum() - (scene.labels["fields"].classes[:9, :9] != 0).sum()
    )
    assert not ((table.rows < 9) & (table.cols < 9)).any()
    assert not table.labels.classes[:9, :9].any()


def test_stores_of_one_scene_contribute_columns_side_by_side(store_path, other_recipe):
    table = PixelTable.from_store([store_path, other_recipe], planes=["t0/*mid_block"], means=5, patch=3)
    assert [str(g) for g in table.layout] == [
        "spectra", "t0/1:mid_block", "t0/1:mid_block mean 5x5", "t0/1:mid_block patch 3x3",
        "t0/2:mid_block", "t0/2:mid_block mean 5x5", "t0/2:mid_block patch 3x3",
    ]  # fmt: skip
    options = {"planes": ["t0/mid_block"], "means": 5, "patch": 3}
    one, two = (
        PixelTable.from_store(store_path, **options),
        PixelTable.from_store(other_recipe, spectra=False, **options),
    )
    np.testing.assert_array_equal(table.X, np.concatenate([one.X, two.X], axis=1))
    together = open_stack([store_path, other_recipe])
    assert together.name == "small + other" and len(together.planes) == 9
    assert {c.tiles.tile_px for c in layout_footprints(together, table.layout) if c.tiles} == {16, 32}
    lazy = together.to_dask("t0/2:mid_block")
    np.testing.assert_array_equal(lazy.compute(), open_stack(other_recipe).to_dask("t0/mid_block").compute())
    assert [name for name, _, _ in together.differences(together.recipe)] == []
    assert "stores.2.tiling.tile_px" in {n for n, _, _ in together.differences(open_stack([store_path] * 2).recipe)}
    with pytest.raises(StoreError, match=r"no plane 't0/mid_block'; nearest: t0/2:mid_block, t0/1:mid_block"):
        PixelTable.from_store([store_path, other_recipe], planes=["t0/mid_block"])
    with pytest.raises(StoreError, match="combines several stores, but a dataset can show only one"):
        together.to_xarray()


@pytest.mark.parametrize(
    "rows", [3, None, np.int64(3), (0, slice(3)), np.ones((2, 2), bool), np.ma.masked_equal([0, 1], 1)]
)
def test_what_selects_no_rows_is_refused(store_path, rows):
    table = PixelTable.from_store(store_path, planes=[])
    with pytest.raises(HsifeatError, match="^rows of a table are a mask, an array of indices or a slice; found "):
        table[rows]
    assert len(table[[]].X) == len(table[:0].y) == 0


def test_row_selection_applies_to_every_array(store_path):
    table = PixelTable.from_store(store_path, planes=[])
    some = table[table.y == 2]
    assert set(some.y) == {2} and len(some.X) == len(some.rows) == len(some.cols) == len(some.scene) == len(some)
    assert replace(some, X=some.X + 1).layout == table.layout


def test_the_classes_of_a_table_are_those_of_its_label_map(store_path, scene):
    """Merged classes of `y` alone came back where tables were joined, and splits were drawn from the former classes."""
    table = PixelTable.from_store(store_path, planes=[])
    merged = np.where(table.y == 3, 2, table.y)
    for array in (table.y, table.rows, table.cols, table.scene, table[:5].y):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 1
    with pytest.raises(StoreError, match=r"one row per pixel; found the lengths \[5, 2478\]"):
        replace(table, X=table.X[:5])
    different = np.count_nonzero(scene.labels["fields"].classes == 3)
    with pytest.raises(StoreError, match=rf"^{different} of {len(table)} rows of the table have another class than"):
        replace(table, y=merged)
    classes = scene.labels["fields"].classes
    changed = Labels("merged", np.where(classes == 3, 2, classes), {1: "a", 2: "b", 4: "d"})
    again = PixelTable.from_store(store_path, planes=[], labels=changed)
    np.testing.assert_array_equal(again.y, merged)
    np.testing.assert_array_equal(replace(table, y=merged, labels=changed).y, merged)
    train, test = next(again.cv("per-class:5", 1).split())
    assert [np.count_nonzero(again.y[train] == c) for c in (1, 2, 4)] == [5, 5, 5] and len(train) + len(test) == len(
        again
    )
