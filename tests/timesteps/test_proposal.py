"""The rule that proposes timesteps, against its definition and against all other choices."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsifeat.errors import HsifeatError
from hsifeat.timesteps.angles import SpectralAngles
from hsifeat.timesteps.proposal import check_budget, order_timesteps, parse_auto


def symmetric(raw):
    # Of two decimals, as the rule counts them.
    similarity = ((raw + raw.T) / 2).round(2)
    np.fill_diagonal(similarity, 1)
    return similarity


maps = st.integers(1, 7).flatmap(lambda n: arrays(float, (n, n), elements=st.floats(0, 1)).map(symmetric))


def coverage(similarity, chosen):
    return sum(max(row[c] for c in chosen) for row in similarity) / len(similarity)


@given(maps)
def test_each_choice_covers_nearly_as_much_as_the_best(similarity):
    n = len(similarity)
    result = order_timesteps(similarity)
    assert sorted(result.order) == list(range(n)) and result.eligible.all()
    for count in range(1, n + 1):
        got = coverage(similarity, result.order[:count])
        assert result.coverage[count - 1] == pytest.approx(got)
        assert got >= (1 - 1 / np.e) * max(coverage(similarity, c) for c in combinations(range(n), count)) - 1e-9
    assert result.coverage[0] == pytest.approx(max(coverage(similarity, [t]) for t in range(n)))
    assert result.coverage[-1] == pytest.approx(1)


@given(maps, st.data())
def test_timesteps_that_are_not_eligible_come_last_by_angle(similarity, data):
    n = len(similarity)
    degrees = np.array(data.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n, unique=True)), float)
    result = order_timesteps(similarity, SpectralAngles(degrees, mean_pixel_degrees=20, space="bands"))
    near = set(np.flatnonzero(degrees <= 10))
    assert set(result.order[: len(near)]) == near
    assert list(degrees[result.order[len(near) :]]) == sorted(degrees[degrees > 10])
    np.testing.assert_array_equal(result.eligible, degrees <= 10)


def test_one_timestep_per_block_and_ties_to_the_least_noise():
    similarity = np.kron(np.eye(3), np.ones((2, 2)))
    assert order_timesteps(similarity).order[:3].tolist() == [0, 2, 4]


def test_noise_in_similarities_does_not_decide():
    similarity = np.full((3, 3), 0.5) + 1e-4 * np.random.default_rng(0).normal(size=(3, 3))
    np.fill_diagonal(similarity, 1)
    assert order_timesteps(similarity).order.tolist() == [0, 1, 2]


@pytest.mark.parametrize("text", ["auto", "auto:", "auto:x", "auto:-1", "auto:1.5", "automatic"])
def test_other_texts_than_auto_n_are_refused(text):
    with pytest.raises(HsifeatError, match="automatic timesteps have the form auto:N, such as auto:5; found"):
        parse_auto(text)


@pytest.mark.parametrize("budget", [0, 41])
def test_budgets_have_bounds(budget):
    with pytest.raises(HsifeatError, match=f"40 timesteps are compared, so the budget is 1 to 40; found {budget}"):
        check_budget(budget, 40)
    check_budget(40, 40)
