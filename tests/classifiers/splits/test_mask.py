"""Splits given as maps: from files and from the scene, with classes matched by name."""

from dataclasses import replace

import numpy as np
import pytest

from classifiers.splits import (
    merge_official_maps,
    parse_split,
)
from classifiers.table import PixelTable
from hsifeat.errors import SceneError, SplitError
from hsifeat.scenes import Labels
from tests.helpers.small import small_labels
from tests.helpers.splits import check_sides


@pytest.fixture
def fields():
    return Labels("fields", small_labels())


def test_masks_from_files(fields, tmp_path):
    train = np.zeros((75, 53), bool)
    train[:30] = True
    np.save(tmp_path / "train.npy", train)
    np.save(tmp_path / "test.npy", np.where(np.arange(75)[:, None] > 50, fields.classes, 0))
    draw = parse_split(f"mask:{tmp_path}/train.npy,{tmp_path}/test.npy").draw(fields, 0)
    check_sides(fields, draw)
    assert np.array_equal(draw.train, train & (fields.classes != 0))
    assert not draw.test[:51].any()
    rest = parse_split(f"mask:{tmp_path}/train.npy").draw(fields, 0)
    assert np.array_equal(rest.test, ~train & (fields.classes != 0))
    with pytest.raises(SplitError, match="pixels are in both the training and the test map"):
        parse_split(f"mask:{tmp_path}/train.npy,{tmp_path}/train.npy").draw(fields, 0)
    np.save(tmp_path / "other.npy", (fields.classes + 1) % 5)
    with pytest.raises(SplitError, match="disagree with the labels 'fields'"):
        parse_split(f"mask:{tmp_path}/other.npy").draw(fields, 0)
    np.save(tmp_path / "small.npy", train[:9])
    with pytest.raises(SceneError, match="labels are 9 x 53 pixels, but the scene fields is 75 x 53"):
        parse_split(f"mask:{tmp_path}/small.npy").draw(fields, 0)


def test_files_of_a_split_are_those_of_the_folder_in_which_it_was_made(fields, tmp_path, monkeypatch):
    """After a change of the working directory, a file of the same name was read there."""
    for name, rows in (("site1", 20), ("site2", 60)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "train.npy", np.arange(75 * 53).reshape(75, 53) < rows * 53)
    monkeypatch.chdir(tmp_path / "site1")
    split = parse_split("mask:train.npy")
    monkeypatch.chdir(tmp_path / "site2")
    expected = np.count_nonzero(fields.classes[:20])
    assert np.count_nonzero(split.draw(fields, 0).train) == expected
    assert split.text == "mask:train.npy" and split == parse_split(split.text)
    with pytest.raises(SceneError, match="is a URL"):
        parse_split("mask:https://host.example/train.tif").draw(fields, 0)
    absolute = parse_split(f"mask:{tmp_path / 'site1' / 'train.npy'}")
    assert np.count_nonzero(absolute.draw(fields, 0).train) == expected
    (tmp_path / "site3").mkdir()
    monkeypatch.chdir(tmp_path / "site3")
    (tmp_path / "site3").rmdir()
    assert parse_split(absolute.text).draw(fields, 0).train.sum() == expected
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def official(fields):
    """A train and a test map that share the fields, and leave some pixels out."""
    side = np.random.default_rng(5).choice(3, fields.classes.shape)
    return {
        name: Labels(name, np.where(side == at, fields.classes, 0), {1: "corn", 2: "wheat"})
        for at, name in enumerate(["train", "test"], 1)
    }


def test_the_official_split_is_the_pair_of_maps_of_the_scene(fields, official):
    draw = parse_split("official", official).draw(fields, 3)
    check_sides(fields, draw)
    assert np.array_equal(draw.train, official["train"].classes != 0)
    assert np.array_equal(draw.test, official["test"].classes != 0)
    assert draw.notes == ()
    together = merge_official_maps(official)
    assert np.array_equal(together.classes, np.where(draw.train | draw.test, fields.classes, 0))
    assert together.class_names == {1: "corn", 2: "wheat", 3: "class 3", 4: "class 4"}
    assert merge_official_maps({**official, "fields": fields}) is None


def test_classes_are_matched_by_name_when_files_number_them_differently(fields):
    """Train holds corn, oat and wheat; test corn and wheat: numbered alphabetically, wheat is 3 in one and 2 in the other."""
    side = np.random.default_rng(5).choice(3, fields.classes.shape)
    crops = np.where(fields.classes > 3, 0, fields.classes)
    train = Labels("train", np.where(side == 1, crops, 0), {1: "corn", 2: "oat", 3: "wheat"})
    test = Labels("test", np.where((side == 2) & (crops != 2), crops - (crops == 3), 0), {1: "corn", 2: "wheat"})
    together = merge_official_maps({"train": train, "test": test})
    assert together.class_names == {1: "corn", 2: "oat", 3: "wheat"}
    np.testing.assert_array_equal(together.classes, np.where((side == 1) | ((side == 2) & (crops != 2)), crops, 0))
    draw = parse_split("official", {"train": train, "test": test}).draw(together, 0)
    assert set(np.unique(together.classes[draw.test])) == {1, 3}
    named = Labels("fields", crops, {1: "corn", 2: "oat", 3: "wheat"})
    again = parse_split("official", {"train": train, "test": test}).draw(named, 0)
    assert np.array_equal(again.test, draw.test) and np.array_equal(again.train, draw.train)


def test_a_mask_is_placed_by_its_georeference(tmp_path, fields):
    """A raster with its first row in the south trains on the same ground; one of another place is refused."""
    import rasterio
    from rasterio.transform import Affine

    from hsifeat.scenes import Georeference

    crs = rasterio.CRS.from_epsg(32633)
    here = replace(fields, georeference=Georeference(crs.to_wkt(), (30, 0, 500000, 0, -30, 4000000)))
    rows, cols = fields.classes.shape
    mask = np.zeros((rows, cols), np.uint8)
    mask[:20] = 1

    def write(name, values, transform):
        with rasterio.open(
            tmp_path / name,
            "w",
            driver="GTiff",
            height=rows,
            width=cols,
            count=1,
            dtype="uint8",
            crs=crs,
            transform=transform,
        ) as file:
            file.write(values, 1)

    write("south.tif", mask[::-1], Affine(30, 0, 500000, 0, 30, 4000000 - 30 * rows))
    write("far.tif", mask, Affine(30, 0, 700000, 0, -30, 4500000))
    draw = parse_split(f"mask:{tmp_path}/south.tif").draw(here, 0)
    assert np.array_equal(draw.train, (mask == 1) & (fields.classes != 0))
    with pytest.raises((SplitError, SceneError)):
        parse_split(f"mask:{tmp_path}/far.tif").draw(here, 0)


def test_official_maps_of_another_place_or_zone_are_refused(fields):
    """A Labels map without a georeference is on the pixels of the labels. PROJ knows the two zones."""
    from rasterio import CRS

    from hsifeat.scenes import Georeference

    north = fields.classes * (np.arange(75)[:, None] < 40)
    zones = [CRS.from_epsg(code).to_wkt() for code in (32632, 32633)]
    here, moved, zone = (
        Georeference(crs, (10.0, 0.0, x, 0.0, -10.0, 4e6))
        for crs, x in ((zones[0], 5e5), (zones[0], 500_050), (zones[1], 5e5))
    )
    placed = replace(fields, georeference=here)
    maps = {"train": Labels("train", north), "test": Labels("test", fields.classes - north)}
    for place in (None, here):
        draw = parse_split("official", maps | {"test": replace(maps["test"], georeference=place)}).draw(placed, 0)
        assert np.array_equal(draw.train, north > 0) and np.array_equal(draw.test, (fields.classes > 0) & (north == 0))
    for place in (moved, zone):
        split = parse_split("official", maps | {"test": replace(maps["test"], georeference=place)})
        with pytest.raises(SplitError, match=r"test has another georeference than the labels 'fields': WGS 84 / UTM"):
            split.draw(placed, 0)


def test_a_missing_or_disagreeing_official_split_is_refused(fields, official):
    with pytest.raises(
        SplitError, match="no official split, which is a pair of label maps named train and test; found train;"
    ):
        parse_split("official", {"train": official["train"]})
    with pytest.raises(SplitError, match="no official split.*found none"):
        parse_split("official")
    numbers = replace(official["test"], classes=(5 - official["test"].classes) % 5)
    with pytest.raises(
        SplitError, match=r"test has class numbers, and \d+ of its \d+ pixels disagree with the labels 'fields'"
    ):
        parse_split("official", {**official, "test": numbers}).draw(fields, 0)
    with pytest.raises(SplitError, match="official: [0-9]+ pixels are in both the training and the test map"):
        parse_split("official", {**official, "test": fields}).draw(fields, 0)
    with pytest.raises(SplitError, match=r"train has \(9, 53\) pixels, but the labels have \(75, 53\)"):
        parse_split("official", {**official, "train": replace(fields, classes=fields.classes[:9])}).draw(fields, 0)


def test_pixels_of_a_map_without_a_class_are_counted_in_a_note(fields, official):
    holed = fields.classes.copy()
    holed[:20] = 0
    draw = parse_split("official", official).draw(replace(fields, classes=holed), 0)
    lost = np.count_nonzero(official["train"].classes[:20])
    assert f"train: {lost} of its {np.count_nonzero(official['train'].classes)} pixels have no class" in draw.notes[0]
    assert not draw.train[:20].any() and not draw.test[:20].any()


@pytest.fixture(scope="module")
def official_store(backbone_folder, scene, tmp_path_factory):
    """A store whose scene has only a train map and a test map, as many public scenes do."""
    import hsifeat

    classes = scene.labels["fields"].classes
    side = np.random.default_rng(5).choice(3, classes.shape)
    maps = {n: Labels(n, np.where(side == at, classes, 0)) for at, n in enumerate(["train", "test"], 1)}
    path = tmp_path_factory.mktemp("official") / "o.zarr"
    options = {"backbone": backbone_folder, "timesteps": [0], "layers": ["mid_block"], "tile": 32, "halo": 8}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSIFEAT_CACHE", str(path.parent / "cache"))
        hsifeat.extract(replace(scene, labels=maps), **options, out=path)
    return path


def test_a_store_with_an_official_split_is_fitted_and_compared(official_store, tmp_path):
    from classifiers import compare
    from classifiers.fit import fit_model
    from hsifeat import open_features

    features = open_features(official_store)
    model = fit_model(features, "svm", inputs="spectra", split="official")
    assert model.train_pixels == np.count_nonzero(features.labels("train").classes)
    assert model.evaluation.scores.confusion.sum() == np.count_nonzero(features.labels("test").classes)
    assert model.disjoint_evaluation is None, "nobody drew it at random"
    found = compare(
        features, heads=["svm"], inputs=["spectra"], splits=["official"], seeds=1, out=tmp_path, sweep=False
    )
    assert {run.split for run in found.runs} == {"official"}
    assert found.scene.labels == "train+test"
    table = PixelTable.from_store(features, planes=[])
    ((train, test),) = table.cv("official", 1).split(table.X)
    assert len(train) + len(test) == len(table)


def test_a_store_without_an_official_split_names_its_maps(store_path):
    with pytest.raises(SplitError, match="found fields; add them"):
        PixelTable.from_store(store_path, planes=[]).cv("official")
