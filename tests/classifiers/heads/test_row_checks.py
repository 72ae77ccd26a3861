"""Tables that heads refuse, and what the errors say."""

import numpy as np
import pytest

from classifiers.heads.registry import make_head
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError
from tests.helpers.heads import toy


@pytest.mark.parametrize(
    ("column", "said", "unsaid"),
    [(2, "`nodata=-1.36112944e+37`", "computed"), (5, "around the pixel (spectra mean 5x5)", "nodata=-1.36")],
)
def test_a_mean_of_no_data_values_is_not_called_the_no_data_value(column, said, unsaid):
    layout = Layout((ColumnGroup("spectra", 0, 3), ColumnGroup("mean", 3, 6, size=5)))
    rows = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    rows[7, column] = np.float32(-3.4028235e38) / 25
    with pytest.raises(HeadError, match=f"in row 7 and column {column}") as error:
        make_head("lda", layout=layout).fit(rows, np.arange(20) % 2)
    assert said in str(error.value) and unsaid not in str(error.value)


def test_masked_values_are_refused():
    X, y = toy()
    weight = np.where(y == 3, 2.0, 1.0)
    head = make_head("svm")
    for name, arguments in (
        ("X", {"X": np.ma.masked_less(X, -1), "y": y}),
        ("y", {"X": X, "y": np.ma.masked_equal(y, 3)}),
        ("sample_weight", {"X": X, "y": y, "sample_weight": np.ma.masked_equal(weight, 2)}),
        ("X", {"X": X, "y": y, "unlabelled": np.ma.masked_less(X, -1)}),
    ):
        with pytest.raises(HeadError, match=f"^{name} has masked values, which heads do not leave out"):
            head.fit(**arguments)
    np.testing.assert_array_equal(
        head.fit(np.ma.array(X), y).predict(np.ma.array(X)), make_head("svm").fit(X, y).predict(X)
    )
