"""The repeated guided filter returns the same values as the smoothing rule."""

import numpy as np
import pytest

from classifiers.labelling.guided_filter import GuidedFilter
from classifiers.smoothing import ProbabilityTile
from classifiers.smoothing.guided import GuidedSmoothing


@pytest.mark.parametrize(("radius", "epsilon", "channels"), [(1, 0.01, 1), (4, 0.001, 3)])
def test_values_are_those_of_the_rule(radius, epsilon, channels):
    rng = np.random.default_rng(0)
    valid = rng.random((40, 31)) < 0.9
    guide = rng.normal(size=(40, 31, channels)) * valid[..., None]
    p = rng.dirichlet(np.ones(4), (40, 31)) * valid[..., None]
    expected = GuidedSmoothing(radius, epsilon).smooth(ProbabilityTile(p, valid, guide))
    calls = []
    found = GuidedFilter(guide, valid, radius, epsilon).smooth(
        np.moveaxis(p, 2, 0).astype(np.float32), lambda: calls.append(1)
    )
    np.testing.assert_allclose(np.moveaxis(found, 0, 2)[valid], expected[valid], atol=1e-4)
    assert not found[:, ~valid].any()
    assert len(calls) == 4
