"""Tables of several scenes: classes matched by name, splits that keep scenes apart, and refusals."""

from dataclasses import replace

import numpy as np
import pytest
from pyproj import CRS
from sklearn.base import clone
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import hsifeat
from classifiers.comparison.shared_table import SharedTable
from classifiers.heads.registry import make_head
from classifiers.multi_scene import common_class_numbers, merge_label_maps, scene_row_offsets
from classifiers.table import PixelTable
from classifiers.tune import tune_head
from hsifeat.errors import HsifeatError, SceneError, StoreError
from hsifeat.features.stack import open_stack
from hsifeat.scenes import Labels, Scene
from hsifeat.scenes.colours import default_colours
from hsifeat.scenes.georeference import Georeference
from tests.helpers.small import small_labels


def test_scenes_contribute_rows_with_classes_matched_by_name(store_path, other_scene):
    one, two = (PixelTable.from_store(location, position=True) for location in (store_path, other_scene))
    table = PixelTable.from_store([store_path, other_scene], position=True)
    np.testing.assert_array_equal(table.X, np.concatenate([one.X, two.X]))
    np.testing.assert_array_equal(table.scene, np.repeat([0, 1], [len(one), len(two)]))
    np.testing.assert_array_equal(table.rows, np.concatenate([one.rows, two.rows]))
    names = [t.labels.class_names[c] for t in (one, two) for c in t.y]
    assert [table.labels.class_names[c] for c in table.y] == names
    assert table.labels.class_names == {1: "corn", 2: "wheat", 3: "woods", 4: "grass", 5: "soil"}
    np.testing.assert_array_equal(table.labels.classes[table.coordinates], table.y)
    assert [window.row for window in table.labels.windows] == [*table.scene_row_offsets]
    assert [part.names for part in table.labels.parts] == [("small",), ("second",)]
    assert len(np.unique(table.pixels)) == len(table) and table.scene_names == ("small", "second")
    np.testing.assert_array_equal(PixelTable.concatenate([one, two]).y, table.y)
    half = table[::2]
    np.testing.assert_array_equal(half.labels.classes[half.coordinates], half.y)


def test_splits_of_several_scenes_never_treat_them_as_neighbours(store_path, other_scene):
    table = PixelTable.from_store([store_path, other_scene], planes=[])
    apart = LeaveOneGroupOut()
    assert len(cross_val_score(KNeighborsClassifier(), table.X, table.y, cv=apart, groups=table.scene)) == 2
    for train, test in table.cv("blocks:9+3:0.4", 2).split(table.X, table.y):
        assert set(table.scene[train]) == set(table.scene[test]) == {0, 1}
        for scene in (0, 1):
            mine, theirs = (np.stack(table[side[table.scene[side] == scene]].coordinates, 1) for side in (train, test))
            assert np.linalg.norm((mine[:, None] - theirs[None]).astype(float), axis=2).min() > 3


def test_scenes_with_different_columns_or_classes_are_refused(
    store_path, other_scene, scene, backbone_folder, tmp_path
):
    foreign = Labels("fields", small_labels(), {1: "a", 2: "b", 3: "c", 4: "d"})
    shifted = Scene("shifted", scene.cube + 1, scene.wavelengths_nm + 30, {"fields": foreign})
    options = {"timesteps": [0], "layers": ["mid_block"], "tile": 16, "halo": 4}
    hsifeat.extract(shifted, backbone=backbone_folder, **options, out=tmp_path / "shifted.zarr")
    refused = {
        r"the planes of shifted have another recipe than those of small: .*tiling": {},
        r"shifted \(12 bands from 480 to 930 nm\) has no band within 5 nm of 12 of .*small at 450.0 nm is 30.00 nm": {
            "planes": [],
        },
        r"no class of the labels 'fields' \(a, b, c, d\) has the name of a class": {
            "planes": [], "spectra": False, "position": True,
        },
        "2 scenes can't share one label map": {"planes": [], "spectra": False, "labels": foreign},
    }  # fmt: skip
    for message, options in refused.items():
        with pytest.raises(HsifeatError, match=message):
            PixelTable.from_store([store_path, tmp_path / "shifted.zarr"], **options)
    planes = {"planes": ["t0/mid_block"], "spectra": False}
    tables = [PixelTable.from_store(location, **planes) for location in (store_path, tmp_path / "shifted.zarr")]
    with pytest.raises(
        StoreError, match=r"the planes of shifted have another recipe than those of small: `from_store\("
    ):
        PixelTable.concatenate(tables)
    with pytest.raises(StoreError, match="only stores of one scene can be stacked"):
        open_stack([store_path, other_scene])


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        pytest.param(
            [{4: "grass"}, {1: "corn", 2: "wheat", 4: "grass"}], {"grass": 4, "corn": 1, "wheat": 2}, id="kept"
        ),
        pytest.param(
            [{4: "class 4"}, {1: "class 1", 2: "class 2"}], {"class 4": 4, "class 1": 1, "class 2": 2}, id="disjoint"
        ),
        pytest.param(
            [{1: "corn", 2: "rye"}, {1: "soil", 2: "rye", 7: "oat"}],
            {"corn": 1, "rye": 2, "soil": 8, "oat": 7},
            id="taken",
        ),
    ],
)
def test_classes_keep_their_names_and_numbers(maps, expected):
    labels = [Labels("gt", np.array([list(names)]), names) for names in maps]
    numbers = common_class_numbers(labels)
    assert numbers == expected and len(set(numbers.values())) == len(numbers)
    merged = merge_label_maps(labels, scene_row_offsets(labels), numbers)
    assert merged.class_names == {number: name for name, number in expected.items()}
    for one, row in zip(labels, scene_row_offsets(labels), strict=True):
        part = merged.classes[row, : one.classes.shape[1]]
        assert [merged.class_names[c] for c in part] == [one.class_names[c] for c in one.classes[0]]
    assert len(set(merged.class_colours.values())) == len(expected)


@pytest.mark.parametrize(
    ("maps", "own_colours"),
    [
        ([{1: "a", 2: "b"}, {1: "a", 2: "x"}, {1: "a", 3: "x"}, {1: "a", 3: "y"}], {}),
        ([{1: "a"}, {1: "a", 2: "x"}], {1: default_colours([3])[3]}),
        ([{1: "a", 2: "b"}, {1: "b", 2: "a"}, {1: "c", 2: "b"}], {2: "#112233"}),
    ],
)
def test_classes_of_several_scenes_have_different_colours(maps, own_colours):
    labels = [Labels("gt", np.array([list(names)]), names) for names in maps]
    labels[0] = replace(labels[0], class_colours=own_colours)
    numbers = common_class_numbers(labels)
    colours = merge_label_maps(labels, scene_row_offsets(labels), numbers).class_colours
    assert len(set(colours.values())) == len(colours) == len(numbers)
    assert colours.items() >= own_colours.items()


@pytest.mark.parametrize("place", [0, 1])
def test_two_classes_of_one_name_are_refused_in_several_scenes(place):
    """Joined by name they would be one class."""
    maps = [Labels("gt", np.array([[1, 2]]), {1: "corn", 2: "soy"}) for _ in range(2)]
    maps[place] = Labels("twins", np.array([[1, 2, 5]]), {1: "corn", 2: "soy", 5: "corn"})
    with pytest.raises(
        StoreError, match=r"^the classes 1, 5 of the labels 'twins' are all named 'corn': classes of several"
    ):
        common_class_numbers(maps)


def test_no_class_gets_a_number_that_files_can_not_store():
    largest = 2**31 - 1
    for names, others in (
        ({1: "corn", largest: "soy"}, {1: "corn", largest: "rye"}),
        ({1: "corn", largest: "soy"}, {1: "rye", largest: "soy"}),
    ):
        maps = [Labels("gt", np.array([[1, largest]]), own) for own in (names, others)]
        with pytest.raises(StoreError, match="but none above 2147483647 is allowed: give the classes lower numbers"):
            common_class_numbers(maps)


def test_a_benchmark_reduces_columns_on_training_scenes_only(store_path, other_scene, tmp_path):
    table = PixelTable.from_store([store_path, other_scene], planes=[], sample=True)
    shared = SharedTable.write(table, tmp_path / "table")
    for scene in (0, 1):
        sampled = shared.unlabelled(table.pixels[table.scene == scene])
        np.testing.assert_array_equal(sampled, table.sample.X[table.sample.scene == scene])
    np.testing.assert_array_equal(shared.unlabelled(table.pixels), table.sample.X)


def test_parameters_are_tuned_on_validation_scenes(store_path, other_scene):
    table = PixelTable.from_store([store_path, other_scene], planes=[])
    train, validation = (table[table.scene == scene] for scene in (0, 1))
    head = make_head("lda", table.layout)
    tuning = tune_head(head, train, {}, validation=validation)
    assert len(tuning.candidates) > 1 and tuning.folds == f"{len(validation):,} validation pixels"
    for candidate in tuning.candidates:
        assert candidate.deviation is None and candidate.gain_deviation is None
        fitted = clone(head).set_params(**candidate.params).fit(train.X, train.y)
        assert candidate.accuracy == pytest.approx(np.mean(fitted.predict(validation.X) == validation.y))


def test_a_validation_table_of_its_own_is_matched_by_names_of_classes(store_path, other_scene):
    """The second scene numbers its classes in another order. The oracle compares names, not numbers."""
    train, validation = (PixelTable.from_store(location, planes=[]) for location in (store_path, other_scene))
    names, other_names = (
        np.array([table.labels.class_names.get(c, "") for c in range(8)]) for table in (train, validation)
    )
    head = make_head("lda", train.layout)
    tuning = tune_head(head, train, {}, validation=validation)
    for candidate in tuning.candidates:
        fitted = clone(head).set_params(**candidate.params).fit(train.X, train.y)
        right = names[fitted.predict(validation.X)] == other_names[validation.y]
        assert candidate.accuracy == pytest.approx(np.mean(right))


def test_a_validation_table_with_other_columns_is_refused(store_path, other_scene):
    train, validation = (PixelTable.from_store(location, planes=[]) for location in (store_path, other_scene))
    head = make_head("lda", train.layout)
    backwards = replace(validation, wavelengths_nm=validation.wavelengths_nm[::-1])
    with pytest.raises(StoreError, match=r"second has its bands in another order than .*`from_store\(\[...\]\)`"):
        tune_head(head, train, {}, validation=backwards)
    with pytest.raises(StoreError, match="second has other columns than"):
        tune_head(head, train, {}, validation=PixelTable.from_store(other_scene))


def test_a_label_map_of_several_scenes_is_laid_on_these_scenes_only(scene, backbone_folder, tmp_path):
    """Two tiles of one shape were read with the labels of each other when the stores were given in another order."""
    crs = CRS.from_epsg(32633).to_wkt()
    tiles, rng = {}, np.random.default_rng(0)
    for name, row in (("north", 0), ("south", 32)):
        cube = scene.cube[row : row + 32]
        here = Georeference(crs, (30.0, 0.0, 5e5, 0.0, -30.0, 4e6 - 30.0 * row))
        labels = {"fields": Labels("fields", rng.integers(0, 3, cube.shape[:2]), {1: "corn", 2: "rye"})}
        tiles[name] = Scene(name, cube, scene.wavelengths_nm, labels, georeference=here)
        hsifeat.extract(tiles[name], backbone="context", layers=["mean-3"], out=tmp_path / f"{name}.zarr")
    north, south = tmp_path / "north.zarr", tmp_path / "south.zarr"
    table = PixelTable.from_store([north, south], context=[])
    again = PixelTable.from_store([north, south], context=[], labels=table.labels)
    np.testing.assert_array_equal(again.y, table.y)
    assert [part.georeference for part in table.labels.parts] == [tile.georeference for tile in tiles.values()]
    with pytest.raises(
        StoreError, match="'fields' have the scenes north, south, but the stores have south, north: give"
    ):
        PixelTable.from_store([south, north], context=[], labels=table.labels)
    unnamed = replace(
        table.labels, parts=tuple(replace(part, names=(f"{n}",)) for n, part in enumerate(table.labels.parts))
    )
    np.testing.assert_array_equal(PixelTable.from_store([north, south], context=[], labels=unnamed).y, table.y)
    with pytest.raises(SceneError, match="have another georeference than the scene south"):
        PixelTable.from_store([south, north], context=[], labels=unnamed)
