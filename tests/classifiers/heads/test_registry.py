"""Heads by name: built-in ones are registered, and unknown names, parameters and values are refused."""

from __future__ import annotations

import pytest

from classifiers.heads.parameters import _hints
from classifiers.heads.registry import as_head_params, head_class, head_names, make_head
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError
from tests.helpers.heads import NAMES, quick, toy


def test_the_built_in_heads_are_registered():
    assert {"film", "lda", "lightgbm", "logistic", "mlp", "random-forest", "svm"} <= set(NAMES)


def test_unknown_heads_parameters_and_values_are_refused():
    with pytest.raises(HeadError, match="no head is named 'flim'; nearest: film"):
        make_head("flim")
    with pytest.raises(
        HeadError, match="head 'svm' has no parameter 'epochs'; allowed: C, class_weight, context_components"
    ):
        make_head("svm", epochs=3)
    with pytest.raises(HeadError, match="no device is named 'gpu'; allowed: auto, cpu, cuda"):
        quick("mlp", device="gpu").fit(*toy())
    with pytest.raises(HeadError, match=r"class_weight {7: 1} can't be used: .* labels \[0, 1, 2, 3\]"):
        quick("mlp", class_weight={7: 1}).fit(*toy())
    with pytest.raises(HeadError, match="epochs of the head mlp is 0; allowed: a whole number from 1"):
        quick("mlp", epochs=0).fit(*toy())
    with pytest.raises(
        HeadError, match="members of the head mlp is 10000000000; allowed: a whole number from 1 to 1000;"
    ):
        make_head("mlp", members=10**10)


def test_the_layout_is_no_parameter_of_a_user():
    """`hsifeat fit --set layout=1` reaches `make_head` as a keyword."""
    with pytest.raises(HeadError, match="the layout of the head 'svm' describes the columns of a table.* found 1"):
        make_head("svm", layout=1)


@pytest.mark.parametrize("layout", [None, Layout((ColumnGroup("spectra", 0, 4),))], ids=["None", "a layout"])
def test_parameters_of_another_head_include_no_layout(layout):
    """`get_params` of scikit-learn returns the layout, too. `QuickMapper` raised a TypeError."""
    with pytest.raises(HeadError, match="the layout of a head is that of its table"):
        as_head_params({"C": 10, "layout": layout})


@pytest.mark.parametrize("params", [{"name": "x"}, {1: 2}, "C=1"])
def test_what_is_no_parameter_is_refused(params):
    """`make_head(head, **params)` raised a TypeError."""
    with pytest.raises(HeadError, match="the name of a head is no parameter|parameters are a dict by name"):
        as_head_params(params)


@pytest.mark.parametrize("name", head_names())
def test_every_parameter_states_its_allowed_values(name):
    """A bare type allows values that fail during the fit, such as a negative number of components."""
    hints = _hints(head_class(name))
    bare = {param for param, hint in hints.items() if hint in (int, float, str, int | None, float | None, str | None)}
    # joblib and LightGBM take negative numbers of jobs; torch knows which devices there are; `TrainingOptions` checks the others.
    assert bare & set(head_class(name)().get_params()) <= {
        "n_jobs",
        "device",
        "epochs",
        "batch_size",
        "patience",
        "validation_fraction",
    }


def test_no_command_is_needed_for_a_wrong_word():
    with pytest.raises(
        HeadError, match="fusion of the head film is 'sum'; allowed: film, or gated; the default is fusion=film"
    ):
        make_head("film", fusion="sum")
