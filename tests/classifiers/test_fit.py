"""Fitting a model: each head gets the inputs that suit it, and scores by distance against SciPy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, maximum_filter

from classifiers.fit import fit_model
from classifiers.fit_config import FitConfig
from classifiers.heads.registry import head_class, make_head
from classifiers.input_sets import suited_input
from classifiers.splits import SplitDraw, parse_split
from classifiers.table import PixelTable
from hsifeat.errors import HsifeatError, SceneError, StoreError
from hsifeat.runtime.events import Note

QUICK = {"epochs": 2, "device": "cpu"}


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
def test_each_head_gets_the_input_set_that_suits_it(opened, head, store, groups):
    params = QUICK if "epochs" in head_class(head)().get_params() else {}
    heard = []
    model = fit_model(opened[store], head, planes=["t0/mid_block"], params=params, listen=heard.append)
    assert [f"{g.kind} {g.size}" if g.size else g.kind for g in model.layout] == groups
    assert heard[0].message.startswith(f"{suited_input(head, opened[store])}: 2478 labelled pixels")
    assert f"{model.layout.width} columns" in heard[0].message
    model.match_store(opened[store])


def test_an_iterator_of_planes_is_a_list_of_planes(opened):
    model = fit_model(opened["small"], "lda", planes=(plane for plane in ("t0/mid_block",)))
    assert [str(group) for group in model.layout if group.kind == "plane"] == ["t0/mid_block"]


@pytest.mark.parametrize("split", ["random:0.1", "far:9+8:0.2"])
def test_a_fit_scores_by_distance_and_without_leakage(opened, split):
    features = opened["small"]
    model = fit_model(features, "lda", inputs="spectra+window", split=split, seed=3, smooth="none")
    table = PixelTable.from_store(features, planes=[], window=5)
    draw = parse_split(split).draw(table.labels, 3)
    correct = np.zeros(draw.shape, bool)
    correct[table.coordinates] = model.head.predict(table.X) == table.y
    nearest = distance_transform_edt(~draw.train)
    around = maximum_filter(draw.train, 5, mode="constant")
    found, expected = model.evaluation, []
    for low, high in ((0, 4), (4, 9), (9, 16), (16, np.inf)):
        inside = draw.test & (nearest > low) & (nearest <= high)
        if inside.any():
            expected.append((low, inside.sum(), correct[inside].mean()))
    assert [(one.bin.low_px, one.pixels, one.oa) for one in found.distances] == expected
    clear = draw.test & ~around
    assert found.leak_free_pixels == clear.sum()
    assert found.leak_free_oa == (pytest.approx(correct[clear].mean()) if clear.any() else None)
    said = found.describe(model.class_names)
    question = {"random:0.1": "fill in", "far:9+8:0.2": "carry over"}[split]
    assert said[0].startswith(f"{split}, {question}: OA {found.scores.oa:.1%}, ")
    first = found.distances[0]
    assert f"  OA by distance to the nearest training pixel: {first.bin} {first.oa:.1%} of {first.pixels}" in said[2]
    assert said[3].startswith(
        f"  OA without leakage: {found.leak_free_oa:.1%} of {clear.sum()} test pixels whose features"
    )


@pytest.mark.parametrize("trained", [0, 1], ids=["most pixels", "few pixels"])
def test_a_fit_counts_the_pixels_of_scenes_without_training_pixels(store_path, other_scene, trained, monkeypatch):
    """All training pixels are in one of the two scenes, so the test pixels of the other scene have no distance."""
    table = PixelTable.from_store([store_path, other_scene], planes=[])
    train, window = np.zeros(table.labels.classes.shape, bool), table.labels.windows[trained]
    train[window.slices] = np.random.default_rng(0).random((window.rows, window.cols)) < 0.1
    labelled = table.labels.classes > 0
    draw = SplitDraw.from_masks(train & labelled, ~train & labelled)
    monkeypatch.setattr("classifiers.splits.random.RandomSplit.draw", lambda *_: draw)
    model = fit_model([store_path, other_scene], "lda", inputs="spectra", split="random:0.1", smooth="none")
    nearest = distance_transform_edt(~draw.train[window.slices])[draw.test[window.slices]]
    found, others = model.evaluation, int(np.count_nonzero(draw.test)) - len(nearest)
    assert sum(one.pixels for one in found.distances) == len(nearest) and others > 0
    leakage, distances = found.describe(model.class_names)[2:4]
    assert distances.endswith(f"; not in these ranges: {others} in scenes without training pixels")
    median = np.median([*nearest, *[np.inf] * others])
    assert np.isfinite(median) == (trained == 0)
    where = f"{median:.1f} px away" if trained == 0 else "in another scene"
    assert f"; the nearest one is {where} at the median, 1.0 px at least" in leakage


def test_a_fit_says_that_no_test_pixel_is_without_leakage(opened):
    evaluation = fit_model(opened["small"], "lda", split="per-class:100", smooth="none").evaluation
    assert evaluation.leak_free_oa is None and evaluation.leak_free_pixels == 0
    none = "  OA without leakage: none, because the features of all test pixels depend on a training pixel"
    assert none in evaluation.describe({})


def test_a_fit_without_a_leak_free_pixel_has_the_accuracy_far_from_the_labels(opened):
    features = opened["small"]
    model = fit_model(features, "lda", inputs="planes", split="far:9+16:0.2", seed=3, smooth="none")
    table = PixelTable.from_store(features, spectra=False)
    draw = parse_split("far:9+16:0.2").draw(table.labels, 3)
    far = draw.test & (distance_transform_edt(~draw.train) > 16)
    oa = np.mean((model.head.predict(table.X) == table.y)[far[table.coordinates]])
    assert model.evaluation.leak_free_oa is None
    line = next(one for one in model.evaluation.describe({}) if "OA without leakage" in one)
    assert line.endswith(f"; instead, {oa:.1%} of {far.sum()} test pixels over 16 px away from every training pixel")


def test_a_map_of_zeros_and_ones_needs_a_background_class(opened, monkeypatch):
    features = opened["small"]
    binary = replace(features.labels("fields"), classes=(features.labels("fields").classes == 1).astype(np.uint8))
    monkeypatch.setattr("classifiers.multi_scene.select_labels", lambda *_: binary)
    with pytest.raises(StoreError, match="because 0 means unlabelled: .* with `background_class=2`"):
        fit_model(features, "lda", inputs="spectra")
    notes = []
    model = fit_model(
        features,
        "lda",
        inputs="spectra",
        background_class=2,
        listen=lambda event: notes.append(getattr(event, "message", "")),
    )
    zeros = np.count_nonzero(features.valid & (binary.classes == 0))
    told = (
        f"{zeros} pixels that are 0 in the labels 'fields' have the class 2: pixels without a value in the label file"
    )
    assert any(note.startswith(told) for note in notes)
    assert model.class_names == {1: "corn", 2: "background"}
    assert model.train_pixels == features.valid.sum()
    with pytest.raises(SceneError, match="must be a number from 1 to 2147483647 other than 1"):
        fit_model(features, "lda", inputs="spectra", background_class=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": "0"}, "seed: expected a whole number; found '0'"),
        ({"seed": None}, "seed: expected a whole number; found None"),
        ({"seed": -1}, "seed: expected"),
        ({"seed": 1.5}, "seed: expected a whole number; found 1.5"),
        ({"head": None}, "head: expected text; found None"),
        ({"head": make_head("lda")}, "head: expected text; found"),
        ({"params": "C=1"}, "parameters are a dict by name such as"),
        ({"reduction": None}, "unknown reduction None"),
        ({"inputs": ["spectra"]}, r"inputs: expected text; found \['spectra'\]"),
        ({"split": 0.1}, "split: expected text; found 0.1"),
        ({"split": parse_split("random:0.1")}, "split: expected text; found RandomSplit"),
        ({"tune": "no"}, "tune: expected True or False; found 'no'"),
    ],
    ids=str,
)
def test_options_of_other_types_are_refused_before_the_training(opened, options, message, monkeypatch):
    monkeypatch.setattr("classifiers.fit.Evaluator", lambda *_: pytest.fail("trained"))
    with pytest.raises(HsifeatError, match=message):
        fit_model(opened["small"], **options)


def test_planes_without_effect_are_noted(opened):
    for inputs, effect in (("spectra", False), ("spectra+planes", True)):
        heard = []
        fit_model(opened["small"], "lda", planes=["t0/mid_block"], inputs=inputs, smooth="none", listen=heard.append)
        notes = [event.message for event in heard if isinstance(event, Note)]
        assert (
            any(note.startswith("`planes` has no effect: spectra has no planes of a model") for note in notes) != effect
        )


@pytest.mark.parametrize("params", [[1], 3, "C=1"])
def test_wrong_options_of_parameters_are_named_without_a_head(params):
    with pytest.raises(HsifeatError, match=r"params: expected parameters by name, such as {'C': 10}; found"):
        FitConfig.from_options({"params": params})
