"""Heads by name: built-in ones are registered, and unknown names, parameters and values are refused."""

from __future__ import annotations

import pytest

from classifiers.heads.registry import make_head
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
    with pytest.raises(HeadError, match="epochs is 0; give 1 or more"):
        quick("mlp", epochs=0).fit(*toy())


def test_the_layout_is_no_parameter_of_a_user():
    """`hsifeat fit --set layout=1` reaches `make_head` as a keyword."""
    with pytest.raises(HeadError, match="head 'svm' has no parameter 'layout'; allowed: C, class_weight"):
        make_head("svm", layout=1)
