"""Scenes without wavelengths whose bands have the same names in another order: every way that joins them says so."""

from dataclasses import replace

import numpy as np
import pytest
import xarray

import hsifeat
from classifiers import fit_model, load_model, predict_map
from classifiers.labelling.labelled_model import labelled_model
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.scene_columns import open_scene_columns
from classifiers.table import PixelTable
from hsifeat.commands.prediction_inputs import open_inputs
from hsifeat.extraction.stored_config import stored_projection
from hsifeat.pretraining.data import fit_scenes, match_scenes
from hsifeat.projection.projection import Projection
from hsifeat.runtime.events import Note, silent
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


def texts(events):
    return [event.message for event in events if isinstance(event, Note)]


def test_every_way_says_that_names_are_in_another_order(scenes, tmp_path):
    a, b, turned = (imported(one, tmp_path / f"{n}.zarr").location.path for n, one in enumerate(scenes))
    fit_model([a], "lda", inputs="spectra").save(tmp_path / "model")
    model, scene_file = load_model(tmp_path / "model"), tmp_path / "turned.nc"
    assert model.band_names == NAMES
    cube = xarray.DataArray(scenes[2].cube, dims=("y", "x", "band"), coords={"band": list(scenes[2].band_names)})
    cube.to_dataset(name="r").to_netcdf(scene_file)
    context = hsifeat.extract(scenes[0], backbone="context", out=tmp_path / "context.zarr")
    assert stored_projection(context).band_names == NAMES
    tables = [PixelTable.from_store(store, planes=[]) for store in (a, turned)]
    ways = {
        "table": lambda listen: PixelTable.from_store([a, turned], planes=[], listen=listen),
        "tables": lambda listen: PixelTable.concatenate(tables, listen=listen),
        "store": lambda listen: predict_map(hsifeat.open_features(turned), model, listen=listen),
        "file": lambda listen: predict_map(
            *open_inputs(model, [str(scene_file)], listen).values(), model, listen=listen
        ),
        "like": lambda listen: hsifeat.extract(scenes[2], like=context, out=tmp_path / "like.zarr", listen=listen),
        "shared": lambda listen: hsifeat.extract_scenes(
            [scenes[0], scenes[2]], backbone="context", shared_projection=True, out=tmp_path / "shared", listen=listen
        ),
    }
    for way, call in ways.items():
        events = []
        call(events.append)
        assert any("'B5' is taken for 'B8' of" in text and "another order" in text for text in texts(events)), way
    events = []
    PixelTable.from_store([a, b], planes=[], listen=events.append)
    assert not any("names differ" in text for text in texts(events))


def test_projections_and_models_keep_the_names(scenes, tmp_path):
    a, _, turned = scenes
    hsifeat.fit_projection("pca:3", a).save(tmp_path / "p.safetensors")
    assert Projection.load(tmp_path / "p.safetensors").band_names == NAMES
    assert any("names differ" in note for note in match_scenes([a, turned])[1].notes)
    assert fit_scenes([a], TINY, 3, silent).band_names == NAMES
    features = hsifeat.open_features(hsifeat.extract(a, backbone="context", out=tmp_path / "a.zarr"))
    assert labelled_model(features, QuickMapper(open_scene_columns(features)), features.labels()).band_names == NAMES


def test_corrected_names_of_the_training_scene_change_nothing(scenes, tmp_path):
    names = list(NAMES)
    names[3], names[4] = names[4], names[3]
    store = imported(replace(scenes[0], band_names=tuple(names)), tmp_path / "a.zarr")
    model, events = fit_model([store.location.path], "lda", inputs="spectra"), []
    expected = predict_map(hsifeat.open_features(store.location.path), model)
    corrected = hsifeat.open_features(imported(scenes[0], tmp_path / "b.zarr").location.path)
    np.testing.assert_array_equal(predict_map(corrected, model, listen=events.append), expected)
    assert not any("names differ" in text for text in texts(events))


def test_names_of_any_store_of_a_scene_are_used(scenes, tmp_path):
    a, _, turned = scenes
    features = {"two": np.ones((24, 32, 1), np.float32)}
    paths = [
        imported(a, tmp_path / "a.zarr").location.path,
        hsifeat.import_planes(a, features, window=1, out=tmp_path / "a2.zarr").location.path,
        hsifeat.import_planes(
            replace(turned, band_names=()), features, window=1, out=tmp_path / "plain.zarr"
        ).location.path,
        imported(turned, tmp_path / "named.zarr").location.path,
    ]
    events = []
    PixelTable.from_store(paths, planes=[], listen=events.append)
    assert any("'B5' is taken for 'B8' of" in text for text in texts(events))
