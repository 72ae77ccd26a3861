"""Models: given what suits the head, tuned within the training pixels alone, refused where planes mean something else."""

import json
import re
import shutil
from dataclasses import replace
from importlib.metadata import version
from typing import ClassVar

import numpy as np
import pytest
from sklearn.model_selection import ParameterGrid

import hsifeat
from classifiers.evaluate import DISJOINT, Trials
from classifiers.feature_sets import suited_input
from classifiers.fit import Model, fit_model
from classifiers.heads.base import Head
from classifiers.heads.registry import head_class, head_names, make_head
from classifiers.layout import Layout
from classifiers.splits import parse_split
from classifiers.table import PixelTable
from classifiers.tune import Candidate, Tuning, choose, tune
from hsifeat.cache import catalogue
from hsifeat.errors import HeadError
from hsifeat.features.features import open_features
from hsifeat.features.stack import open_together
from hsifeat.runtime.events import Advanced, Finished, Note, Started
from hsifeat.scenes import Scene

SPLIT = "blocks:18+1:0.5"
QUICK = {"epochs": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def stores(scene, store_path, backbone_folder, tmp_path_factory):
    """Stores beside the small one: another recipe, fewer planes, another scene, pixels that are listed."""
    folder = tmp_path_factory.mktemp("stores")
    tiny = {"backbone": backbone_folder, "timesteps": [0]}
    other = Scene("other", scene.cube[:40, :40] + 1, scene.wavelengths_nm, {})
    listed = {"layers": ["mid_block"], "tile": 8, "pixels": "fields"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "enter", lambda *_, **__: None)
        hsifeat.extract(scene, **tiny, layers=["mid_block"], tile=16, halo=4, out=folder / "tiles.zarr")
        hsifeat.extract(scene, like=store_path, timesteps=[0], layers=["mid_block"], out=folder / "fewer.zarr")
        hsifeat.extract(other, like=store_path, timesteps=[0, 300], out=folder / "other.zarr")
        hsifeat.extract(scene, **tiny, **listed, out=folder / "listed.zarr")
    return folder


@pytest.fixture(scope="module")
def opened(stores, store_path):
    return {location.stem: open_features(location) for location in stores.glob("*.zarr")} | {
        "small": open_features(store_path)
    }


def test_the_search_of_every_head_is_small_and_begins_with_its_defaults():
    for name in head_names():
        defaults, space = head_class(name)().get_params(), head_class(name).search_space
        assert 2 <= len(ParameterGrid(space)) <= 12
        assert {key: values[0] for key, values in space.items()} == {key: defaults[key] for key in space}


@pytest.mark.parametrize(
    ("head", "store", "groups"),
    [
        ("svm", "small", ["spectra", "plane"]),
        ("film", "small", ["spectra", "plane"]),
        ("mtmsd", "small", ["spectra", "plane", "mean 48"]),
        ("diffcrn", "small", ["spectra", "plane", "patch 3"]),
        ("mtmsd", "listed", ["spectra", "plane", "mean 8"]),
        ("diffcrn", "listed", ["spectra", "plane"]),
    ],
)
def test_a_head_is_given_what_suits_it(opened, head, store, groups):
    params = QUICK if "epochs" in head_class(head)().get_params() else {}
    heard = []
    model = fit_model(opened[store], head, planes=["t0/mid_block"], params=params, listen=heard.append)
    assert [f"{g.kind} {g.size}" if g.size else g.kind for g in model.layout] == groups
    assert heard[0].message.startswith(suited_input(head, opened[store]) + ": 2478 labelled pixels")
    assert f"{model.layout.width} columns" in heard[0].message
    model.check(opened[store])


@pytest.fixture
def table(store_path):
    return PixelTable.from_store(store_path, planes=["t0/*"])


def test_tuning_finds_what_helps_by_folds_that_lie_apart(table):
    """Of a nearest-neighbour head with 1, or with all the rows, as neighbours, the second can only guess."""

    class Nearest(Head):
        search_space: ClassVar = {"neighbours": [10**4, 1, 3]}
        seen: ClassVar = []

        def __init__(self, layout: Layout | None = None, neighbours: int = 10**4):
            self.layout, self.neighbours = layout, neighbours

        def _fit(self, X, codes, weight):
            Nearest.seen.append(("fit", X[:, 0]))
            self.rows_, self.codes_ = X[:, 1:], codes

        def _predict(self, X):
            Nearest.seen.append(("score", X[:, 0]))
            apart = ((X[:, None, 1:] - self.rows_) ** 2).sum(axis=2)
            nearest = np.argsort(apart, axis=1, kind="stable")[:, : self.neighbours]
            return np.array([np.bincount(self.codes_[one]).argmax() for one in nearest])

    few = table[::4]
    colour = np.random.default_rng(0).normal(size=(5, 3))[few.y]
    X = np.column_stack([few.pixels, colour]).astype(np.float32)
    few = replace(few, X=X, layout=Layout.from_json([{"kind": "spectra", "start": 0, "stop": 4}]))
    heard = []
    found = tune(Nearest(few.layout), few, {}, listen=heard.append)
    assert found.chosen.params == {"neighbours": 1}  # as good as 3, and named before it
    assert [c.accuracy for c in found.candidates[1:]] == [1, 1] and found.candidates[0].accuracy < 0.6
    assert [e.done for e in heard if isinstance(e, Advanced)] == list(range(1, 16))
    assert any(isinstance(e, Started) and e.total == 15 for e in heard) and heard[-1] == Finished("tune")
    classes = few.labels.classes
    assert [step for step, _ in Nearest.seen] == ["fit", "score"] * 15
    for pair in zip(Nearest.seen[::2], Nearest.seen[1::2], strict=True):
        learned, held = (pixels.astype(int) for _, pixels in pair)
        assert sorted([*learned, *held]) == sorted(few.pixels)
        near = [np.stack(np.unravel_index(side, classes.shape), axis=1) for side in (learned, held)]
        touches = abs(near[0][:, None] - near[1]).max(axis=2) <= 1
        assert not (touches & (classes.flat[learned][:, None] == classes.flat[held])).any()
        assert set(classes.flat[held]) <= set(classes.flat[learned])


def test_the_defaults_stay_unless_a_candidate_gains_more_than_one_deviation():
    default = Candidate({"k": 1}, 0.8, 0.1)
    clear = Candidate({"k": 3}, 0.83, 0.1, gain=0.03, gain_deviation=0.02)
    chance = Candidate({"k": 2}, 0.85, 0.1, gain=0.05, gain_deviation=0.06)
    assert choose((default, clear)) is clear
    assert choose((default, chance)) is default
    assert choose((default, clear, chance)) is default  # the best one decides
    assert choose((default, replace(default, params={"k": 5}))) is default
    said = Tuning("5 folds", (default, chance), default).lines()
    assert said[0] == "tuned by 5 folds: the defaults stay, as nothing gains more than one standard deviation: k=1"
    assert said[2] == "  OA 85.0% ± 10.0%, gain +5.0 ± 6.0  k=2"


def test_test_rows_replaced_by_noise_change_no_choice(features, table):
    rule = parse_split(SPLIT)
    draw = rule.draw(table.labels, 0)
    noise = np.random.default_rng(0).normal(size=table.X.shape).astype(np.float32) * 100

    def chosen(changed):
        X = np.where(changed[:, None], noise, table.X)
        trials = Trials(features, replace(table, X=X), "svm", 0, {"plane_components": 20}, tune=True)
        head, trial = trials.run(rule, draw)
        assert {name: getattr(head, name) for name in trial.tuning.chosen.params} == trial.tuning.chosen.params
        return trial.tuning

    clean, noisy = chosen(np.zeros(len(table), bool)), chosen(~draw.train[table.at])
    assert noisy == clean
    train = np.flatnonzero(draw.train[table.at])
    other = np.zeros(len(table), bool)
    other[train[::2]] = True
    assert chosen(other) != clean  # what was learned from does matter


def test_what_was_tuned_is_told_and_kept(features, tmp_path):
    model = fit_model(features, "lda", inputs="planes", split=SPLIT, tune=True, params={"shrinkage": 0.3})
    assert [c.params for c in model.tuning.candidates] == [{"plane_components": k} for k in (50, 25, 100)]
    assert model.head.shrinkage == 0.3 and model.head.plane_components == model.tuning.chosen.params["plane_components"]
    said = "\n".join(model.lines())
    assert f"tuned by {model.tuning.folds}: " in said and "they give an order, not an accuracy" in said
    assert all(f"OA {c.accuracy:.1%} ± {c.deviation:.1%}, gain " in said for c in model.tuning.candidates)
    model.save(tmp_path / "model")
    kept = json.loads((tmp_path / "model" / "model.json").read_text())["meta"]["tuning"]
    assert Model.load(tmp_path / "model").tuning == model.tuning == Tuning.from_json(kept)
    assert len(kept["candidates"]) == 3 and kept["folds"].startswith("5 folds of whole fields (4 of 4 classes have")
    everything = fit_model(features, "lda", inputs="spectra", tune=True)
    assert everything.lines()[0].startswith("tuned by 5 folds")
    # Components of planes make no difference to spectra.
    assert [list(c.params) for c in everything.tuning.candidates] == [["shrinkage"]] * 3
    # A random split is shown beside a disjoint one, which is tuned within its own training pixels.
    random = fit_model(features, "lda", inputs="spectra", split="random:0.3", tune=True)
    assert random.beside.tuning is not None and random.beside.tuning != random.tuning


def test_models_of_before_tuning_open(features, tmp_path):
    fit_model(features, "lda", inputs="spectra").save(tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / "model.json").read_text())
    del manifest["meta"]["tuning"], manifest["meta"]["about"]
    (tmp_path / "model" / "model.json").write_text(json.dumps(manifest))
    old = Model.load(tmp_path / "model")
    assert old.tuning is None and old.about is None
    # As the first release with tuning kept it.
    tried = [{"params": {"shrinkage": s}, "accuracy": a, "deviation": 0.01} for s, a in (("auto", 0.5), (0.1, 0.7))]
    manifest["meta"]["tuning"] = {"split": "blocks:6+1:0.5", "draws": 3, "candidates": tried}
    (tmp_path / "model" / "model.json").write_text(json.dumps(manifest))
    old = Model.load(tmp_path / "model").tuning
    assert old.chosen.params == {"shrinkage": 0.1} and old.folds == "3 draws of blocks:6+1:0.5"


def test_a_model_says_what_it_learned_from(features, tmp_path):
    model = fit_model(features, "svm", inputs="spectra", split="random:0.3", seed=3, params={"random_state": 5})
    assert model.head.random_state == 5
    assert fit_model(features, "svm", inputs="spectra", seed=3).head.random_state == 3
    model.save(tmp_path / "model")
    told = json.loads((tmp_path / "model" / "model.json").read_text())["meta"]["about"]
    assert told["keys"] == [features.key] and told["store"] == features.name
    expected = {"scene": "small", "labels": "fields", "inputs": "spectra", "split": "random:0.3", "seed": 3}
    assert {name: told[name] for name in expected} == expected
    assert told["hsifeat"] == version("hsifeat")
    random, disjoint = told["scores"]
    assert random["oa"] == model.trial.scores.oa and disjoint["oa"] == model.beside.scores.oa
    assert random["test_pixels"] + random["train_pixels"] == 2478 and disjoint["split"] == DISJOINT
    assert Model.load(tmp_path / "model").about == model.about
    assert f"random:0.3: OA {random['oa']:.1%}" in model.about.lines()[1]
    everything = fit_model(features, "lda", inputs="spectra").about
    assert everything.split is None and everything.scores == ()
    told["scores"][0]["oa"] = "high"
    manifest = json.loads((tmp_path / "model" / "model.json").read_text())
    manifest["meta"]["about"] = told
    (tmp_path / "model" / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(HeadError, match="holds no model that hsifeat fit wrote"):
        Model.load(tmp_path / "model")


def test_tuning_that_cannot_be_done(features, table):
    with pytest.raises(HeadError, match="LDAClassifier has nothing left to tune: it searches shrinkage, plane_comp"):
        fit_model(features, "lda", inputs="spectra", tune=True, params={"shrinkage": 0.3})
    heard = []
    corner = table[(table.rows < 6) & (np.isin(table.cols // 3, [0, 1, 3]))]
    found = tune(make_head("svm", corner.layout), corner, {}, listen=heard.append)
    assert found == Tuning(found.folds) and heard == [Note(found.lines()[0])]
    assert re.search(r"not tuned, the defaults stay: \d of \d classes have several fields among", found.lines()[0])
    assert Tuning.from_json(found.to_json()) == found


@pytest.fixture(scope="module")
def model(store_path):
    return fit_model(open_features(store_path), "lda", planes=["t0/mid_block", "t300/up_blocks.2"])


def test_planes_of_another_recipe_are_refused_with_what_differs(opened, model):
    with pytest.raises(
        HeadError, match=r"planes of tiles come from another recipe .*tiling\.tile_px: 16 there, 32 learned"
    ):
        model.check(opened["tiles"])
    with pytest.raises(HeadError, match=r"planes of listed come from another recipe .*: .*there, .* learned"):
        model.check(opened["listed"])
    with pytest.raises(
        HeadError, match=r"learned from 1 store\(s\) side by side; found 2: give as many, in the same order"
    ):
        model.check(open_together([opened["small"], opened["tiles"]]))
    model.check(opened["other"])


def test_another_layout_is_refused(opened, model):
    with pytest.raises(HeadError, match=r"planes that fewer does not have, or not completely: t300/up_blocks\.2;"):
        model.check(opened["fewer"])
    wide = replace(model, layout=Layout.from_json([{"kind": "spectra", "start": 0, "stop": 13}]))
    around = {"kind": "patch", "start": 0, "stop": 9 * 13, "size": 3}
    for one in (wide, replace(model, layout=Layout.from_json([around]))):
        with pytest.raises(HeadError, match="learned from spectra of 13 bands; small has 12"):
            one.check(opened["small"])
    more = {"kind": "mean", "start": 0, "stop": 17, "t": 0, "layer": "mid_block", "size": 5}
    with pytest.raises(HeadError, match="learned from 17 channels of t0/mid_block; small has 16"):
        replace(model, layout=Layout.from_json([more])).check(opened["small"])


def test_positions_mean_nothing_in_another_scene(opened):
    table = PixelTable.from_store(opened["small"], planes=["t0/mid_block"], position=True)
    head = make_head("lda", table.layout).fit(table.X, table.y)
    model = Model(head, table.layout, table.labels.class_names, {}, opened["small"].recipe, len(table))
    model.check(opened["small"])
    with pytest.raises(HeadError, match="learned positions in another scene, which mean nothing in other"):
        model.check(opened["other"])


def test_stores_of_listed_pixels_have_their_own_means_and_no_neighbourhoods(opened):
    listed = opened["listed"]
    model = fit_model(listed, "lda", inputs="planes+means", labels="fields")
    model.check(listed)
    for kind, size, pixels in (("mean", 5, 1), ("patch", 3, 9)):
        group = {"kind": kind, "start": 0, "stop": 16 * pixels, "t": 0, "layer": "mid_block", "size": size}
        with pytest.raises(
            HeadError, match=f"mid_block {kind} {size}x{size}; listed lists pixels, with means over 8 px"
        ):
            replace(model, layout=Layout.from_json([group])).check(listed)


def test_a_model_of_two_stores_maps_from_two_stores(opened, stores, tmp_path):
    both = open_together([opened["small"], opened["tiles"]])
    fit_model(both, "lda", inputs="planes", planes=["t0/*mid_block"]).save(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    model.check(open_together([opened["small"], stores / "tiles.zarr"]))
    with pytest.raises(HeadError, match=r"another recipe .*stores\.1\.tiling"):
        model.check(open_together([opened["tiles"], opened["small"]]))
    with pytest.raises(HeadError, match=r"learned from 2 store\(s\) side by side; found 1"):
        model.check(opened["small"])


def test_an_unfinished_plane_is_not_there(stores, model, opened, store_path, tmp_path):
    import zarr

    shutil.copytree(store_path, tmp_path / "half.zarr")
    progress = zarr.open_array(tmp_path / "half.zarr" / "progress" / "t0300" / "up_blocks.2", mode="r+")
    progress[:] = 0
    with pytest.raises(HeadError, match=r"half does not have, or not completely: t300/up_blocks\.2"):
        model.check(open_features(tmp_path / "half.zarr"))
