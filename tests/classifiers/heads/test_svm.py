"""Support vector machine: the Nyström approximation for many rows, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_approximation import Nystroem
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from classifiers.heads.group_reducer import GroupReducer
from classifiers.heads.registry import make_head
from tests.helpers.heads import toy


def test_many_rows_use_the_nystroem_approximation():
    """Against scikit-learn's Nyström map and linear machine, made by hand on columns that need no reducing."""
    X, y = toy(300)
    X = StandardScaler().fit_transform(X.astype(np.float64)) / np.sqrt(X.shape[1])
    plain = {"spectral_components": None, "sampled_rows": 60, "random_state": 3}
    head = make_head("svm", exact_rows=299, **plain).fit(X, y)
    mapped = Nystroem(gamma=1.0, n_components=60, random_state=3).fit(X)
    machine = LinearSVC(C=10, dual=False, random_state=3).fit(mapped.transform(X), y)
    np.testing.assert_allclose(head.decision_function(X), machine.decision_function(mapped.transform(X)), rtol=1e-4)
    assert head.kernel_map_.n_components == 60
    exact = make_head("svm", exact_rows=300, **plain).fit(X, y)
    assert exact.kernel_map_ is None
    assert np.mean(exact.predict(X) == head.predict(X)) > 0.95


def test_the_kernel_is_exact_up_to_20000_rows():
    rng = np.random.default_rng(0)
    y = np.arange(20_001) % 2
    X = rng.normal(size=(20_001, 3)) + 20 * y[:, None]
    assert make_head("svm").fit(X[:-1], y[:-1]).kernel_map_ is None
    assert make_head("svm").fit(X, y).kernel_map_.n_components == 500


@pytest.mark.parametrize("exact_rows", [20_000, 50])
def test_a_fit_reduces_the_training_rows_once(exact_rows, monkeypatch):
    rows, transform = [], GroupReducer.transform
    monkeypatch.setattr(GroupReducer, "transform", lambda reducer, X: rows.append(len(X)) or transform(reducer, X))
    make_head("svm", exact_rows=exact_rows, sampled_rows=20).fit(*toy(100))
    assert rows == [100]
