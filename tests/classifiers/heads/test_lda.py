"""Linear discriminant analysis against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

from classifiers.heads.registry import make_head
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError
from tests.helpers.heads import LAYOUT, toy


def test_lda_equals_that_of_scikit_learn_with_shrinkage():
    """Few rows beside the columns, where the shrinkage decides; one group of columns needs no reducing."""
    X, y = toy(90, apart=0.3)
    new, _ = toy(50, seed=1, apart=0.3)
    layout = Layout((ColumnGroup("spectra", 0, LAYOUT.width),))
    head = make_head("lda", layout).fit(X, y)
    scaler = StandardScaler().fit(X.astype(np.float64))
    plain = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    plain.fit(scaler.transform(X) / np.sqrt(LAYOUT.width), y)
    expected = plain.predict_proba(scaler.transform(new) / np.sqrt(LAYOUT.width))
    np.testing.assert_allclose(head.predict_proba(new), expected, atol=1e-4)


def test_lda_needs_more_rows_than_classes():
    X, _ = toy(4)
    with pytest.raises(
        HeadError, match="needs more rows than classes; found 4 rows of 4 classes: give a class two rows"
    ):
        make_head("lda", LAYOUT).fit(X, np.arange(4))
