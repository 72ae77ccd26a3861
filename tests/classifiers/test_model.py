"""Models: saved with their provenance, loaded again, and refused on stores whose columns mean something else."""

import copy
import json
import shutil
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest

from classifiers import export_labels, write_scene_map
from classifiers.defaults import DISJOINT_SPLIT
from classifiers.fit import fit_model
from classifiers.heads.registry import make_head
from classifiers.layout import Layout
from classifiers.model import Model, load_model
from classifiers.table import PixelTable
from classifiers.tune import Tuning
from hsifeat import Scene, extract
from hsifeat.errors import HeadError, SceneError
from hsifeat.features.open_features import open_features
from hsifeat.features.stack import open_stack
from hsifeat.seals import seal_json
from tests.helpers.cached_stores import unfinish
from tests.helpers.context_stores import write_context_store

SPLIT = "blocks:18+1:0.5"


@pytest.fixture(scope="module")
def model(store_path):
    return fit_model(open_features(store_path), "lda", planes=["t0/mid_block", "t300/up_blocks.2"])


def with_layout(model, group):
    """The model with a head whose columns are a single group."""
    head = copy.copy(model.head)
    head.layout = Layout.from_json([group])
    return replace(model, head=head)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("class_colours", "red", "a colour of a class is text such as #1f77b4; found 'red' for class 1"),
        ("class_colours", "#f00", "found '#f00' for class 1"),
        ("class_colours", (1, 0, 0), "for class 1"),
        ("class_names", None, "the class name None must be a text"),
        ("class_names", 5, "the class name 5 must be a text"),
    ],
)
def test_changed_names_and_colours_of_classes_are_checked(model, store_path, tmp_path, attribute, value, message):
    """A model was saved that could not be loaded, and maps ended in an error of Python after the prediction."""
    changed = replace(model, **{attribute: {**getattr(model, attribute), 1: value}})
    labels = replace(open_features(store_path).labels())
    getattr(labels, attribute)[1] = value
    scene = Scene("s", np.ones((*labels.classes.shape, 3)), labels={labels.name: replace(labels, **{attribute: {}})})
    scene.labels[labels.name] = labels
    for use in (
        lambda: changed.save(tmp_path / "model"),
        *(
            lambda name=name: write_scene_map(store_path, changed, tmp_path / name)
            for name in ("m.tif", "m.png", "m.mat")
        ),
        *(lambda name=name: export_labels(labels, tmp_path / name) for name in ("l.tif", "l.csv", "l.geojson")),
        lambda: extract(scene, backbone="context", out=tmp_path / "s.zarr"),
    ):
        with pytest.raises(SceneError, match=message):
            use()
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_the_model_card_records_provenance_and_scores(features, tmp_path):
    model = fit_model(features, "svm", inputs="spectra", split="random:0.3", seed=3, params={"random_state": 5})
    assert model.head.random_state == 5
    assert fit_model(features, "svm", inputs="spectra", seed=3).head.random_state == 3
    model.save(tmp_path / "model")
    told = json.loads((tmp_path / "model" / "model.json").read_text())["meta"]["card"]
    assert told["keys"] == [features.key] and told["store"] == features.name
    expected = {"scene": "small", "labels": "fields", "inputs": "spectra", "split": "random:0.3", "seed": 3}
    assert {name: told[name] for name in expected} == expected
    assert told["hsifeat"] == version("hsifeat")
    random, disjoint = told["scores"]
    assert random["oa"] == model.evaluation.scores.oa and disjoint["oa"] == model.disjoint_evaluation.scores.oa
    assert random["test_pixels"] + random["train_pixels"] == 2478 and disjoint["split"] == DISJOINT_SPLIT
    assert load_model(tmp_path / "model").card == model.card
    assert f"random:0.3: OA {random['oa']:.1%}" in model.card.describe()[1]
    everything = fit_model(features, "lda", inputs="spectra").card
    assert everything.split is None and everything.scores == ()
    told["scores"][0]["oa"] = "high"
    manifest = json.loads((tmp_path / "model" / "model.json").read_text())
    manifest["meta"]["card"] = told
    (tmp_path / "model" / "model.json").write_text(seal_json(manifest, "model.json"))
    with pytest.raises(
        HeadError, match=r"model holds no model .*\(scores\.0\.oa: Input should be a valid number.*\): .* fit one anew$"
    ):
        load_model(tmp_path / "model")


def test_a_tuning_outcome_is_described_and_saved(features, tmp_path):
    model = fit_model(features, "lda", inputs="spectra+planes", split=SPLIT, tune=True, params={"shrinkage": 0.3})
    assert [c.params for c in model.tuning.candidates] == [{"spectral_components": k} for k in (100, None, 20)]
    choice = model.tuning.choice.params["spectral_components"]
    assert model.head.shrinkage == 0.3 and model.head.spectral_components == choice
    said = "\n".join(model.describe())
    assert f"tuned by {model.tuning.folds}: " in said and "compare these numbers with each other" in said
    assert all(f"OA {c.accuracy:.1%} ± {c.deviation:.1%}, gain " in said for c in model.tuning.candidates)
    model.save(tmp_path / "model")
    kept = json.loads((tmp_path / "model" / "model.json").read_text())["meta"]["tuning"]
    assert load_model(tmp_path / "model").tuning == model.tuning == Tuning.from_json(kept)
    assert len(kept["candidates"]) == 3 and kept["folds"].startswith("5 folds of whole regions (4 of 4 classes have")
    everything = fit_model(features, "lda", inputs="spectra", tune=True)
    assert everything.describe()[0].startswith("tuned by 5 folds")
    # Components of spectra make no difference to planes.
    planes = fit_model(features, "lda", inputs="planes", tune=True)
    assert [list(c.params) for c in planes.tuning.candidates] == [["shrinkage"]] * 3
    # A random split is shown beside a disjoint one, which is tuned within its own training pixels.
    random = fit_model(features, "lda", inputs="spectra", split="random:0.3", tune=True)
    assert random.disjoint_evaluation.tuning is not None and random.disjoint_evaluation.tuning != random.tuning


def test_planes_of_another_recipe_are_refused_with_the_differing_fields(opened, model):
    with pytest.raises(
        HeadError, match=r"planes of tiles have another recipe .*tiling\.tile_px: 16 here, 32 in training"
    ):
        model.match_store(opened["tiles"])
    with pytest.raises(HeadError, match=r"planes of listed have another recipe .*: .*here, .* in training"):
        model.match_store(opened["listed"])
    with pytest.raises(
        HeadError,
        match="trained on planes of a diffusion model; .* has planes of a diffusion model from 2 stores: name a "
        "store of such features$",
    ):
        model.match_store(open_stack([opened["small"], opened["tiles"]]))
    model.match_store(opened["other"])


def test_features_of_another_kind_are_refused_in_one_sentence_without_fields(opened, model, tmp_path):
    context = write_context_store(tmp_path / "c.zarr", opened["small"])
    trained = fit_model(context, "lda", inputs="context")
    with pytest.raises(HeadError) as error:
        trained.match_store(opened["small"])
    assert str(error.value) == (
        "this head was trained on context features; small has planes of a diffusion model: name a store of such features; "
        "hsifeat extract SCENE --backbone context makes context features"
    )
    both = fit_model(open_stack([opened["small"], context]), "lda", inputs="context+planes")
    with pytest.raises(
        HeadError,
        match="on planes of a diffusion model and context features; small has planes .*: name 2 stores of one scene",
    ):
        both.match_store(opened["small"])
    with pytest.raises(HeadError, match="trained on planes of a diffusion model; .* has context features"):
        model.match_store(context)


def test_another_layout_is_refused(opened, model):
    with pytest.raises(HeadError, match=r"planes that fewer lacks or holds only in part: t300/up_blocks\.2;"):
        model.match_store(opened["fewer"])
    wide = with_layout(model, {"kind": "spectra", "start": 0, "stop": 13})
    around = {"kind": "patch", "start": 0, "stop": 9 * 13, "size": 3}
    for one in (wide, with_layout(model, around)):
        with pytest.raises(
            SceneError, match="small has 12 bands and the training scene has 13, and the wavelengths of the"
        ):
            replace(one, wavelengths_nm=None).match_store(opened["small"])
    more = {"kind": "mean", "start": 0, "stop": 17, "t": 0, "layer": "mid_block", "size": 5}
    with pytest.raises(HeadError, match="trained on 17 channels of t0/mid_block; small has 16"):
        with_layout(model, more).match_store(opened["small"])


def test_positions_mean_nothing_in_another_scene(opened):
    table = PixelTable.from_store(opened["small"], planes=["t0/mid_block"], position=True)
    head = make_head("lda", table.layout).fit(table.X, table.y)
    model = Model(head, table.labels.class_names, {}, opened["small"].recipe, len(table))
    model.match_store(opened["small"])
    with pytest.raises(HeadError, match="trained on pixel positions of another scene, which mean nothing in other"):
        model.match_store(opened["other"])


def test_stores_of_listed_pixels_have_their_own_means_and_no_neighbourhoods(opened):
    listed = opened["listed"]
    model = fit_model(listed, "lda", inputs="planes+means", labels="fields")
    model.match_store(listed)
    for kind, size, pixels in (("mean", 5, 1), ("patch", 3, 9)):
        group = {"kind": kind, "start": 0, "stop": 16 * pixels, "t": 0, "layer": "mid_block", "size": size}
        with pytest.raises(
            HeadError, match=f"mid_block {kind} {size}x{size}; listed lists single pixels, with means over 8 px"
        ):
            with_layout(model, group).match_store(listed)


def test_a_model_of_two_stores_maps_from_two_stores(opened, stores, tmp_path):
    both = open_stack([opened["small"], opened["tiles"]])
    fit_model(both, "lda", inputs="planes", planes=["t0/*mid_block"]).save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    model.match_store(open_stack([opened["small"], stores / "tiles.zarr"]))
    with pytest.raises(HeadError, match=r"another recipe .*stores\.1\.tiling"):
        model.match_store(open_stack([opened["tiles"], opened["small"]]))
    with pytest.raises(
        HeadError, match="small has planes of a diffusion model: name 2 stores of one scene in this order$"
    ):
        model.match_store(opened["small"])


def test_an_incomplete_plane_counts_as_missing(stores, model, opened, store_path, tmp_path):
    unfinish(shutil.copytree(store_path, tmp_path / "half.zarr"), "t300/up_blocks.2")
    with pytest.raises(HeadError, match=r"half lacks or holds only in part: t300/up_blocks\.2"):
        model.match_store(open_features(tmp_path / "half.zarr"))


@pytest.mark.parametrize(
    "recipe", [3, {"backbone": 3}, {"backbone": None}, {"stores": [3]}, {"stores": {"1": 3}}], ids=str
)
def test_a_forged_recipe_is_one_error(model, tmp_path, recipe):
    forge(model, tmp_path / "model", lambda manifest: manifest["meta"].update(recipe=recipe))


@pytest.mark.parametrize("name", ["t", "layer"])
def test_columns_of_no_plane_are_one_error(model, tmp_path, name):
    forge(model, tmp_path / "model", lambda manifest: manifest["layout"][-1].pop(name))


def forge(model, folder, change):
    """Save a model, change its manifest, seal it again, and check that it is refused in one line."""
    model.save(folder)
    manifest = json.loads((folder / "model.json").read_text())
    change(manifest)
    (folder / "model.json").write_text(seal_json(manifest, "model.json"))
    with pytest.raises(HeadError) as refused:
        load_model(folder)
    assert "\n" not in str(refused.value)
