"""Settings of scikit-learn and torch that a notebook makes for all of its code do not change a head."""

import numpy as np
import pytest
import sklearn
import torch

from tests.helpers.heads import NAMES, NETWORKS, quick, scores, toy


def fitted(name, **params):
    X, y = toy(80)
    return scores(quick(name, **({"epochs": 1} if name in NETWORKS else {}), **params).fit(X, y), X)


@pytest.mark.parametrize("name", NAMES)
def test_data_frames_as_the_output_of_transformers(name):
    """Every fit failed."""
    params = {"exact_rows": 0} if name == "svm" else {}
    expected = fitted(name, **params)
    with sklearn.config_context(transform_output="pandas"):
        np.testing.assert_array_equal(fitted(name, **params), expected)


@pytest.mark.parametrize("disabled", [torch.no_grad, torch.inference_mode])
def test_disabled_gradients(disabled):
    """Neural heads could not be trained."""
    expected = fitted("mlp")
    with disabled():
        np.testing.assert_array_equal(fitted("mlp"), expected)
