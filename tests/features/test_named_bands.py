"""Scenes without wavelengths whose bands have the same names in another order: every way that joins them matches the names."""

from dataclasses import replace

import numpy as np
import pytest

import hsifeat
from classifiers import fit_model, load_model, predict_map
from classifiers.labelling.labelled_model import labelled_model
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.scene_columns import open_scene_columns
from classifiers.table import PixelTable
from hsifeat.errors import StoreError
from hsifeat.extraction.stored_config import stored_projection
from hsifeat.pretraining.data import fit_scenes, match_scenes
from hsifeat.projection.projection import Projection
from hsifeat.runtime.events import silent
from tests.helpers.tiny_training import TINY

NAMES = ("B2", "B3", "B4", "B8", "B5", "B11")
ORDER = [0, 1, 2, 4, 3, 5]
MEANS = np.array([[300, 500, 400, 3400, 900, 1500], [900, 1200, 1600, 2400, 1900, 3200], [600, 500, 300, 90, 250, 60]])


def scene_of(name, seed, order=(0, 1, 2, 3, 4, 5)):
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 3, (6, 8)), np.ones((4, 4), int))
    cube = (MEANS[truth] + rng.normal(0, 40, (*truth.shape, 6))).astype(np.float32)[..., list(order)]
    scene = hsifeat.Scene(name, cube, band_names=[NAMES[band] for band in order])
    return scene.with_labels(hsifeat.Labels("gt", (truth + 1).astype(np.uint8)))


@pytest.fixture
def scenes():
    """Two scenes, and the second one with its bands in another order."""
    return scene_of("a", 0), scene_of("b", 1), scene_of("b", 1, ORDER)


def imported(scene, path):
    """Store a scene with any features: its bands keep their order."""
    return hsifeat.import_planes(scene, {"one": np.ones((24, 32, 1), np.float32)}, window=1, out=path)


def test_prediction_and_table(scenes, tmp_path):
    a, b, turned = (imported(one, tmp_path / f"{n}.zarr") for n, one in enumerate(scenes))
    fit_model([a.location.path], "lda", inputs="spectra+window").save(tmp_path / "model")
    model, notes = load_model(tmp_path / "model"), []
    assert model.band_names == NAMES
    expected, found = (predict_map(hsifeat.open_features(one.location.path), model) for one in (b, turned))
    np.testing.assert_array_equal(found, expected)
    table = PixelTable.from_store([a.location.path, turned.location.path], planes=[], listen=notes.append)
    np.testing.assert_array_equal(table.X[table.scene == 1], PixelTable.from_store(b.location.path, planes=[]).X)
    assert any("by their names" in getattr(note, "message", "") for note in notes)
    with pytest.raises(StoreError, match="another order"):
        PixelTable.concatenate([PixelTable.from_store(one.location.path, planes=[]) for one in (a, turned)])


def test_extraction(scenes, tmp_path):
    a, b, turned = scenes
    store = hsifeat.extract(a, backbone="context", out=tmp_path / "a.zarr")
    assert stored_projection(store).band_names == NAMES
    like = [hsifeat.extract(one, like=store, out=tmp_path / f"{n}.zarr") for n, one in enumerate((b, turned))]
    shared = hsifeat.extract_scenes([a, turned], backbone="context", shared_projection=True, out=tmp_path / "shared")
    opened = [hsifeat.open_features(one) for one in (*like, shared[1].store)]
    plane = opened[0].planes[0].id
    expected = [opened[0].read(hsifeat.Window(0, 0, 24, 32), [plane]), np.asarray(b.cube)]
    for one in opened[1:]:
        np.testing.assert_array_equal(one.read(hsifeat.Window(0, 0, 24, 32), [plane]), expected[0])
        np.testing.assert_array_equal(np.asarray(one.scene.cube), expected[1])


def test_projection_and_pretraining(scenes, tmp_path):
    a, b, turned = scenes
    projection = hsifeat.fit_projection("pca:3", a)
    projection.save(tmp_path / "p.safetensors")
    assert Projection.load(tmp_path / "p.safetensors").band_names == NAMES
    np.testing.assert_array_equal(np.asarray(match_scenes([a, turned])[1].cube), np.asarray(b.cube))
    assert fit_scenes([a], TINY, 3, silent).band_names == NAMES


def test_models_of_the_workbench_have_the_names(scenes, tmp_path):
    features = hsifeat.open_features(hsifeat.extract(scenes[0], backbone="context", out=tmp_path / "a.zarr"))
    assert labelled_model(features, QuickMapper(open_scene_columns(features)), features.labels()).band_names == NAMES


def renamed(scene):
    """Return the scene with the names of two bands swapped: its values and their order are the same."""
    names = list(scene.band_names)
    names[3], names[4] = names[4], names[3]
    return replace(scene, band_names=tuple(names))


def test_corrected_names_of_the_training_scene_change_nothing(scenes, tmp_path):
    a = scenes[0]
    store = imported(renamed(a), tmp_path / "a.zarr")
    model = fit_model([store.location.path], "lda", inputs="spectra")
    expected = predict_map(hsifeat.open_features(store.location.path), model)
    corrected = imported(a, tmp_path / "b.zarr")
    np.testing.assert_array_equal(predict_map(hsifeat.open_features(corrected.location.path), model), expected)


def test_planes_that_were_computed_in_the_wrong_order_are_refused(scenes, tmp_path, monkeypatch):
    """As before names were matched: `like` took the bands in their order."""
    a, _, turned = scenes
    store = hsifeat.extract(a, backbone="context", out=tmp_path / "a.zarr")
    with monkeypatch.context() as patch:
        patch.setattr("hsifeat.scenes.band_matching._match_names", lambda *_: None)
        old = hsifeat.extract(turned, like=store, out=tmp_path / "old.zarr")
    assert hsifeat.open_features(old).scene.band_names == turned.band_names
    with pytest.raises(
        StoreError, match="computed from the wrong bands: extract the scene into a new store with `like`"
    ):
        fit_model([store.location.path, old.location.path], "lda", inputs="spectra+context", split="scenes:a/b")
    model = fit_model([store.location.path], "lda", inputs="spectra+context")
    with pytest.raises(StoreError, match="computed from the wrong bands"):
        predict_map(hsifeat.open_features(old), model)


def test_a_copy_of_a_scene_with_corrected_names_is_no_other_scene(scenes, tmp_path):
    a = scenes[0]
    mask = np.ones((24, 32), bool)
    mask[0, 0] = False
    stores = [imported(a, tmp_path / "a.zarr"), imported(replace(renamed(a), mask=mask), tmp_path / "b.zarr")]
    with pytest.raises(StoreError, match="hold the same scene"):
        fit_model([store.location.path for store in stores], "lda", split="scenes:a/b")


def test_names_of_any_store_of_a_scene_are_used(scenes, tmp_path):
    a, b, turned = scenes
    first = [imported(a, tmp_path / "a.zarr").location.path]
    named = imported(turned, tmp_path / "named.zarr").location.path
    plain = hsifeat.import_planes(
        replace(turned, band_names=()), {"two": np.ones((24, 32, 1), np.float32)}, window=1, out=tmp_path / "plain.zarr"
    ).location.path
    other = hsifeat.import_planes(a, {"two": np.ones((24, 32, 1), np.float32)}, window=1, out=tmp_path / "a2.zarr")
    expected = np.asarray(b.cube).reshape(-1, 6)
    for stores in ([named, plain], [plain, named]):
        table = PixelTable.from_store([*first, other.location.path, *stores], planes=[])
        np.testing.assert_array_equal(table.X[table.scene == 1][:, :6], expected)
