"""`LayerReducer` against scikit-learn's StandardScaler and PCA."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers.heads.layer_reducer import LayerReducer
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError

LAYOUT = Layout(
    (
        ColumnGroup("plane", 0, 12, 50, "up"),
        ColumnGroup("spectra", 12, 20),
        ColumnGroup("plane", 20, 32, 100, "up"),
        ColumnGroup("position", 32, 34),
        ColumnGroup("patch", 34, 34 + 45, 50, "up", 3),
    )
)


def table(rows: int = 150, dtype: type = np.float64) -> np.ndarray:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.01, 1000, LAYOUT.width)
    latent = rng.normal(size=(rows, 30)) * np.linspace(3, 0.3, 30)
    return (latent @ rng.normal(size=(30, LAYOUT.width)) * scale + 5 * scale).astype(dtype)


def same_up_to_one_factor_and_signs(found: np.ndarray, expected: np.ndarray) -> bool:
    signs = np.sign((found * expected).sum(axis=0))
    factor = found.std() / expected.std()
    return np.allclose(found, expected * signs * factor, atol=1e-6)


@parametrize_with_checks([LayerReducer(), LayerReducer(components=1), LayerReducer(components=None)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_timesteps_share_the_principal_axes_of_all_of_them():
    X, new = table(), table(40) * 1.1
    reducer = LayerReducer(LAYOUT, components=4, spectral_components=3).fit(X)
    out = reducer.transform(new)
    assert [(str(g), g.start, g.stop) for g in reducer.layout_] == [
        ("t50/up", 0, 4),
        ("spectra", 4, 7),
        ("t100/up", 7, 11),
        ("t50/up patch 3x3", 11, 47),
    ]
    scalers = [StandardScaler().fit(X[:, part]) for part in (slice(12), slice(20, 32))]
    stacked = np.concatenate([s.transform(X[:, p]) for s, p in zip(scalers, (slice(12), slice(20, 32)), strict=True)])
    pca = PCA(4, svd_solver="full").fit(stacked)
    expected = [pca.transform(s.transform(new[:, p])) for s, p in zip(scalers, (slice(12), slice(20, 32)), strict=True)]
    assert same_up_to_one_factor_and_signs(np.r_[out[:, :4], out[:, 7:11]], np.concatenate(expected))
    fitted = reducer.transform(X)
    np.testing.assert_allclose(np.r_[fitted[:, :4], fitted[:, 7:11]].var(axis=0).mean(), 1)


def test_all_pixels_of_a_patch_channel_are_scaled_alike():
    X = table()
    out = LayerReducer(LAYOUT, components=2).fit(X).transform(X)[:, -18:].reshape(150, 9, 2)
    channels = X[:, 34:].reshape(150 * 9, 5)
    expected = PCA(2, svd_solver="full").fit_transform(StandardScaler().fit_transform(channels))
    assert same_up_to_one_factor_and_signs(out.reshape(150 * 9, 2), expected)


def test_without_reduction_columns_are_standardised():
    X = table()
    out = LayerReducer(LAYOUT, components=None).fit(X).transform(X)
    np.testing.assert_allclose(out[:, :32], StandardScaler().fit_transform(X[:, :32]), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_channels_and_few_rows_do_not_amplify_noise(dtype):
    """An axis along which the fitted rows do not vary would carry whatever other rows have there."""
    X = table(6, dtype)
    X[:, :5] = 0.1
    reducer = LayerReducer(LAYOUT, components=50).fit(X)
    new = reducer.transform(table(40, dtype))
    assert np.isfinite(new).all()
    assert np.abs(new).max() < 100 * np.abs(reducer.transform(X)).max()
    assert reducer.layout_.groups[0].width <= 2 * 5
    constant = LayerReducer(components=3).fit(np.full((5, 4), 0.3, dtype)).transform(np.ones((2, 4), dtype))
    np.testing.assert_array_equal(constant, 0)


def test_a_constant_pixel_of_a_patch_has_no_effect():
    X, new = table(), table() * 1.1
    X[:, 34:39] = 3
    reducer = LayerReducer(LAYOUT).fit(X)
    moved = new.copy()
    moved[:, 34:39] = 1e6
    np.testing.assert_array_equal(reducer.transform(moved), reducer.transform(new))


def test_invalid_reductions_are_refused():
    with pytest.raises(HeadError, match="a layer can't be reduced to 0 components; give 1 or more, or None"):
        LayerReducer(LAYOUT, components=0).fit(table())
    uneven = Layout((ColumnGroup("plane", 0, 12, 50, "up"), ColumnGroup("plane", 12, 20, 100, "up")))
    with pytest.raises(HeadError, match="t100/up has 8 columns and t50/up has 12; a layer must have the same"):
        LayerReducer(uneven).fit(table()[:, :20])
