"""Benchmarks of a store together with a context store, with reductions fitted on unlabelled pixels."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from classifiers import compare, fit_model
from classifiers.comparison.report.markdown import to_markdown
from classifiers.comparison.results.summary_text import split_remarks
from classifiers.comparison.sweep import sweep
from classifiers.comparison.sweep_table import sweep_remarks
from classifiers.splits import parse_split
from classifiers.table import PixelTable
from hsifeat import extract
from hsifeat.errors import HeadError
from hsifeat.features.stack import open_stack
from hsifeat.scenes import Labels, Scene
from tests.helpers.comparisons import page
from tests.helpers.context_stores import write_context_store
from tests.helpers.forked_commands import fork_workers

SPLITS = ("per-class:9", "blocks:9+1:0.3")
OPTIONS = {"heads": ["lda"], "splits": SPLITS, "seeds": 1, "planes": ["t0/mid_block"]}


@pytest.fixture
def both(features, tmp_path):
    return [features, write_context_store(tmp_path / "ctx.zarr", features)]


def test_results_are_the_same_for_any_number_of_jobs(both, tmp_path, monkeypatch):
    fork_workers(monkeypatch.setattr)
    inputs = ["spectra+context", "context+planes"]
    one, two = (
        compare(both, **OPTIONS, inputs=inputs, reduction="scene", sweep=False, jobs=jobs, out=tmp_path / str(jobs))
        for jobs in (1, 2)
    )
    assert [str(run.entry) for run in one.runs[::2]] == ["lda on spectra+context", "lda on context+planes of small"]
    for first, second in zip(one.runs, two.runs, strict=True):
        assert first.confusion == second.confusion and first.key == second.key
    for name, image in one.images.maps.items():
        np.testing.assert_array_equal(image, two.images.maps[name])
    model = fit_model(open_stack(both), "lda", inputs=inputs[0], split=SPLITS[0], planes=OPTIONS["planes"])
    assert model.evaluation.unsmoothed.oa == one.runs[0].oa
    assert "without their labels" in split_remarks(one)[-1]
    assert [store.name for store in one.stores] == ["small", "ctx"]


def test_runs_without_context_are_reused_and_layers_are_swept(both, tmp_path, fits):
    alone = compare(both[0], **OPTIONS, inputs=["spectra+planes"], sweep=False, out=tmp_path)
    known = len(fits)
    joined = compare(both, **OPTIONS, inputs=["spectra+planes", "spectra+context"], sweep=True, out=tmp_path)
    assert len(fits) == known + 2
    assert [run.confusion for run in joined.runs[:2]] == [run.confusion for run in alone.runs]
    assert {score.layer for score in joined.sweep.planes} == {"mid_block", "mean-5", "mean-9", "profile-3", "profile-5"}
    train = compare(both, **OPTIONS, inputs=["spectra+context"], reduction="train", sweep=False, out=tmp_path)
    assert len(fits) == known + 4  # the reduction is part of the key of a run
    assert (joined.provenance.config.reduction, train.provenance.config.reduction) == ("scene", "train")
    shares = joined.splits[0].footprints
    assert "9x9 px window" in shares["spectra+context"]


def test_a_constant_plane_scores_as_the_most_frequent_class(features, tmp_path):
    """Profiles wider than a scene are constant. They do not end a sweep, and the result names them."""
    flat = np.full((*features.shape[:2], 2), 3.25, np.float32)
    store = write_context_store(tmp_path / "ctx.zarr", features, **{"profile-99": flat})
    planes = ["t0/mean-9", "t0/profile-99"]
    options = {"head": "lda", "split": "blocks:9+1:0.5", "planes": planes, "best": 2, "seeds": 2, "out": tmp_path / "s"}
    found = sweep(store, **options)
    table = PixelTable.from_store(store, context=["t0/profile-99"], planes=[])
    accuracies = []
    for seed in (0, 1):
        draw = parse_split(found.split).draw(table.labels, seed)
        train, test = (table[pixels[table.coordinates]] for pixels in (draw.train, draw.test))
        accuracies.append(DummyClassifier(strategy="most_frequent").fit(train.X, train.y).score(test.X, test.y))
    assert found.planes[1].oa.mean == pytest.approx(np.mean(accuracies))
    assert found.constant == ("t0/profile-99",)
    assert sweep_remarks(found)[0].startswith("Constant on the training pixels of at least one seed: t0/profile-99.")
    assert found.selections == (tuple(planes),) * 2
    assert sweep(store, **options) == found  # from the records


def test_constant_spectra_are_named(tmp_path):
    """Spectra that differ in late digits only are constant as float32 numbers; the planes are not."""
    values = np.random.default_rng(0).normal(size=(24, 20, 3))
    labels = np.indices((24, 20)).sum(0) // 6 % 2 + 1
    scene = Scene("flat", 1e8 + values).with_labels(Labels("gt", labels, {1: "a", 2: "b"}))
    store = extract(scene, backbone="context", layers=["mean-3"], out=tmp_path / "s.zarr")
    found = sweep(store, split="per-class:20", best=0, seeds=1, out=tmp_path / "sweep")
    assert found.constant[0] == "spectra" and found.baseline.mean == pytest.approx(0.5, abs=0.1)
    with pytest.raises(HeadError, match="^lda on spectra under per-class:20, seed 0: all 3 features .* are constant"):
        compare(store, heads=["lda"], inputs=["spectra"], splits=["per-class:20"], seeds=1, out=tmp_path / "report")


@pytest.fixture
def half(tmp_path):
    """A scene whose left half has the training pixels of its official split, and constant spectra."""
    classes = np.indices((24, 20)).sum(0) // 5 % 3 + 1
    cube = (classes[..., None] + np.random.default_rng(0).normal(size=(24, 20, 3))).astype(np.float32)
    cube[:, :10] = 5
    left = np.arange(20) < 10
    scene = Scene("half", cube)
    for name, part in (("train", left), ("test", ~left)):
        scene = scene.with_labels(Labels(name, np.where(part, classes, 0), {1: "a", 2: "b", 3: "c"}))
    store = extract(scene, backbone="context", layers=["mean-3"], out=tmp_path / "s.zarr")
    return SimpleNamespace(classes=classes, left=left, store=store)


@pytest.mark.usefixtures("remembered_plots")
def test_an_input_that_is_constant_under_one_split_does_not_end_a_benchmark(half, tmp_path):
    classes, left, store = half.classes, half.left, half.store
    options = {
        "heads": ["lda", "logistic"],
        "inputs": ["spectra", "spectra+context"],
        "splits": ["blocks:4+1:0.5", "official", "random:0.5"],
    }
    notes = []
    found = compare(store, **options, seeds=2, smooth="gaussian:1", out=tmp_path / "r", listen=notes.append)
    constant = [run for run in found.runs if run.constant]
    assert {(run.entry.inputs, run.split) for run in constant} == {("spectra", "official")} and len(constant) == 4
    dummy = DummyClassifier(strategy="most_frequent").fit(classes[:, left].reshape(-1, 1), classes[:, left].ravel())
    accuracy = dummy.score(classes[:, ~left].reshape(-1, 1), classes[:, ~left].ravel())
    assert {run.oa for run in constant} == {run.smoothed_oa for run in constant} == {accuracy}
    (most,) = set(dummy.predict([[0]]).tolist())
    assert all((found.images.maps[run.entry, "official"] == most).all() for run in constant)
    remark = "all features are constant on the training pixels: lda on spectra (seeds 0, 1); logistic on spectra (seeds 0, 1)."
    texts = (*split_remarks(found), to_markdown(found), page(found, tmp_path))
    assert sum(remark in text for text in texts) == 3
    message = (
        "on spectra under official: .* seeds 0, 1; with seed 0, all 3 features of the 240 training pixels are constant"
    )
    assert sum(bool(re.search(message, str(note))) for note in notes) == 2
    again = compare(store, **options, seeds=2, smooth="gaussian:1", out=tmp_path / "r")
    assert again.runs == found.runs


@pytest.mark.usefixtures("remembered_plots")
def test_points_of_learning_curves_at_which_features_are_constant_are_named(half, tmp_path):
    notes, inputs = [], ["spectra", "spectra+context"]
    options = {
        "heads": ["lda"],
        "inputs": inputs,
        "splits": ["official"],
        "seeds": 2,
        "curve": [20, 40],
        "sweep": False,
    }
    found = compare(half.store, **options, out=tmp_path / "r", listen=notes.append)
    assert {(point.entry.inputs, point.constant) for point in found.curves} == {("spectra", (0, 1)), (inputs[1], ())}
    remark = (
        "constant on the training pixels: lda on spectra under official, per class 20 (seeds 0, 1), 40 (seeds 0, 1)."
    )
    texts = (" ".join(f"{line}." for line in split_remarks(found)), to_markdown(found), page(found, tmp_path))
    assert all(text.count(remark) == 1 for text in (*texts, " ".join(map(str, notes))))
    assert sum("most frequent class" in str(note) for note in notes) == 2, "one for the split, one for the curve"
