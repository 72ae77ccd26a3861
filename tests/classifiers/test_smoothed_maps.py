"""Smoothing of fitted models: an honest second score, kept with the model, and applied to maps and probabilities."""

import re

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.decomposition import PCA

from classifiers.block_prediction import predict_classes
from classifiers.columns import read_columns
from classifiers.defaults import DEFAULT_SMOOTHING
from classifiers.fit import fit_model
from classifiers.metrics import score_predictions
from classifiers.model import load_model
from classifiers.predict import predict_map, predict_probabilities, write_scene_map
from classifiers.smoothing import SceneGuide, parse_smoothing
from classifiers.splits import parse_split
from hsifeat import Scene, extract
from hsifeat.errors import HsifeatError
from hsifeat.features.open_features import open_features
from hsifeat.runtime.events import Note
from hsifeat.scenes import Labels
from hsifeat.types import Window

SPLIT = "per-class:5"


@pytest.fixture(scope="module")
def features(store_path):
    return open_features(store_path)


@pytest.fixture(scope="module")
def model(features):
    return fit_model(features, "lda", inputs="spectra", split=SPLIT, smooth="gaussian:1.5")


def probabilities_of(features, head):
    rows, cols, _ = features.shape
    at = np.nonzero(features.valid)
    p = np.zeros((rows, cols, len(head.classes_)))
    p[at] = head.predict_proba(read_columns(features, head.layout, *at))
    return p


def smoothed_by_scipy(features, head, p=None):
    """Normalised convolution; a class is the most probable one."""
    p = probabilities_of(features, head) if p is None else p
    weight = gaussian_filter(features.valid.astype(float), 1.5, mode="constant")
    return gaussian_filter(p, 1.5, mode="constant", axes=(0, 1)) / weight[..., None]


def test_the_score_after_smoothing_is_that_of_the_smoothed_map_on_the_same_test_pixels(features, model):
    truth = features.labels("fields")
    test = parse_split(SPLIT).draw(truth, seed=0).test
    classes = model.head.classes_[smoothed_by_scipy(features, model.head).argmax(axis=-1)]
    expected = score_predictions(truth.classes[test], classes[test])
    evaluation = model.evaluation
    assert evaluation.scores.oa == pytest.approx(expected.oa, abs=1e-3)
    assert sum(evaluation.scores.pixels.values()) == sum(evaluation.unsmoothed.pixels.values())
    plain = fit_model(features, "lda", inputs="spectra", split=SPLIT, smooth="none").evaluation
    assert plain.scores.oa == evaluation.unsmoothed.oa and plain.unsmoothed is None and plain.smoothing is None
    gain = 100 * (evaluation.scores.oa - plain.scores.oa)
    line = next(line for line in model.describe() if "smoothed by" in line)
    said = f"smoothed by gaussian:1.5 ({gain:+.1f} points): without smoothing OA {plain.scores.oa:.1%}, "
    assert line.strip().startswith(said) and "depends on pixels up to 6 px away" in line
    assert plain.distances == evaluation.distances and plain.leak_free_oa == evaluation.leak_free_oa
    assert any(line.startswith("  without smoothing, OA by distance") for line in model.describe())


@pytest.mark.parametrize("smooth", ["gaussian:1", "guided:2", "mrf:0.5", "superpixel:12"])
def test_pixels_in_reach_of_a_pixel_decide_its_class(features, model, smooth):
    needed = np.zeros(features.shape[:2], bool)
    needed[[3, 40, 74], [50, 20, 0]] = needed[10:13, 5] = True
    heard = []
    whole, part = (
        predict_classes(features, model.head, parse_smoothing(smooth), only=only, listen=heard.append)
        for only in (None, needed)
    )
    np.testing.assert_array_equal(part[needed], whole[needed])


def test_pixels_out_of_reach_are_not_predicted(features, model, monkeypatch):
    needed = np.zeros(features.shape[:2], bool)
    needed[40, 20] = True
    rows, predict = [], type(model.head).predict_proba
    monkeypatch.setattr(type(model.head), "predict_proba", lambda head, X: rows.append(len(X)) or predict(head, X))
    predict_classes(features, model.head, parse_smoothing("guided:2"), only=needed)
    assert sum(rows) == np.count_nonzero(features.valid[36:45, 16:25])


def test_a_fit_smooths_by_the_default_rule(features):
    model = fit_model(features, inputs="spectra", split=SPLIT)
    assert model.smooth == model.evaluation.smoothing.text == DEFAULT_SMOOTHING
    assert np.array_equal(
        predict_map(features, model), predict_classes(features, model.head, model.evaluation.smoothing)
    )


def test_test_labels_do_not_change_the_smoothed_map(features, model, monkeypatch):
    """Labels of test pixels are shuffled after training: the map of the same head stays as it is."""
    expected = predict_map(features, model)
    labels = features.labels("fields")
    shuffled = Labels("fields", np.random.default_rng(0).permutation(labels.classes), labels.class_names)
    monkeypatch.setattr(type(features), "labels", lambda *_: shuffled)
    np.testing.assert_array_equal(predict_map(features, model), expected)


def test_maps_and_probabilities_use_the_rule_of_the_model_by_default(features, model, tmp_path):
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.smooth == loaded.card.smooth == "gaussian:1.5"
    score = loaded.card.scores[0]
    assert (score.oa, score.unsmoothed_oa) == (model.evaluation.scores.oa, model.evaluation.unsmoothed.oa)
    assert "smoothed by gaussian:1.5" in loaded.card.describe()[0] and "without smoothing OA" in score.describe()
    expected = smoothed_by_scipy(features, model.head)
    assert write_scene_map(features, loaded, tmp_path / "p.npy", probabilities=True) == ()
    found = np.load(tmp_path / "p.npy")
    np.testing.assert_allclose(found[features.valid], expected[features.valid], atol=1e-6)
    write_scene_map(features, loaded, tmp_path / "m.npy")
    classes = np.load(tmp_path / "m.npy")
    np.testing.assert_array_equal(classes == 0, ~features.valid)
    assert (classes == model.head.classes_[expected.argmax(axis=-1)])[features.valid].mean() > 0.999
    write_scene_map(features, loaded, tmp_path / "plain.npy", smooth="none")
    np.testing.assert_array_equal(np.load(tmp_path / "plain.npy"), predict_map(features, model.head))
    assert not np.array_equal(np.load(tmp_path / "plain.npy"), classes)


@pytest.mark.parametrize("smooth", ["gaussian:1", "guided:2", "mrf:0.5", "superpixel:12"])
def test_each_rule_maps_the_same_for_any_block_size(features, model, smooth):
    maps = [predict_map(features, model, smooth=smooth, block_px=side) for side in (11, 128)]
    assert (maps[0] == maps[1]).mean() > 0.999  # the head's own probabilities differ in their last bits
    total = np.zeros(features.shape[:2])
    for window, values in predict_probabilities(features, model, smooth=smooth):
        total[window.slices] = values.sum(axis=-1)
    np.testing.assert_allclose(total[features.valid], 1, atol=1e-5)


def test_a_head_without_probabilities_votes_with_its_classes(features):
    svm = fit_model(features, "svm", inputs="spectra", split=SPLIT, smooth="gaussian:1.5")
    votes = (predict_map(features, svm, smooth="none")[..., None] == svm.head.classes_).astype(float)
    expected = svm.head.classes_[smoothed_by_scipy(features, svm.head, votes).argmax(axis=-1)]
    assert (predict_map(features, svm) == expected)[features.valid].mean() > 0.999
    with pytest.raises(HsifeatError, match="has no class probabilities"):
        predict_probabilities(features, svm)


def test_a_random_split_scores_its_disjoint_twin_after_smoothing_too(features):
    model = fit_model(features, "lda", inputs="spectra", split="random:0.1", smooth="superpixel:9")
    assert model.disjoint_evaluation.smoothing.text == "superpixel:9"
    assert sum("depends on the whole scene" in line for line in model.describe()) == 2


def test_bad_rules_are_refused_before_anything_is_read(features, model, tmp_path, monkeypatch):
    with pytest.raises(HsifeatError, match="unknown smoothing 'median'"):
        fit_model(features, "lda", smooth="median:3")
    monkeypatch.setattr(model.head, "predict_proba", lambda _: pytest.fail("predicted"), raising=False)
    with pytest.raises(HsifeatError, match="smoothing 'mrf' lacks its argument"):
        write_scene_map(features, model, tmp_path / "m.npy", smooth="mrf")
    monkeypatch.setattr("classifiers.smoothing.tiles.available_bytes", lambda: 1000)
    told = re.escape("smoothing 75 x 53 pixels of 4 classes by superpixel:9 takes about")
    with pytest.raises(HsifeatError, match=f"{told}.*the rule needs the whole scene at once: use gaussian"):
        write_scene_map(features, model, tmp_path / "m.npy", smooth="superpixel:9")
    with pytest.raises(HsifeatError, match=told):
        fit_model(features, "lda", smooth="superpixel:9")


def test_the_guide_is_the_principal_components_of_the_valid_pixels(features):
    guide = SceneGuide.from_features(features)
    rows, cols, _ = features.shape
    whole = guide.read(Window(0, 0, rows, cols))
    spectra = np.asarray(features.scene.cube[:, :])[features.valid].astype(float)
    components = PCA(3).fit_transform(spectra)
    expected = np.clip(components / components[:, 0].std(), -3, 3)
    signs = np.sign((expected * whole[features.valid]).sum(axis=0))
    np.testing.assert_allclose(whole[features.valid], expected * signs, atol=1e-3)
    part = Window(20, 7, 31, 40)
    np.testing.assert_array_equal(guide.read(part), whole[part.slices])


def test_a_note_names_an_outlier_that_enlarges_the_unit_of_the_guide(tmp_path):
    """One undeclared fill value of -9999 makes all other pixels equal in units of the standard deviation."""
    cube = np.random.default_rng(0).random((30, 40, 4), np.float32)
    cube[2, 3] = -9999
    labels = {"fields": Labels("fields", 1 + (cube[..., 0] > 0.5).astype(np.uint8), {1: "low", 2: "high"})}
    scene = Scene("wild", cube, labels=labels)
    extract(scene, backbone="context", layers=["mean-3"], projection="bands:0,1,2", out=tmp_path / "s.zarr")
    features, heard = open_features(tmp_path / "s.zarr"), []
    assert np.abs(SceneGuide.from_features(features).read(Window(10, 10, 20, 30))).max() < 0.05
    fit_model(features, "lda", inputs="spectra", split=SPLIT, smooth="guided:2", listen=heard.append)
    notes = {event.message for event in heard if isinstance(event, Note)}
    assert any(note.startswith("guided:2,0.01: wild: one pixel has most of the variance") for note in notes), notes
