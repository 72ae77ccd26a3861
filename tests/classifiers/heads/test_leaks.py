"""No head learns from test rows: neither their values nor their labels enter an evaluation."""

from __future__ import annotations

from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import cross_validate

from classifiers.evaluate import Evaluator
from classifiers.heads.registry import head_class
from classifiers.splits import parse_split
from classifiers.table import PixelTable
from hsifeat.features.scene_set import SceneSet
from tests.helpers.heads import NAMES, quick, quick_params, scores

SPLIT = "blocks:6+0:0.15"

# With these every head learns a few rows by heart, so that a leak of their labels shows.
BY_HEART = {
    "epochs": 20,
    "members": 1,
    "learning_rate": 1e-2,
    "weight_decay": 1e-4,
    "mixup_spectra": 0.0,
    "mixup_planes": 0.0,
    "components": None,
    "plane_components": None,
    "n_estimators": 20,
    "min_samples_leaf": 1,
    "min_child_samples": 2,
    "C": 1000.0,
}


@pytest.fixture(scope="module")
def table(store_path):
    """Rows with every kind of column that some head takes."""
    return PixelTable.from_store(store_path, planes=["t0/mid_block", "t300/mid_block"], means=5, patch=3)


def fitted(head) -> str:
    """Return a digest of every bit that a head learned."""
    return joblib.hash({key: value for key, value in vars(head).items() if key.endswith("_")})


def permuted(table: PixelTable, seed: int) -> PixelTable:
    """Return a table in which all labels are permuted."""
    y = np.random.default_rng(seed).permutation(table.y)
    classes = np.zeros_like(table.labels.classes)
    classes[table.coordinates] = y
    return replace(table, y=y, labels=replace(table.labels, classes=classes))


@pytest.mark.parametrize("name", NAMES)
def test_an_evaluation_learns_nothing_from_permuted_labels(name, features, table):
    """With about 2,370 test rows, 0.05 is four standard errors of the kappa of random predictions."""
    has = head_class(name)().get_params()
    params = {key: value for key, value in BY_HEART.items() if key in has}
    rule = parse_split("per-class:25")

    dealt = permuted(table, seed=0)
    draw = rule.draw(dealt.labels, 0)
    assert draw.test.sum() > 2300
    head, trial = Evaluator(SceneSet([features]), dealt, name, 0, params).evaluate(rule, draw)
    assert abs(trial.scores.kappa) < 0.05
    train = draw.train[dealt.rows, dealt.cols]
    assert cohen_kappa_score(dealt.y[train], head.predict(dealt.X[train])) > 0.5  # labels of test rows would show


@pytest.mark.parametrize("name", NAMES)
def test_an_evaluation_does_not_depend_on_the_values_of_test_rows(name, features, table):
    rule = parse_split(SPLIT)
    draw = rule.draw(table.labels, 0)
    params = quick_params(name) | ({"epochs": 2} if "epochs" in quick_params(name) else {})
    test = draw.test[table.rows, table.cols]
    rng = np.random.default_rng(0)
    noise = rng.normal(size=table.X.shape).astype(np.float32) * 100

    def run(X: np.ndarray) -> tuple[str, np.ndarray]:
        changed = replace(table, X=X)
        head, trial = Evaluator(SceneSet([features]), changed, name, 0, params).evaluate(rule, draw)
        return fitted(head), scores(head, table.X[::9]), trial.scores.oa

    clean, noisy = run(table.X), run(np.where(test[:, None], noise, table.X))
    assert noisy[0] == clean[0]
    np.testing.assert_array_equal(noisy[1], clean[1])
    other = run(np.where(test[:, None], table.X, table.X + noise))
    assert other[0] != clean[0]  # the digest tells what was learned from


@pytest.mark.parametrize("name", NAMES)
def test_a_spatial_cross_validation(name, table):
    folds = list(table.cv(SPLIT, 1).split())
    few = {"epochs": 2} if "epochs" in quick_params(name) else {}
    found = []
    for factor in (1, -50):
        X = table.X.copy()
        X[folds[0][1]] *= factor
        run = cross_validate(quick(name, table.layout, **few), X, table.y, cv=folds, return_estimator=True)
        found.append(fitted(run["estimator"][0]))
    assert found[0] == found[1]
