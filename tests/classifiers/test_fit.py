"""Fitting a model: each head gets the inputs that suit it."""

import pytest

from classifiers.fit import fit_model
from classifiers.heads.registry import head_class
from classifiers.input_sets import suited_input

QUICK = {"epochs": 2, "device": "cpu"}


@pytest.mark.parametrize(
    ("head", "store", "groups"),
    [
        ("svm", "small", ["spectra", "plane"]),
        ("film", "small", ["spectra", "plane"]),
        ("mtmsd", "small", ["spectra", "plane", "mean 48"]),
        ("diffcrn", "small", ["spectra", "plane", "patch 3"]),
        ("mtmsd", "listed", ["spectra", "plane", "mean 8"]),
        ("diffcrn", "listed", ["spectra", "plane"]),
    ],
)
def test_each_head_gets_the_input_set_that_suits_it(opened, head, store, groups):
    params = QUICK if "epochs" in head_class(head)().get_params() else {}
    heard = []
    model = fit_model(opened[store], head, planes=["t0/mid_block"], params=params, listen=heard.append)
    assert [f"{g.kind} {g.size}" if g.size else g.kind for g in model.layout] == groups
    assert heard[0].message.startswith(suited_input(head, opened[store]) + ": 2478 labelled pixels")
    assert f"{model.layout.width} columns" in heard[0].message
    model.check_store(opened[store])
