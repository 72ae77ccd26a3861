"""Hyperfeatures against a slow transcription of its formula, and its learned shares."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from classifiers.heads.hyperfeatures import HyperfeaturesClassifier
from classifiers.heads.mixing import plot_mixing
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError
from tests.helpers.networks import batch_norm, classify, linear, softmax

LAYOUT = Layout(
    (
        ColumnGroup("plane", 0, 6, 50, "up"),
        ColumnGroup("spectra", 6, 16),
        ColumnGroup("plane", 16, 20, 50, "down"),
        ColumnGroup("position", 20, 22),
        ColumnGroup("plane", 22, 28, 100, "up"),
        ColumnGroup("mean", 28, 34, 100, "up", 5),
    )
)
PATCHES = Layout((ColumnGroup("patch", 0, 50, 50, "up", 5), ColumnGroup("patch", 50, 100, 100, "up", 5)))
QUICK = {"components": None, "bottleneck": 5, "channels": 7, "hidden": (8, 5), "epochs": 6}


def table(layout: Layout = LAYOUT, rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 3
    return rng.normal(size=(rows, layout.width)) + y[:, None] * rng.normal(size=layout.width), y


def bottleneck(maps: np.ndarray, w: dict, at: int) -> np.ndarray:
    """Bring a map (s, s, k) of one pixel, or of 3x3, to one vector: 1x1, norm, ReLU, 3x3, norm, ReLU, 1x1, norm."""
    name = f"bottlenecks.{at}"
    side = len(maps)
    seen = {
        (i, j): np.maximum(batch_norm(linear(maps[i, j], w, f"{name}.narrow"), w, f"{name}.norm_narrow"), 0)
        for i in range(side)
        for j in range(side)
    }
    h = seen[0, 0]
    if side == 3:
        kernel = w[f"{name}.convolve.weight"].astype(np.float64)
        h = sum(kernel[:, :, i, j] @ seen[i, j] for i in range(3) for j in range(3)) + w[f"{name}.convolve.bias"]
        h = np.maximum(batch_norm(h, w, f"{name}.norm_convolve"), 0)
    wide = batch_norm(linear(h, w, f"{name}.widen"), w, f"{name}.norm_widen")
    centre = maps[side // 2, side // 2]
    return np.maximum(wide + batch_norm(linear(centre, w, f"{name}.shortcut"), w, f"{name}.norm_shortcut"), 0)


def test_probabilities_equal_the_formula():
    X, y = table()
    head = HyperfeaturesClassifier(LAYOUT, **QUICK).fit(X, y)
    w = head.weights_
    share = softmax(w["mixing"].astype(np.float64))
    where = [(slice(0, 6), 0), (slice(16, 20), 1), (slice(22, 28), 0), (slice(28, 34), 2)]  # columns, bottleneck
    expected = []
    for row in StandardScaler().fit_transform(X):
        D = sum(share[i] * bottleneck(row[None, None, part], w, at) for i, (part, at) in enumerate(where))
        expected.append(classify(np.concatenate([D, row[6:16]]), w))
    np.testing.assert_allclose(head.predict_proba(X), expected, rtol=1e-7)
    assert np.ptp(share) > 0
    np.testing.assert_allclose(list(head.mixing_weights_.values()), share)


def test_the_inner_pixels_of_patches_pass_the_published_bottleneck():
    X, y = table(PATCHES)
    head = HyperfeaturesClassifier(PATCHES, **QUICK).fit(X, y)
    w = head.weights_
    share = softmax(w["mixing"].astype(np.float64))
    maps = X.reshape(90, 2, 5, 5, 2)
    maps = (maps - maps.mean(axis=(0, 2, 3), keepdims=True)) / maps.std(axis=(0, 2, 3), keepdims=True)
    expected = [classify(sum(share[t] * bottleneck(row[t, 1:4, 1:4], w, 0) for t in range(2)), w) for row in maps]
    np.testing.assert_allclose(head.predict_proba(X), expected, rtol=1e-7)


def test_the_plane_that_tells_the_classes_gets_the_largest_share():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, LAYOUT.width)), np.arange(400) % 4
    X[:, 22:28] += 2 * rng.normal(size=(4, 6))[y]
    head = HyperfeaturesClassifier(LAYOUT.select_groups(lambda g: g.kind == "plane"), epochs=20).fit(
        X[:, np.r_[0:6, 16:20, 22:28]], y
    )
    shares = head.mixing_weights_
    assert list(shares) == ["t50/up", "t50/down", "t100/up"]
    assert max(shares, key=shares.get) == "t100/up"
    assert sum(shares.values()) == pytest.approx(1)


def test_shares_as_a_table_and_as_a_plot():
    head = HyperfeaturesClassifier(LAYOUT, **QUICK)
    with pytest.raises(NotFittedError):
        head.mixing_frame()
    frame = head.fit(*table()).mixing_frame()
    assert frame.index.tolist() == [50, 100]
    assert frame.columns.tolist() == ["up", "down", "up mean 5x5"]
    assert frame.isna().to_numpy().tolist() == [[False, False, True], [False, True, False]]
    assert frame.loc[100, "up"] == head.mixing_weights_["t100/up"]
    axes = plot_mixing(head).axes[0]
    np.testing.assert_allclose(axes.collections[0].get_array().filled(np.nan), 100 * frame.to_numpy())
    assert [text.get_text() for text in axes.texts] == [f"{100 * v:.1f}" for v in frame.to_numpy().ravel() if v > 0]
    assert [label.get_text() for label in axes.get_xticklabels()] == frame.columns.tolist()


def test_positions_are_not_used():
    X, y = table()
    head = HyperfeaturesClassifier(LAYOUT, **QUICK).fit(X, y)
    moved = X.copy()
    moved[:, 20:22] += 100
    np.testing.assert_array_equal(head.predict_proba(moved), head.predict_proba(X))


def test_a_table_without_planes():
    layout = Layout((ColumnGroup("spectra", 0, 9),))
    with pytest.raises(HeadError, match="hyperfeatures needs planes, the table has spectra; build it with planes"):
        HyperfeaturesClassifier(layout).fit(*table(layout))
