"""No head learns from test rows: where the product fits and scores, noise in their place changes no fitted bit."""

from __future__ import annotations

from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.model_selection import cross_validate

from classifiers.splits import parse_split
from classifiers.table import PixelTable
from classifiers.trials import Trials
from tests.heads import NAMES, quick, quick_params, scores

SPLIT = "blocks:6+0:0.3"


@pytest.fixture
def table(features):
    return PixelTable.from_store(features)


def fitted(head) -> str:
    """Return a digest of every bit that a head learned."""
    return joblib.hash({key: value for key, value in vars(head).items() if key.endswith("_")})


@pytest.mark.parametrize("name", NAMES)
def test_a_trial(name, features, table):
    rule = parse_split(SPLIT)
    draw = rule.draw(table.labels, 0)
    params = quick_params(name) | ({"epochs": 2} if "epochs" in quick_params(name) else {})
    test = draw.test[table.rows, table.cols]
    rng = np.random.default_rng(0)
    noise = rng.normal(size=table.X.shape).astype(np.float32) * 100

    def run(X: np.ndarray) -> tuple[str, np.ndarray]:
        changed = replace(table, X=X)
        head, trial = Trials(features, changed, name, 0, params).run(rule, draw)
        return fitted(head), scores(head, table.X), trial.scores.oa

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
