"""Purification against its formula written out in loops, and alone in a pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers.heads.purification import Purifier, criterion, timestep_columns
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError

LAYOUT = Layout(
    (
        ColumnGroup("spectra", 0, 4),
        ColumnGroup("plane", 4, 10, 50, "up"),
        ColumnGroup("plane", 10, 13, 50, "down"),
        ColumnGroup("plane", 13, 16, 100, "down"),
        ColumnGroup("plane", 16, 22, 100, "up"),
        ColumnGroup("mean", 22, 28, 50, "up", 5),
        ColumnGroup("mean", 28, 34, 100, "up", 5),
    )
)


@parametrize_with_checks([Purifier(), Purifier(channels=2, balance=0.5)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def slow_criterion(m: np.ndarray, lam: float) -> list[float]:
    """Compute the channel purification of MTMSD one number at a time, written from the paper; 0/0 counts as 1."""
    K, T, channels = m.shape
    J = []
    for i in range(channels):
        total = 0.0
        for t in range(T):
            low, high = min(m[:, t, i]), max(m[:, t, i])
            a = [(m[c, t, i] - low) / (high - low) if high > low else 1.0 for c in range(K)]
            sim = sum(a[c] * a[d] for c in range(K) for d in range(K) if c != d) / (K * (K - 1))
            var = sum((v - sum(a) / K) ** 2 for v in a) / K
            total += -lam * sim + (1 - lam) * var
        for c in range(K if T > 1 else 0):
            low, high = min(m[c, :, i]), max(m[c, :, i])
            b = [(m[c, t, i] - low) / (high - low) if high > low else 1.0 for t in range(T)]
            sim = sum(b[t] * b[s] for t in range(T) for s in range(T) if t != s) / (T * (T - 1))
            var = sum((v - sum(b) / T) ** 2 for v in b) / T
            total += 0.5 * (-lam * sim + (1 - lam) * var)
        J.append(total)
    return J


@pytest.mark.parametrize("balance", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("shape", [(2, 1, 5), (2, 2, 3), (7, 19, 11)])
def test_the_criterion_equals_its_formula(shape, balance):
    means = np.random.default_rng(0).normal(size=shape) * 100 - 30
    np.testing.assert_allclose(criterion(means, balance), slow_criterion(means, balance), rtol=1e-12)


def test_a_channel_constant_over_classes_or_timesteps_has_the_worst_criterion():
    means = np.random.default_rng(0).normal(size=(4, 3, 6))
    means[:, :, 1] = 0.1
    means[:, 2, 3] = 7
    means[1, :, 4] = -7
    J = criterion(means)
    np.testing.assert_allclose(J, slow_criterion(means, 0.8), rtol=1e-12)
    assert J.argmin() == 1
    np.testing.assert_allclose(J[1], -0.8 * 3 - 0.5 * 0.8 * 4)


def test_a_constant_column_of_rows_is_never_preferred():
    """Means of equal float32 values differ by roundings, which must not be stretched to 0 … 1."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 6)).astype(np.float32)
    X[:, [1, 4]] = np.float32(0.1), np.float32(-1e6)
    purifier = Purifier(channels=4).fit(X, rng.integers(0, 3, 100))
    assert np.flatnonzero(purifier.support_).tolist() == [0, 2, 3, 5]


def table(rows: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y = np.arange(rows) % 3
    return rng.normal(size=(rows, LAYOUT.width)) + y[:, None] * rng.normal(size=LAYOUT.width), y


def test_the_best_channels_of_all_layers_are_selected_at_every_timestep():
    X, y = table()
    purifier = Purifier(LAYOUT, channels=4).fit(X, y)
    at_50, at_100 = np.r_[4:10, 10:13], np.r_[16:22, 13:16]  # up, down
    means = np.stack([[X[y == c][:, at].mean(axis=0) for at in (at_50, at_100)] for c in range(3)])
    best = np.argsort(slow_criterion(means, 0.8))[-4:]
    kept = np.flatnonzero(purifier.support_)
    assert set(kept[(kept >= 4) & (kept < 22)]) == {*at_50[best], *at_100[best]}
    means = np.stack([[X[y == c][:, at].mean(axis=0) for at in (np.r_[22:28], np.r_[28:34])] for c in range(3)])
    best = np.argsort(slow_criterion(means, 0.8))[-4:]
    assert set(kept[kept >= 22]) == {*(22 + best), *(28 + best)}
    assert kept[:4].tolist() == [0, 1, 2, 3]  # spectra pass
    np.testing.assert_array_equal(purifier.transform(X), X[:, kept])
    assert purifier.layout_.width == len(kept)
    for group, part in zip(purifier.layout_, np.split(kept, [g.stop for g in purifier.layout_][:-1]), strict=True):
        origin = next(g for g in LAYOUT if str(g) == str(group))
        assert origin.start <= part.min() <= part.max() < origin.stop
    assert timestep_columns(purifier.layout_, "plane").shape == (2, 4)


def test_class_names_and_numbers_have_no_effect():
    X, y = table()
    one, two = (Purifier(LAYOUT, channels=4).fit(X, labels) for labels in (y, np.array(["b", "c", "a"])[y]))
    np.testing.assert_array_equal(one.support_, two.support_)


def test_the_purifier_works_in_a_pipeline():
    X, y = table()
    pipeline = make_pipeline(Purifier(LAYOUT, channels=3), LinearDiscriminantAnalysis()).fit(X, y)
    assert pipeline[-1].n_features_in_ == 4 + 2 * 3 + 2 * 3
    assert pipeline.score(X, y) > 0.9


def test_timesteps_of_different_layers():
    layout = Layout(LAYOUT.groups[:3])
    np.testing.assert_array_equal(timestep_columns(layout, "plane"), [np.r_[4:13]])
    with pytest.raises(HeadError, match=r"same at each timestep: t50 has up \(6\), down \(3\); t100 has down \(3\)"):
        Purifier(Layout(LAYOUT.groups[:4])).fit(table()[0][:, :16], table()[1])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"channels": 0}, "purification can't keep 0 channels; give 1 or more", id="channels"),
        pytest.param({"balance": 1.5}, "the balance of purification is 1.5; give a number from 0 to 1", id="balance"),
    ],
)
def test_parameters_out_of_range(params, message):
    with pytest.raises(HeadError, match=message):
        Purifier(LAYOUT, **params).fit(*table())


def test_a_single_class():
    with pytest.raises(HeadError, match="all 120 rows are of one class, 2; purification compares classes"):
        Purifier(LAYOUT).fit(table()[0], np.full(120, 2))
