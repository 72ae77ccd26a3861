"""DSTC: clustering, class proportions and the size of the transformer against slow transcriptions of the published formulas."""

from __future__ import annotations

import numpy as np
import pytest

from classifiers.fit import fit_model
from classifiers.heads import supertoken
from classifiers.heads.supertoken import SupertokenClassifier, token_network
from classifiers.heads.supertokens import Tokens, class_proportions, cluster
from classifiers.heads.torch.transformer import transformer_encoder
from classifiers.layout import ColumnGroup, Layout
from classifiers.splits import parse_split
from classifiers.table import PixelTable
from hsifeat.errors import HeadError
from tests.helpers.networks import softmax

SMALL = {"depth": 1, "width": 32, "heads": 2, "head_width": 8, "mlp_width": 32, "dropout": 0.0}


def slow_tokens(v: np.ndarray, g: np.ndarray, side: int, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Cluster one window, pixel by pixel, with two iterations."""
    cuts = [len(part) for part in np.array_split(np.arange(side), grid)]
    cells = np.repeat(np.arange(grid), cuts)
    cell_of = [(cells[r], cells[c]) for r in range(side) for c in range(side)]
    tokens = [(r, c) for r in range(grid) for c in range(grid)]
    means = np.array([np.mean([v[p] for p in range(side**2) if cell_of[p] == token], axis=0) for token in tokens])
    centres = means.copy()
    for iteration in (0, 1):
        similarity = np.zeros((side**2, grid**2))
        for p in range(side**2):
            near = [k for k, t in enumerate(tokens) if max(abs(t[0] - cell_of[p][0]), abs(t[1] - cell_of[p][1])) <= 1]
            similarity[p, near] = softmax(np.array([-np.sum((v[p] + g[p] - centres[k]) ** 2) for k in near]))
        if iteration == 0:
            centres = similarity.T @ v / similarity.sum(axis=0)[:, None]
    return (similarity.T @ v + means) / (similarity.sum(axis=0)[:, None] + 1), similarity.argmax(axis=1)


@pytest.mark.parametrize(("side", "grid"), [(5, 2), (9, 3), (8, 4), (1, 1)])
def test_clustering_equals_the_formula(side, grid):
    rng = np.random.default_rng(0)
    v, g = rng.normal(size=(3, side**2, 4)), 0.3 * rng.normal(size=(3, side**2, 4))
    found = cluster(v, g, grid)
    for window in range(3):
        values, assignment = slow_tokens(v[window], g[window], side, grid)
        np.testing.assert_allclose(found.values[window], values, atol=1e-12)
        np.testing.assert_array_equal(found.assignment[window], assignment)


def test_class_proportions_count_training_pixels_of_the_token():
    rng = np.random.default_rng(1)
    positions = np.argwhere(rng.random((12, 10)) < 0.4) + np.array([7, 3])
    codes = rng.integers(3, size=len(positions))
    tokens = Tokens(np.empty(0), rng.integers(4, size=(len(positions), 25)))
    found = class_proportions(tokens, positions, codes, 3)
    where = {tuple(position): code for position, code in zip(positions.tolist(), codes, strict=True)}
    for row, (r, c) in enumerate(positions.tolist()):
        counts, middle = np.zeros(3), tokens.assignment[row, 12]
        for pixel in range(25):
            code = where.get((r + pixel // 5 - 2, c + pixel % 5 - 2))
            if code is not None and tokens.assignment[row, pixel] == middle:
                counts[code] += 1
        np.testing.assert_allclose(found[row], counts / counts.sum(), atol=1e-7)


def test_the_published_size():
    network = token_network(
        1024, 96, 24, transformer_encoder(256, depth=4, heads=4, head_width=64, mlp_width=1024, dropout=0.1), 256
    )
    layer = 2 * 256 + 256 * 3 * 256 + (256 * 256 + 256) + 2 * 256 + (256 * 1024 + 1024) + (1024 * 256 + 256)
    embedding = (96 * 256 + 256) + 2 * 256 + 256 + 1025 * 256
    assert sum(p.numel() for p in network.parameters()) == 4 * layer + embedding + 2 * 256 + (256 * 24 + 24)


def windows(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return spectral patches 5x5 of 4 bands whose classes differ only in the sign of a band step around the centre."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    cubes = rng.normal(size=(rows, 5, 5, 4))
    cubes[:, 1:4, 1:4, 2] += 3 * y[:, None, None]
    return cubes.reshape(rows, -1), y


def test_neighbours_of_the_same_token_tell_the_class():
    layout = Layout((ColumnGroup("patch", 0, 100, size=5),))
    X, y = windows(200)
    positions = np.stack([np.arange(200) * 9, np.zeros(200, int)], axis=1)  # windows that do not overlap
    head = SupertokenClassifier(layout, **SMALL, epochs=10, learning_rate=3e-3).fit(X, y, positions=positions)
    assert head.score(*windows(200, seed=1)) > 0.8
    alone = SupertokenClassifier(layout, **SMALL, epochs=10, learning_rate=3e-3).fit(X, y)
    np.testing.assert_array_equal(alone.predict_proba(X), head.predict_proba(X))


def test_labels_of_neighbours_soften_the_labels():
    layout = Layout((ColumnGroup("patch", 0, 100, size=5),))
    X, y = windows(200)
    X[:] = X[0]  # all windows are the same, so classes can't be separated
    grid = np.argwhere(np.ones((20, 10), bool))
    soft = SupertokenClassifier(layout, **SMALL, epochs=5).fit(X, y, positions=grid)
    hard = SupertokenClassifier(layout, **SMALL, epochs=5).fit(X, y)
    assert np.abs(soft.predict_proba(X) - hard.predict_proba(X)).max() > 1e-6
    with pytest.raises(HeadError, match=r"positions are the row and column of each of the 200 rows, as integers"):
        SupertokenClassifier(layout, **SMALL).fit(X, y, positions=grid[:5])


def test_the_windows_of_training_rows_are_clustered_once(monkeypatch):
    rows = []
    monkeypatch.setattr(
        supertoken, "cluster", lambda features, *options: rows.append(len(features)) or cluster(features, *options)
    )
    X, y = windows(300)
    layout, positions = Layout((ColumnGroup("patch", 0, 100, size=5),)), np.argwhere(np.ones((20, 15), bool))
    SupertokenClassifier(layout, **SMALL, epochs=1).fit(X, y, positions=positions)
    assert sum(rows) == 300


def test_a_fit_of_a_store_passes_the_positions(features):
    params = {**SMALL, "epochs": 1, "grid": 1}
    model = fit_model(features, "supertoken", inputs="spectral-patches:9", split="random:0.2", params=params)
    table = PixelTable.from_store(features, planes=[], spectra=False, spectral_patch=9)
    train = table[parse_split("random:0.2").draw(table.labels, 0).train[table.coordinates]]
    head = SupertokenClassifier(table.layout, **params)
    expected = head.fit(train.X, train.y, positions=train.positions).predict_proba(table.X)
    np.testing.assert_array_equal(model.head.predict_proba(table.X), expected)
    assert np.abs(head.fit(train.X, train.y).predict_proba(table.X) - expected).max() > 1e-6


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param((ColumnGroup("plane", 0, 9, 0, "up"),), id="no spectra"),
        pytest.param((ColumnGroup("patch", 0, 9, size=3), ColumnGroup("patch", 9, 34, 0, "up", 5)), id="two sides"),
    ],
)
def test_unsuitable_tables_are_refused(groups):
    layout = Layout(groups)
    with pytest.raises(HeadError, match="supertoken needs spectral patches.* build it with spectral-patches:9"):
        SupertokenClassifier(layout).fit(np.random.default_rng(0).normal(size=(20, layout.width)), np.arange(20) % 2)
