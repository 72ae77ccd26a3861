"""DiffCRN: addition over timesteps and attention fusion against slow transcriptions of the formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from classifiers.heads.diffcrn import DiffCRNClassifier, attention_fusion_network
from classifiers.heads.mixing import plot_mixing
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError
from tests.helpers.networks import classify, linear, softmax

PATCHES = Layout(
    (
        ColumnGroup("patch", 0, 27, 50, "up", 3),
        ColumnGroup("spectra", 27, 31),
        ColumnGroup("patch", 31, 49, 50, "down", 3),
        ColumnGroup("plane", 49, 52, 50, "up"),
        ColumnGroup("patch", 52, 79, 100, "up", 3),
        ColumnGroup("position", 79, 81),
    )
)
PLANES = Layout(
    (
        ColumnGroup("plane", 0, 5, 50, "up"),
        ColumnGroup("mean", 5, 9, size=5),
        ColumnGroup("plane", 9, 14, 100, "up"),
        ColumnGroup("plane", 14, 17, 100, "down"),
    )
)
QUICK = {"components": None, "channels": 6, "hidden": (8, 5), "epochs": 6}


def table(layout: Layout, rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 3
    return rng.normal(size=(rows, layout.width)) + y[:, None] * rng.normal(size=layout.width), y


def fused(maps: list[dict[int, np.ndarray]], times: list[int], spectrum: np.ndarray, w: dict) -> np.ndarray:
    """Transcribe the docstring for one row: of each layer, maps (s * s, k) by timestep."""
    pixels = len(next(iter(maps[0].values())))
    shares = [softmax(w[f"addition.{at}"].astype(np.float64)) for at in range(len(maps))]
    F = np.zeros((pixels, 6))
    H = {t: np.zeros((pixels, 6)) for t in times}
    for at, (layer, share) in enumerate(zip(maps, shares, strict=True)):
        added = sum(s * A for s, A in zip(share, layer.values(), strict=True))
        for p in range(pixels):
            F[p] += linear(added[p], w, f"project.{at}")
            for t, A in layer.items():
                H[t][p] += linear(A[p], w, f"project.{at}")
    centre = F[pixels // 2]
    query = linear(centre, w, "query")
    likeness, values = [], []
    for i, t in enumerate(times):
        for p in range(pixels):
            key = linear(H[t][p], w, "key") + w["time_offset"][i, 0] + w["pixel_offset"][p]
            likeness.append(query @ key / np.sqrt(6))
            values.append(linear(H[t][p], w, "value"))
    whole = centre + softmax(np.array(likeness)) @ np.array(values)
    return whole / (1 + np.exp(-linear(np.concatenate([whole, spectrum]), w, "gate")))


def scaled(X: np.ndarray, group: ColumnGroup, pixels: int) -> np.ndarray:
    maps = X[:, group.start : group.stop].reshape(len(X), pixels, -1)
    return (maps - maps.mean(axis=(0, 1))) / maps.std(axis=(0, 1))


@pytest.mark.parametrize(
    ("layout", "layers", "spectral", "pixels"),
    [
        pytest.param(PATCHES, [[0, 4], [2]], 1, 9, id="patches"),
        pytest.param(PLANES, [[0, 2], [3]], 1, 1, id="single pixels"),
    ],
)
def test_probabilities_equal_the_formula(layout, layers, spectral, pixels):
    X, y = table(layout)
    head = DiffCRNClassifier(layout, **QUICK).fit(X, y)
    spectra = scaled(X, layout.groups[spectral], 1)[:, 0]
    maps = [{layout.groups[at].t: scaled(X, layout.groups[at], pixels) for at in layer} for layer in layers]
    expected = []
    for row in range(len(X)):
        of_row = [{t: A[row] for t, A in layer.items()} for layer in maps]
        whole = fused(of_row, [50, 100], spectra[row], head.weights_)
        expected.append(classify(np.concatenate([whole, spectra[row]]), head.weights_))
    np.testing.assert_allclose(head.predict_proba(X), expected, rtol=1e-7)
    assert np.ptp(head.weights_["addition.0"]) > 0  # the shares left equality, so the formula was put to use


def test_addition_is_the_weighted_sum_over_timesteps_layer_by_layer():
    layout = Layout(tuple(ColumnGroup("patch", 18 * i, 18 * i + 18, 50 * i, "up", 3) for i in range(4)))
    network = attention_fusion_network(layout, 5, (4,), 2)
    torch.nn.init.normal_(network.addition[0])
    x = torch.randn(7, layout.width)
    added, apart = (part.detach().numpy() for part in network.add(x))
    share = softmax(network.addition[0].detach().numpy().astype(np.float64))
    maps = x.numpy().reshape(7, 4, 9, 2)
    weight, bias = (p.detach().numpy() for p in (network.project[0].weight, network.project[0].bias))
    sums = sum(share[t] * maps[:, t] for t in range(4))
    np.testing.assert_allclose(added, sums @ weight.T + bias, atol=1e-5)
    np.testing.assert_allclose(apart, maps @ weight.T + bias, atol=1e-5)


def test_a_neighbour_at_one_timestep_can_tell_the_class():
    rng = np.random.default_rng(0)
    layout = Layout(tuple(ColumnGroup("patch", 36 * i, 36 * i + 36, 50 * i, "up", 3) for i in range(2)))
    X, y = rng.normal(size=(900, 72)), np.arange(900) % 2
    X[:, 36:40] += 4 * y[:, None] - 2  # the first pixel of the window, at t 50
    head = DiffCRNClassifier(layout, channels=16, epochs=20).fit(X[:600], y[:600])
    assert head.score(X[600:], y[600:]) > 0.95


def test_learned_shares_are_readable():
    head = DiffCRNClassifier(PATCHES, **QUICK).fit(*table(PATCHES))
    frame = head.mixing_frame()
    assert frame.columns.tolist() == ["up patch 3x3", "down patch 3x3"]
    np.testing.assert_allclose(frame.sum(), 1)
    assert head.mixing_weights_["t50/down patch 3x3"] == 1
    assert plot_mixing(head).axes[0].get_xlabel() == "layer"


def test_unused_columns_have_no_effect():
    X, y = table(PATCHES)
    head = DiffCRNClassifier(PATCHES, **QUICK).fit(X, y)
    moved = X.copy()
    moved[:, 49:52] += 100
    moved[:, 79:81] -= 100
    np.testing.assert_array_equal(head.predict_proba(moved), head.predict_proba(X))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        pytest.param(
            (ColumnGroup("spectra", 0, 9),),
            "diffcrn needs planes, the table has spectra; build it with planes",
            id="none",
        ),
        pytest.param(
            (ColumnGroup("patch", 0, 9, 0, "up", 3), ColumnGroup("patch", 9, 34, 0, "down", 5)),
            "diffcrn takes patches of one size; the table has sides of 3 and 5 pixels",
            id="two sizes",
        ),
    ],
)
def test_unsuitable_tables_are_refused(groups, message):
    layout = Layout(groups)
    with pytest.raises(HeadError, match=message):
        DiffCRNClassifier(layout).fit(*table(layout))
