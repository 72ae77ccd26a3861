"""`GroupReducer` against scikit-learn's StandardScaler and PCA."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers.heads.group_reducer import GroupReducer
from classifiers.heads.registry import make_head
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError

LAYOUT = Layout(
    (
        ColumnGroup("plane", 0, 30, 50, "up"),
        ColumnGroup("spectra", 30, 50),
        ColumnGroup("plane", 50, 90, 100, "up"),
        ColumnGroup("position", 90, 92),
    )
)
PLANES = np.r_[0:30, 50:90]


def table(rows: int = 150, dtype: type = np.float64) -> np.ndarray:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.01, 1000, 92)
    return (rng.normal(size=(rows, 10)) @ rng.normal(size=(10, 92)) * scale + 5 * scale).astype(dtype)


@parametrize_with_checks([GroupReducer(), GroupReducer(spectral_components=1)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_a_reduced_group_equals_scaler_and_pca_up_to_one_factor():
    X, new = table(), table(40) * 1.1
    reducer = GroupReducer(LAYOUT, spectral_components=4, plane_components=6, spectral_weight=3, plane_weight=0.5)
    out = reducer.fit(X).transform(new)
    assert out.shape == (40, 6 + 4 + 2)
    for columns, part, weight in ((PLANES, slice(0, 6), 0.5), (np.r_[30:50], slice(6, 10), 3.0)):
        scaler = StandardScaler().fit(X[:, columns])
        pca = PCA(part.stop - part.start, svd_solver="full").fit(scaler.transform(X[:, columns]))
        fitted = pca.transform(scaler.transform(X[:, columns]))
        expected = pca.transform(scaler.transform(new[:, columns])) * weight / np.sqrt(fitted.var(axis=0).sum())
        np.testing.assert_allclose(out[:, part], expected, rtol=1e-9, atol=1e-9)
    positions = StandardScaler().fit(X[:, 90:]).transform(new[:, 90:]) * 3 / np.sqrt(2)
    np.testing.assert_allclose(out[:, 10:], positions)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("components", [None, 5])
def test_a_group_has_its_variance_whatever_its_width(dtype, components):
    X = table(dtype=dtype)
    out = GroupReducer(LAYOUT, plane_components=components).fit_transform(X)
    assert out.dtype == dtype
    planes, spectra, positions = np.split(out, [components or 70, (components or 70) + 20], axis=1)
    totals = [group.var(axis=0).sum() for group in (planes, spectra, positions)]
    np.testing.assert_allclose(totals, [0.25, 1, 1], rtol=1e-4)


def test_constant_columns_become_zero_and_no_group_becomes_nan():
    X = table(dtype=np.float32)
    X[:, 31] = np.float32(0.1)
    X[:, 90:] = 7
    out = GroupReducer(LAYOUT, plane_components=5).fit_transform(X)
    spectra, positions = out[:, 5:25], out[:, 25:]
    assert not spectra[:, 1].any()
    assert not positions.any()
    assert np.isfinite(out).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [2, 12, 60, 90])
def test_components_are_limited_to_half_the_rows_and_to_the_rank(rows, dtype):
    rng = np.random.default_rng(1)
    X = (1000 + rng.normal(size=(rows, 92)) * rng.uniform(1, 50, 92)).astype(dtype)
    reduced = GroupReducer(LAYOUT, spectral_components=400, plane_components=400).fit_transform(X)
    standard = StandardScaler().fit_transform(X.astype(np.float64))
    ranks = [np.linalg.matrix_rank(standard[:, columns], tol=1e-6) for columns in (PLANES, np.r_[30:50])]
    assert ranks == [min(rows - 1, 70), min(rows - 1, 20)]
    assert reduced.shape == (rows, sum(min(rank, rows // 2) for rank in ranks) + 2)
    assert (reduced.std(axis=0) > 1e-4).all()  # no axis without variance is left


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_components_are_limited_to_the_rank_of_the_columns(dtype):
    few = GroupReducer(LAYOUT, spectral_components=40, plane_components=40).fit(table(dtype=dtype))
    assert few.transform(table(3)).shape == (3, 10 + 10 + 2)  # the table has ten factors


def test_rows_of_weight_zero_allow_no_components():
    X = table(60)
    reducer = GroupReducer(LAYOUT, spectral_components=40, plane_components=40)
    weighed = reducer.fit(X, sample_weight=np.arange(60) < 8).transform(X)
    np.testing.assert_allclose(weighed, reducer.fit(X[:8]).transform(X), atol=1e-9)
    assert weighed.shape == (60, 4 + 4 + 2)


def test_each_context_family_is_a_group():
    names = ["mean-5", "mean-25", "profile-3", "profile-5", "reconstruction-3-mean-9", "reconstruction-5-mean-9"]
    groups = [ColumnGroup("context", 10 * k, 10 * k + 10, 0, name) for k, name in enumerate(names)]
    layout = Layout((*groups, ColumnGroup("plane", 60, 92, 50, "up")))
    X, new = table(), table(40) * 1.1
    reducer = GroupReducer(layout, context_components=3, plane_components=4, context_weight=2.0, plane_weight=0.5)
    out = reducer.fit(X).transform(new)
    assert out.shape == (40, 4 * 3 + 4)
    families = [np.r_[0:10], np.r_[10:20], np.r_[20:40], np.r_[40:60]]
    for number, columns in enumerate(families):
        pipeline = make_pipeline(StandardScaler(), PCA(3, svd_solver="full"))
        total = pipeline.fit_transform(X[:, columns]).var(axis=0).sum()
        expected = pipeline.transform(new[:, columns]) * 2 / np.sqrt(total)
        np.testing.assert_allclose(np.abs(out[:, 3 * number : 3 * number + 3]), np.abs(expected), rtol=1e-8, atol=1e-9)


def test_a_wide_group_is_reduced_alike_each_time_and_near_the_full_decomposition():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 20)) @ rng.normal(size=(20, 1500)) + 0.01 * rng.normal(size=(700, 1500))
    one, two = (GroupReducer(spectral_components=20).fit_transform(X) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    full = PCA(20, svd_solver="full").fit_transform(StandardScaler().fit_transform(X))
    full /= np.sqrt(full.var(axis=0).sum())
    np.testing.assert_allclose(np.abs(one), np.abs(full), atol=1e-4)


def test_invalid_parameters_are_refused():
    with pytest.raises(HeadError, match="91 columns but the layout describes 92"):
        GroupReducer(LAYOUT).fit(table()[:, :91])
    with pytest.raises(HeadError, match="reduced to 0 components"):
        GroupReducer(LAYOUT, plane_components=0).fit(table())


@pytest.mark.parametrize("components", [None, 5])
def test_a_row_of_weight_three_equals_three_rows(components):
    X = table(60)
    weight = np.arange(60) % 4
    reducer = GroupReducer(LAYOUT, spectral_components=components, plane_components=components)
    weighed = reducer.fit(X, sample_weight=weight).transform(X)
    repeated = reducer.fit(np.repeat(X, weight, axis=0)).transform(X)
    np.testing.assert_allclose(weighed, repeated, atol=1e-9)


def test_fits_on_one_sample_share_its_reduction():
    rng = np.random.default_rng(0)
    X, y, sample = rng.normal(size=(30, 6)), np.arange(30) % 3, rng.normal(size=(200, 6))

    def fitted(rows=X, unlabelled=sample, **params):
        return make_head("lda", **params).fit(rows, y, unlabelled=unlabelled).reducer_

    first = fitted()
    assert fitted(X + 1) is first and fitted(unlabelled=sample.copy()) is first
    changed = sample.copy()
    changed[-1, -1] += 1e-9
    others = [fitted(unlabelled=changed), fitted(unlabelled=sample.astype(np.float32)), fitted(spectral_components=3)]
    assert all(other is not first for other in others)
    np.testing.assert_array_equal(first.transform(X), GroupReducer(**first.get_params()).fit(sample).transform(X))


@pytest.mark.parametrize("scale", [1e-38, 1e-44])
def test_columns_that_float32_can_not_scale_are_refused(scale):
    """Subnormal values would become infinite in float32; the same rows in float64 are scaled like those near 1."""
    rows = np.random.default_rng(0).normal(10, 1, (60, 8))
    with pytest.raises(HeadError, match="too small for float32 numbers: multiply the values of the scene"):
        GroupReducer().fit((rows * scale).astype(np.float32))
    expected = GroupReducer().fit_transform(rows)
    np.testing.assert_allclose(GroupReducer().fit_transform(rows * scale), expected, rtol=1e-6, atol=1e-9)
