"""MTMSD's selective timestep fusion against a slow transcription of its formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from classifiers.heads.mtmsd import MTMSDClassifier, selective_fusion_network
from classifiers.heads.purification import Purifier, timestep_columns
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError
from tests.helpers.networks import batch_norm, classify, linear, softmax

LAYOUT = Layout(
    (
        ColumnGroup("spectra", 0, 4),
        ColumnGroup("plane", 4, 10, 50, "up"),
        ColumnGroup("plane", 10, 13, 50, "down"),
        ColumnGroup("mean", 13, 19, 50, "up", 5),
        ColumnGroup("plane", 19, 22, 100, "down"),
        ColumnGroup("plane", 22, 28, 100, "up"),
        ColumnGroup("mean", 28, 34, 100, "up", 5),
        ColumnGroup("position", 34, 36),
    )
)
QUICK = {"channels": 4, "hidden": (8, 5), "epochs": 6}


def table(layout: Layout = LAYOUT, rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 3
    return rng.normal(size=(rows, layout.width)) + y[:, None] * rng.normal(size=layout.width), y


def fuse(x: np.ndarray, g: np.ndarray, w: dict) -> np.ndarray:
    """Compute the selective timestep fusion of MTMSD for one row, written from the paper: x (T, d), g (T, d_g)."""
    T = len(x)
    u = sum(x[t] for t in range(T))
    if g.size:
        z = linear(batch_norm(np.maximum(linear(u, w, "squeeze.0"), 0), w, "squeeze.2"), w, "squeeze.3")
        a = [linear(np.concatenate([linear(z, w, f"select.{t}"), g[t]]), w, f"guide.{t}") for t in range(T)]
    else:
        a = [linear(linear(u, w, "squeeze"), w, f"select.{t}") for t in range(T)]
    share = softmax(np.array(a), axis=0)
    return sum(share[t] * x[t] for t in range(T))


@pytest.mark.parametrize("guided", [True, False])
def test_probabilities_equal_the_formula(guided):
    layout = LAYOUT.select_groups(lambda group: guided or group.kind != "mean")
    X, y = table(layout)
    head = MTMSDClassifier(layout, **QUICK).fit(X, y)
    purifier = Purifier(layout, channels=4).fit(X, y)
    scaled = StandardScaler().fit_transform(purifier.transform(X))
    at, around = (timestep_columns(purifier.layout_, kind) for kind in ("plane", "mean"))
    assert at.shape == (2, 4)
    assert around.size == (8 if guided else 0)
    expected = []
    for row in scaled:
        v = fuse(row[at], row[around] if guided else np.empty(0), head.weights_)
        expected.append(classify(np.concatenate([v, row[:4]]), head.weights_))
    np.testing.assert_allclose(head.predict_proba(X), expected, rtol=1e-7)


def test_fusing_one_timestep_is_the_identity():
    network = selective_fusion_network(1, 6, 3, 0, (4,), 2)
    x = torch.randn(5, 1, 6)
    torch.testing.assert_close(network.fuse(x, torch.randn(5, 1, 3)), x[:, 0])


def test_fused_features_lie_between_the_timesteps():
    x = torch.randn(50, 4, 6)
    v = selective_fusion_network(4, 6, 3, 0, (4,), 2).fuse(x, torch.randn(50, 4, 3))
    assert (v <= x.amax(dim=1) + 1e-6).all()
    assert (v >= x.amin(dim=1) - 1e-6).all()


def test_the_fusion_selects_the_timestep_indicated_by_the_surroundings():
    """The timestep that separates the classes differs between rows. Only the window means indicate this timestep."""
    rng = np.random.default_rng(0)
    layout = Layout(
        tuple(ColumnGroup("plane", 2 * i, 2 * i + 2, 100 * i, "up") for i in range(2))
        + tuple(ColumnGroup("mean", 4 + 2 * i, 6 + 2 * i, 100 * i, "up", 5) for i in range(2))
    )
    y, told = rng.integers(0, 2, 1500), rng.integers(0, 2, 1500)
    X = np.zeros((1500, 8))
    rows = np.arange(1500)
    for channel in range(2):
        X[rows, 2 * told + channel] = 2 * y - 1
        X[rows, 2 * (1 - told) + channel] = rng.choice([-1, 1], 1500)
        X[rows, 4 + 2 * told + channel] = 1
    X += 0.1 * rng.normal(size=X.shape)
    guided, alone = (
        MTMSDClassifier(layout.select_groups(lambda g, kinds=kinds: g.kind in kinds), epochs=20, learning_rate=3e-3)
        .fit(X[:1000, :width], y[:1000])
        .score(X[1000:, :width], y[1000:])
        for kinds, width in ((("plane", "mean"), 8), (("plane",), 4))
    )
    assert guided > 0.97
    assert alone < 0.9  # a quarter of the rows has two timesteps that say opposite things


def test_five_networks_vote():
    X, y = table()
    head = MTMSDClassifier(LAYOUT, **QUICK, members=5, vote="majority").fit(X, y)
    shares = head.predict_proba(X) * 5
    np.testing.assert_allclose(shares, shares.round())


def test_unused_columns_have_no_effect():
    X, y = table()
    head = MTMSDClassifier(LAYOUT, **QUICK).fit(X, y)
    moved = X.copy()
    moved[:, 34:] += 100
    np.testing.assert_array_equal(head.predict_proba(moved), head.predict_proba(X))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        pytest.param(
            (ColumnGroup("spectra", 0, 9),),
            "mtmsd needs planes, the table has spectra; build it with planes",
            id="none",
        ),
        pytest.param(
            (ColumnGroup("plane", 0, 5, 0, "up"), ColumnGroup("plane", 5, 9, 50, "down")),
            r"same at each timestep: t0 has up \(5\); t50 has down \(4\)",
            id="other layers",
        ),
        pytest.param(
            (
                ColumnGroup("plane", 0, 3, 0, "up"),
                ColumnGroup("plane", 3, 6, 50, "up"),
                ColumnGroup("mean", 6, 9, 50, "up", 5),
            ),
            "window means of planes at all timesteps or at none: planes are at t 0, 50, window means at 50",
            id="means of some",
        ),
    ],
)
def test_unsuitable_tables_are_refused(groups, message):
    layout = Layout(groups)
    with pytest.raises(HeadError, match=message):
        MTMSDClassifier(layout).fit(*table(layout))
