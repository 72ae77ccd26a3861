"""Linear discriminant analysis against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from classifiers.heads.column_scale import whitening_gain
from classifiers.heads.registry import make_head
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError
from tests.helpers.heads import LAYOUT, toy


def test_probabilities_are_those_of_gaussians_with_a_shrunk_pooled_covariance():
    """With few rows for the number of columns, the shrinkage has a large effect. A single group of columns is not reduced."""
    X, y = toy(90, apart=0.3)
    new, _ = toy(50, seed=1, apart=0.3)
    layout = Layout((ColumnGroup("spectra", 0, LAYOUT.width),))
    head = make_head("lda", layout, spectral_components=None).fit(X, y)
    rows = X.astype(np.float64)
    means = np.stack([rows[y == c].mean(axis=0) for c in range(4)])
    residuals = rows - means[y]
    share = OAS(assume_centered=True).fit(residuals / residuals.std(axis=0)).shrinkage_
    covariance = residuals.T @ residuals / len(rows)
    covariance = (1 - share) * covariance + share * np.diag(np.diag(covariance))
    density = [multivariate_normal(mean, covariance).logpdf(new) for mean in means]
    priors = np.log(np.bincount(y) / len(y))
    expected = softmax(np.array(density).T + priors, axis=1)
    assert 0.05 < head.shrinkage_ < 1
    np.testing.assert_allclose(head.predict_proba(new), expected, atol=1e-3)


def test_a_column_without_variance_in_training_has_no_effect():
    """Centred rows have rank n - 1: the last of n principal components is rounding error in training, but not elsewhere."""
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(20, 5)).astype(np.float32)
    columns[:, 4] *= 1e-8
    for share in (0.0, 0.5, 1.0):
        gain = whitening_gain(columns, share)
        assert gain[4] == 0
        assert (gain[:4] > 0).all()
        assert (columns * gain).var(axis=0).sum() == pytest.approx(columns.var(axis=0).sum(), rel=1e-5)


def test_lda_needs_more_rows_than_classes():
    X, _ = toy(4)
    with pytest.raises(
        HeadError, match="needs more rows than classes; found 4 rows of 4 classes: give a class two rows"
    ):
        make_head("lda", LAYOUT).fit(X, np.arange(4))


def test_an_outlier_of_the_scene_is_named_as_a_cause_of_equal_rows():
    """The reduction of the scene standardises all rows to equal values, because one pixel has all of the variance."""
    X, y = np.random.default_rng(0).uniform(size=(20, 6)).astype(np.float32), np.repeat(np.arange(4), 5)
    sample = np.concatenate([X, np.full((1, 6), -1e15, np.float32)])
    with pytest.raises(HeadError, match="undeclared no-data value, declare it with `nodata`"):
        make_head("lda").fit(X, y, unlabelled=sample)


def test_equal_rows_within_each_class_are_refused():
    """Without a covariance, the solver of scikit-learn gives all rows the first class."""
    means, y = np.random.default_rng(0).uniform(size=(4, 6)).astype(np.float32), np.repeat(np.arange(4), 5)
    with pytest.raises(
        HeadError, match="have equal features, so there is no covariance within classes: label other pixels"
    ):
        make_head("lda").fit(means[y], y)
    rows = means[y]
    rows[0] += 1e-3
    np.testing.assert_array_equal(make_head("lda").fit(rows, y).predict(means), np.arange(4))


def test_a_class_of_a_single_row_gives_the_values_of_scikit_learn_without_its_warning(monkeypatch):
    """No warning is given, so none has to be ignored: filters of warnings apply to all threads."""
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(21, 6)), np.repeat([1, 2, 3, 4], [10, 1, 9, 1])
    with monkeypatch.context() as patched:
        patched.setattr("warnings.warn", lambda message, *_, **__: pytest.fail(str(message)))
        head = make_head("lda", shrinkage=0.3, spectral_components=None).fit(X, y)
    rows, codes = head._reduced(X), np.unique(y, return_inverse=True)[1]
    with pytest.warns(UserWarning, match="Only one sample available"):
        plain = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(rows, codes)
    for name in ("means_", "covariance_", "priors_", "coef_", "intercept_"):
        assert np.array_equal(getattr(head.classifier_, name), getattr(plain, name)), name
