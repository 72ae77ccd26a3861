"""Tables and layouts: the right pixels, the right columns, in the right order."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import hsifeat
from classifiers.columns import read_columns
from classifiers.layout import ColumnGroup, Layout
from classifiers.metrics import score_predictions
from classifiers.splits import layout_footprints
from classifiers.table import PixelTable
from hsifeat.errors import SceneError, StoreError
from hsifeat.features.stack import open_stack
from hsifeat.scenes import Labels, Scene
from hsifeat.types import Window
from tests.helpers.small import small_cube, small_labels


def test_rows_and_columns(store_path, features, scene):
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


def test_taking_groups(store_path):
    table = PixelTable.from_store(store_path)
    planes = table.select_groups(lambda group: group.t == 300)
    assert planes.layout.width == planes.X.shape[1] == 16 * 3 + 8
    assert planes.layout.groups[0].start == 0
    start = next(g.start for g in table.layout if g.t == 300)
    np.testing.assert_array_equal(planes.X, table.X[:, start:])


def test_layouts_survive_json_and_refuse_gaps():
    layout = Layout(
        (ColumnGroup("spectra", 0, 3), ColumnGroup("plane", 3, 8, t=5, layer="a.b"), ColumnGroup("mean", 8, 9, size=5))
    )
    assert Layout.from_json(layout.to_json()) == layout
    assert [str(g) for g in layout.spectral] == ["spectra", "spectra mean 5x5"]
    assert layout.columns(*layout.learned).tolist() == [3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match="must follow each other"):
        Layout((ColumnGroup("spectra", 1, 3),))


def test_labels_of_another_shape_and_empty_tables(store_path):
    with pytest.raises(SceneError, match="labels 'x' are 3 x 3 pixels, but the scene small is 75 x 53"):
        PixelTable.from_store(store_path, labels=Labels("x", np.ones((3, 3), int)))
    with pytest.raises(StoreError, match="no labelled pixel"):
        PixelTable.from_store(store_path, labels=Labels("x", np.zeros((75, 53), int)))
    with pytest.raises(StoreError, match="gives no columns"):
        PixelTable.from_store(store_path, planes=[], spectra=False)


def test_scores_of_a_small_case():
    # Worked by hand: 3 of 5 right; recalls 1/2, 1, 0 with class 3 predicted 9, which no test pixel is.
    scores = score_predictions(np.array([1, 1, 2, 2, 3]), np.array([1, 2, 2, 2, 9]))
    assert scores.oa == 0.6
    assert scores.recall == {1: 0.5, 2: 1.0, 3: 0.0}
    assert scores.aa == 0.5
    # Chance agreement: (2 * 1 + 2 * 3) / 25 = 0.32.
    assert scores.kappa == pytest.approx((0.6 - 0.32) / (1 - 0.32))
    assert scores.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_scores_of_a_single_class():
    scores = score_predictions(np.array([4, 4]), np.array([4, 4]))
    assert (scores.oa, scores.aa, scores.kappa, scores.pixels) == (1.0, 1.0, 1.0, {4: 2})


def test_labelled_pixels_that_hold_nothing_are_no_rows(backbone_folder, tmp_path, scene):
    import hsifeat

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


EVERYTHING = {"window": 5, "spectral_patch": 3, "means": 7, "patch": 3, "position": True}


def slow(whole, row, col, *, patch=None, mean=None):
    """Cut one pixel's columns out of a whole map: its neighbourhood, mirrored, or the mean over its window, clipped."""
    if patch:
        half = patch // 2
        padded = np.pad(whole, [(half, half), (half, half), (0, 0)], mode="reflect")
        return padded[row : row + patch, col : col + patch].ravel()
    half = mean // 2
    window = whole[max(row - half, 0) : row + half + 1, max(col - half, 0) : col + half + 1]
    return window.astype(np.float64).mean(axis=(0, 1))


def test_every_group_is_what_a_loop_over_pixels_finds(store_path, features, scene):
    names = ["t0/mid_block", "t300/up_blocks.2"]
    classes = np.zeros((75, 53), int)
    classes[[0, 0, 74, 33, 74, 1], [0, 52, 0, 20, 52, 51]] = [1, 2, 1, 2, 1, 2]
    table = PixelTable.from_store(store_path, labels=Labels("few", classes), planes=names, **EVERYTHING)
    assert [str(g) for g in table.layout] == [
        "spectra", "spectra mean 5x5", "spectra patch 3x3",
        "t0/mid_block", "t0/mid_block mean 7x7", "t0/mid_block patch 3x3",
        "t300/up_blocks.2", "t300/up_blocks.2 mean 7x7", "t300/up_blocks.2 patch 3x3", "position",
    ]  # fmt: skip
    assert Layout.from_json(table.layout.to_json()) == table.layout
    assert table.X.dtype == np.float32
    cube = scene.cube.astype(np.float32)
    planes = [features.read(Window(0, 0, 75, 53), [name]) for name in names]
    for x, row, col in zip(table.X, table.rows, table.cols, strict=True):
        wanted = [cube[row, col], slow(cube, row, col, mean=5), slow(cube, row, col, patch=3)]
        for plane in planes:
            wanted += [plane[row, col], slow(plane, row, col, mean=7), slow(plane, row, col, patch=3)]
        np.testing.assert_allclose(x, np.concatenate([*wanted, [row, col]]), rtol=2e-5, atol=2e-5)
    patch = next(g for g in table.layout if g.kind == "patch" and g.t == 300)
    middle = table.X[:, patch.start : patch.stop].reshape(-1, 3, 3, 8)[:, 1, 1]
    np.testing.assert_array_equal(middle, planes[1][table.rows, table.cols])


def test_tables_larger_than_memory_are_refused_before_reading(store_path, monkeypatch):
    monkeypatch.setattr("classifiers.columns.total_bytes", lambda: 10**6)
    with pytest.raises(
        StoreError,
        match=r"columns takes 0.1 GB, more than the memory of 0.0 GB: .*widest group is t0/mid_block patch 11x11",
    ):
        PixelTable.from_store(store_path, planes=["t0/*"], patch=11)


@pytest.fixture(scope="module")
def other_recipe(scene, backbone_folder, tmp_path_factory):
    """A store of the small scene by another tiling."""
    location = tmp_path_factory.mktemp("other") / "other.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsifeat.cache.catalogue.add_entry", lambda *_, **__: None)
        options = {"timesteps": [0], "layers": ["mid_block"], "tile": 16, "halo": 4}
        hsifeat.extract(scene, backbone=backbone_folder, **options, out=location)
    return location


@pytest.fixture(scope="module")
def other_scene(store_path, tmp_path_factory):
    """A store of another scene by the same recipe, whose classes have other numbers."""
    location = tmp_path_factory.mktemp("scene") / "second.zarr"
    labels = Labels("fields", small_labels(40, 30, 3), {1: "woods", 2: "soil", 3: "corn"})
    second = Scene("second", small_cube(40, 30, seed=5), np.linspace(450, 900, 12), {"fields": labels})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsifeat.cache.catalogue.add_entry", lambda *_, **__: None)
        hsifeat.extract(second, like=store_path, timesteps=[0, 300], out=location)
    return location


def test_stores_of_one_scene_stand_side_by_side(store_path, other_recipe):
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
    with pytest.raises(StoreError, match="can't be shown as one dataset"):
        together.to_xarray()


def test_scenes_stand_under_each_other_and_classes_go_by_name(store_path, other_scene):
    one, two = (PixelTable.from_store(location, position=True) for location in (store_path, other_scene))
    table = PixelTable.from_store([store_path, other_scene], position=True)
    np.testing.assert_array_equal(table.X, np.concatenate([one.X, two.X]))
    np.testing.assert_array_equal(table.scene, np.repeat([0, 1], [len(one), len(two)]))
    np.testing.assert_array_equal(table.rows, np.concatenate([one.rows, two.rows]))
    names = [t.labels.class_names[c] for t in (one, two) for c in t.y]
    assert [table.labels.class_names[c] for c in table.y] == names
    assert table.labels.class_names == {1: "corn", 2: "wheat", 3: "woods", 4: "grass", 5: "soil"}
    np.testing.assert_array_equal(table.labels.classes[table.coordinates], table.y)
    assert len(np.unique(table.pixels)) == len(table) and table.scene_names == ("small", "second")
    half = table[::2]
    np.testing.assert_array_equal(half.labels.classes[half.coordinates], half.y)


def test_splits_of_several_scenes(store_path, other_scene):
    table = PixelTable.from_store([store_path, other_scene], planes=[])
    apart = LeaveOneGroupOut()
    assert len(cross_val_score(KNeighborsClassifier(), table.X, table.y, cv=apart, groups=table.scene)) == 2
    for train, test in table.cv("blocks:9+3:0.4", 2).split(table.X, table.y):
        assert set(table.scene[train]) == set(table.scene[test]) == {0, 1}
        for scene in (0, 1):
            mine, theirs = (np.stack(table[side[table.scene[side] == scene]].coordinates, 1) for side in (train, test))
            assert np.linalg.norm((mine[:, None] - theirs[None]).astype(float), axis=2).min() > 3


def test_scenes_that_do_not_go_together(store_path, other_scene, other_recipe, scene, backbone_folder, tmp_path):
    foreign = Labels("fields", small_labels(), {1: "a", 2: "b", 3: "c", 4: "d"})
    shifted = Scene("shifted", scene.cube + 1, scene.wavelengths_nm + 30, {"fields": foreign})
    hsifeat.extract(shifted, like=other_recipe, timesteps=[0], layers=["mid_block"], out=tmp_path / "shifted.zarr")
    refused = {
        r"the planes of shifted have another recipe than those of small: .*tiling": {},
        r"the spectra of shifted \(12 bands from 480 to 930 nm\) are not at the wavelengths": {"planes": []},
        r"no class of the labels 'fields' \(a, b, c, d\) has the name of a class": {
            "planes": [], "spectra": False, "position": True,
        },
        "2 scenes can't share one label map": {"planes": [], "spectra": False, "labels": foreign},
    }  # fmt: skip
    for message, options in refused.items():
        with pytest.raises(StoreError, match=message):
            PixelTable.from_store([store_path, tmp_path / "shifted.zarr"], **options)
    with pytest.raises(StoreError, match="only stores of one scene stand side by side"):
        open_stack([store_path, other_scene])


def test_rows_keep_all_that_belongs_to_them(store_path):
    table = PixelTable.from_store(store_path, planes=[])
    some = table[table.y == 2]
    assert set(some.y) == {2} and len(some.X) == len(some.rows) == len(some.cols) == len(some.scene) == len(some)
    assert replace(some, X=some.X + 1).layout == table.layout
