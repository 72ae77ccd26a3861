"""FiLM against a slow transcription of its formula, and at initialisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from classifiers.heads.film import FiLMClassifier
from classifiers.heads.torch.film_networks import film_network, gated_network
from classifiers.heads.torch.losses import MixUp
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError

LAYOUT = Layout(
    (
        ColumnGroup("plane", 0, 6, 50, "up"),
        ColumnGroup("spectra", 6, 16),
        ColumnGroup("position", 16, 18),
        ColumnGroup("plane", 18, 22, 100, "up"),
    )
)


def table(rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 3
    return rng.normal(size=(rows, 22)) + y[:, None], y


def batch_norm(x: np.ndarray, weights: dict, name: str) -> np.ndarray:
    w = {k: weights[f"{name}.{k}"].astype(np.float64) for k in ("weight", "bias", "running_mean", "running_var")}
    shape = (-1, *[1] * (x.ndim - 1))  # one row has channels first
    w = {k: v.reshape(shape) for k, v in w.items()}
    return (x - w["running_mean"]) / np.sqrt(w["running_var"] + 1e-5) * w["weight"] + w["bias"]


def linear(x: np.ndarray, weights: dict, name: str) -> np.ndarray:
    return weights[f"{name}.weight"].astype(np.float64) @ x + weights[f"{name}.bias"]


def convolve(x: np.ndarray, weights: dict, name: str) -> np.ndarray:
    kernel, bias = weights[f"{name}.weight"].astype(np.float64), weights[f"{name}.bias"]
    padded = np.pad(x, ((0, 0), (1, 1)))
    out = np.zeros((len(kernel), x.shape[1]))
    for o in range(len(kernel)):
        for at in range(x.shape[1]):
            out[o, at] = (kernel[o] * padded[:, at : at + 3]).sum() + bias[o]
    return out


def pool(x: np.ndarray) -> np.ndarray:
    return np.array([[max(c[2 * i], c[2 * i + 1]) for i in range(len(c) // 2)] for c in x])


def encode(s: np.ndarray, weights: dict, encoder: str) -> np.ndarray:
    if encoder == "mlp":
        return batch_norm(np.maximum(linear(s, weights, "encoder.0"), 0), weights, "encoder.2")
    x = pool(np.maximum(batch_norm(convolve(s[None], weights, "encoder.2"), weights, "encoder.3"), 0))
    return pool(np.maximum(batch_norm(convolve(x, weights, "encoder.6"), weights, "encoder.7"), 0)).ravel()


@pytest.mark.parametrize("encoder", ["mlp", "conv"])
def test_probabilities_equal_the_formula(encoder):
    X, y = table()
    head = FiLMClassifier(LAYOUT, encoder=encoder, plane_components=None, members=1, hidden=(8, 5), epochs=6).fit(X, y)
    weights = head.weights_
    spectra, planes = np.r_[6:16], np.r_[0:6, 18:22]
    expected = []
    for row in (X - X.mean(axis=0)) / X.std(axis=0):
        regressed = linear(encode(row[spectra], weights, encoder), weights, "regressor")
        gamma, beta = 1 + regressed[:10], regressed[10:]
        fhat = np.array([gamma[i] * row[planes][i] + beta[i] for i in range(10)])
        x = batch_norm(np.maximum(linear(fhat, weights, "classifier.0"), 0), weights, "classifier.2")
        x = batch_norm(np.maximum(linear(x, weights, "classifier.3"), 0), weights, "classifier.5")
        scores = np.exp(linear(x, weights, "classifier.6"))
        expected.append(scores / scores.sum())
    np.testing.assert_allclose(head.predict_proba(X), expected, rtol=1e-8)
    assert np.abs(weights["regressor.weight"]).max() > 0  # it left the identity, so the formula was put to use


@pytest.mark.parametrize("encoder", ["mlp", "conv"])
@pytest.mark.parametrize("bands", [1, 3, 200])
def test_training_starts_at_the_identity_bit_for_bit(encoder, bands):
    network = film_network(encoder, bands, 40, (8, 5), 3)
    s, f = torch.randn(7, bands), torch.randn(7, 40)
    assert torch.equal(network.modulate(s, f), f)


def test_planes_are_modulated_and_positions_are_unused():
    X, y = table()
    head = FiLMClassifier(LAYOUT, epochs=5).fit(X, y)
    before = head.predict_proba(X)
    moved = X.copy()
    moved[:, 16:18] += 100
    np.testing.assert_array_equal(head.predict_proba(moved), before)
    for columns in (np.r_[6:16], np.r_[0:6], np.r_[18:22]):
        moved = X.copy()
        moved[:, columns] += 1
        assert np.abs(head.predict_proba(moved) - before).max() > 1e-4


@pytest.mark.parametrize(
    ("group", "found"),
    [
        pytest.param(ColumnGroup("spectra", 0, 22), "spectra", id="no planes"),
        pytest.param(ColumnGroup("plane", 0, 22, 50, "up"), "t50/up", id="no spectra"),
    ],
)
def test_a_table_without_spectra_or_planes_is_refused(group, found):
    with pytest.raises(HeadError, match=f"the table has {found}: build it with an input such as spectra.planes"):
        FiLMClassifier(Layout((group,))).fit(*table())


def test_an_unknown_encoder():
    with pytest.raises(HeadError, match="encoder of the head FiLMClassifier is 'rnn'; allowed: mlp, or conv"):
        FiLMClassifier(LAYOUT, encoder="rnn").fit(*table())


def gated(s: np.ndarray, f: np.ndarray, weights: dict, encoder: str) -> np.ndarray:
    p = batch_norm(linear(f, weights, "project_features.0"), weights, "project_features.1")
    q = batch_norm(linear(encode(s, weights, encoder), weights, "project_spectrum.0"), weights, "project_spectrum.1")
    alpha, beta = (weights[name].astype(np.float64) for name in ("alpha", "beta"))
    return np.array([p[i] / (1 + np.exp(-alpha[i])) + q[i] / (1 + np.exp(-beta[i])) for i in range(256)])


@pytest.mark.parametrize("encoder", ["mlp", "conv"])
def test_the_gated_sum_equals_its_formula(encoder):
    X, y = table()
    head = FiLMClassifier(LAYOUT, fusion="gated", encoder=encoder, plane_components=None, members=1, epochs=6).fit(X, y)
    weights = head.weights_
    expected = []
    for row in (X - X.mean(axis=0)) / X.std(axis=0):
        z = gated(row[np.r_[6:16]], row[np.r_[0:6, 18:22]], weights, encoder)
        x = np.maximum(batch_norm(linear(z, weights, "classifier.0"), weights, "classifier.1"), 0)
        assert x.shape == (128,)
        scores = np.exp(linear(x, weights, "classifier.3"))
        expected.append(scores / scores.sum())
    np.testing.assert_allclose(head.predict_proba(X), expected, rtol=1e-7)
    assert np.abs(weights["alpha"] - 1).max() > 0  # the gates moved


def test_the_gates_start_at_one():
    network = gated_network("mlp", 5, 7, (128,), 3)
    assert network.alpha.tolist() == network.beta.tolist() == [1.0] * 256


@pytest.mark.parametrize("fusion", ["film", "gated"])
def test_published_options_change_the_fit_and_still_learn(fusion):
    X, y = table(300)
    plain, *others = (
        FiLMClassifier(LAYOUT, fusion=fusion, epochs=20, members=1, **option).fit(X, y)
        for option in ({}, {"mixup_spectra": 0.2}, {"mixup_planes": 0.5}, {"focal_gamma": 1.0})
    )
    for changed in others:
        assert np.abs(plain.predict_proba(X) - changed.predict_proba(X)).max() > 1e-3
        assert changed.score(X, y) > 0.9


def test_options_reach_the_training_loop_in_the_order_of_the_inputs():
    head = FiLMClassifier(LAYOUT, mixup_spectra=0.1, mixup_planes=0.4, mixup_plane_share=0.2, focal_gamma=1.0)
    training = head._training()
    assert training.mixup == MixUp(strengths=(0.1, 0.4), shares=(0.8, 0.2))
    assert training.focal_gamma == 1
    X, y = table()
    spectra, planes = head.set_params(plane_components=5, epochs=1).fit(X, y)._inputs(X)
    assert (spectra.shape[1], planes.shape[1]) == (10, 5)
    assert FiLMClassifier(LAYOUT)._training().mixup is None


def test_an_unknown_fusion():
    with pytest.raises(HeadError, match="fusion of the head FiLMClassifier is 'sum'; allowed: film, or gated"):
        FiLMClassifier(LAYOUT, fusion="sum").fit(*table())


@pytest.mark.parametrize("layers", [("mean-5", "profile-3"), ("mean-5", "profile-3", "up")])
def test_context_is_modulated_beside_planes(layers):
    kinds = {"up": "plane"}
    groups = [
        ColumnGroup("spectra", 0, 8),
        *(ColumnGroup(kinds.get(name, "context"), 8 + 4 * i, 12 + 4 * i, 0, name) for i, name in enumerate(layers)),
    ]
    layout = Layout(tuple(groups))
    X, y = table()
    X = X[:, : layout.width]
    head = FiLMClassifier(layout, context_components=3, plane_components=2, members=1, epochs=3).fit(X, y)
    s, f = head._inputs(X)
    assert (s.shape[1], f.shape[1]) == (8, 6 + 2 * ("up" in layers))
    np.testing.assert_allclose([s.var(axis=0).mean(), f.var(axis=0).mean()], 1, rtol=1e-5)
    before = head.predict_proba(X)
    for group in groups:
        moved = X.copy()
        moved[:, group.start : group.stop] += 1
        assert np.abs(head.predict_proba(moved) - before).max() > 1e-4


def test_the_default_is_a_mean_of_networks():
    X, y = table()
    head = FiLMClassifier(LAYOUT, epochs=3, random_state=1).fit(X, y)
    assert len(head._votes(X)) == 5
    np.testing.assert_allclose(head.predict_proba(X), head._votes(X).mean(axis=0))
