"""Parameter search: folds lie apart, only training pixels count, and the defaults stay without a clear gain."""

import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from sklearn.model_selection import ParameterGrid

from classifiers.evaluate import Evaluator
from classifiers.fit import fit_model
from classifiers.heads.base import Head
from classifiers.heads.registry import head_class, head_names, make_head
from classifiers.layout import Layout
from classifiers.splits import parse_split
from classifiers.table import PixelTable
from classifiers.tune import Tuning, TuningCandidate, select_candidate, tune_head
from hsifeat.errors import HeadError
from hsifeat.features.scene_set import SceneSet
from hsifeat.runtime.events import Advanced, Finished, Note, Started

SPLIT = "blocks:18+1:0.5"


@pytest.fixture
def table(store_path):
    return PixelTable.from_store(store_path, planes=["t0/*"])


def test_every_search_space_is_small_and_starts_with_the_defaults():
    for name in head_names():
        defaults, space = head_class(name)().get_params(), head_class(name).search_space
        assert 2 <= len(ParameterGrid(space)) <= 12
        assert {key: values[0] for key, values in space.items()} == {key: defaults[key] for key in space}


def test_tuning_selects_the_better_parameter_on_folds_of_whole_regions(table):
    """Of a nearest-neighbour head with 1, or with all the rows, as neighbours, the second can only guess."""

    class Nearest(Head):
        search_space: ClassVar = {"neighbours": [10**4, 1, 3]}
        calls: ClassVar = []

        def __init__(self, layout: Layout | None = None, neighbours: int = 10**4):
            self.layout, self.neighbours = layout, neighbours

        def _fit(self, X, codes, weight):
            Nearest.calls.append(("fit", X[:, 0]))
            self.rows_, self.codes_ = X[:, 1:], codes

        def _predict(self, X):
            Nearest.calls.append(("score", X[:, 0]))
            apart = ((X[:, None, 1:] - self.rows_) ** 2).sum(axis=2)
            nearest = np.argsort(apart, axis=1, kind="stable")[:, : self.neighbours]
            return np.array([np.bincount(self.codes_[one]).argmax() for one in nearest])

    few = table[::4]
    colour = np.random.default_rng(0).normal(size=(5, 3))[few.y]
    X = np.column_stack([few.pixels, colour]).astype(np.float32)
    few = replace(few, X=X, layout=Layout.from_json([{"kind": "spectra", "start": 0, "stop": 4}]))
    heard = []
    found = tune_head(Nearest(few.layout), few, {}, listen=heard.append)
    assert found.choice.params == {"neighbours": 1}  # as good as 3, and named before it
    assert [c.accuracy for c in found.candidates[1:]] == [1, 1] and found.candidates[0].accuracy < 0.6
    assert [e.done for e in heard if isinstance(e, Advanced)] == list(range(1, 16))
    assert any(isinstance(e, Started) and e.total == 15 for e in heard) and heard[-1] == Finished("tune")
    classes = few.labels.classes
    assert [step for step, _ in Nearest.calls] == ["fit", "score"] * 15
    for pair in zip(Nearest.calls[::2], Nearest.calls[1::2], strict=True):
        learned, held = (pixels.astype(int) for _, pixels in pair)
        assert sorted([*learned, *held]) == sorted(few.pixels)
        near = [np.stack(np.unravel_index(side, classes.shape), axis=1) for side in (learned, held)]
        touches = abs(near[0][:, None] - near[1]).max(axis=2) <= 1
        assert not (touches & (classes.flat[learned][:, None] == classes.flat[held])).any()
        assert set(classes.flat[held]) <= set(classes.flat[learned])


def test_the_defaults_stay_unless_a_candidate_gains_more_than_one_deviation():
    default = TuningCandidate({"k": 1}, 0.8, 0.1, 0.0, 0.0)
    clear = TuningCandidate({"k": 3}, 0.83, 0.1, gain=0.03, gain_deviation=0.02)
    chance = TuningCandidate({"k": 2}, 0.85, 0.1, gain=0.05, gain_deviation=0.06)
    assert select_candidate((default, clear)) is clear
    assert select_candidate((default, chance)) is default
    assert select_candidate((default, clear, chance)) is default  # the best one decides
    assert select_candidate((default, replace(default, params={"k": 5}))) is default
    said = Tuning("5 folds", (default, chance), default).describe()
    assert (
        said[0]
        == "tuned by 5 folds: the defaults stay, as the best candidate does not gain more than one standard deviation: k=1"
    )
    assert said[2] == "  OA 85.0% ± 10.0%, gain +5.0 ± 6.0  k=2"


def test_scores_of_validation_pixels_have_no_deviation():
    default, worse = TuningCandidate({"k": 1}, 0.8, None, 0.0, None), TuningCandidate({"k": 2}, 0.7, None, -0.1, None)
    better = TuningCandidate({"k": 3}, 0.81, None, 0.01, None)
    assert select_candidate((default, worse)) is default and select_candidate((default, worse, better)) is better
    said = Tuning("9 validation pixels", (default, worse), default).describe()
    assert said[0] == "tuned by 9 validation pixels: the defaults stay, as the best candidate does not gain: k=1"
    assert said[2] == "  OA 70.0%, gain -10.0  k=2"


def test_replacing_test_rows_by_noise_does_not_change_the_choice(features, table):
    rule = parse_split(SPLIT)
    draw = rule.draw(table.labels, 0)
    noise = np.random.default_rng(0).normal(size=table.X.shape).astype(np.float32) * 100

    def chosen(changed):
        X = np.where(changed[:, None], noise, table.X)
        trials = Evaluator(SceneSet([features]), replace(table, X=X), "lda", 0, {"plane_components": 20}, tune=True)
        head, trial = trials.evaluate(rule, draw)
        assert {name: getattr(head, name) for name in trial.tuning.choice.params} == trial.tuning.choice.params
        return trial.tuning

    clean, noisy = chosen(np.zeros(len(table), bool)), chosen(~draw.train[table.coordinates])
    assert noisy == clean
    train = np.flatnonzero(draw.train[table.coordinates])
    other = np.zeros(len(table), bool)
    other[train[::2]] = True
    assert chosen(other) != clean  # what was learned from does matter


def test_tuning_without_enough_regions_or_parameters(features, table):
    with pytest.raises(HeadError, match="LDAClassifier has nothing left to tune: it searches shrinkage, spectral_c"):
        fit_model(features, "lda", inputs="planes", tune=True, params={"shrinkage": 0.3})
    heard = []
    corner = table[(table.rows < 6) & (np.isin(table.cols // 3, [0, 1, 3]))]
    found = tune_head(make_head("svm", corner.layout), corner, {}, listen=heard.append)
    assert found == Tuning(found.folds) and heard == [Note(found.describe()[0])]
    assert re.search(r"not tuned, the defaults stay: \d of \d classes have several regions among", found.describe()[0])
    assert Tuning.from_json(found.to_json()) == found
