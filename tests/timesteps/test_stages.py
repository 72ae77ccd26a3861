"""Intervals of timesteps, against brute force over all ways to cut."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsifeat.errors import HsifeatError
from hsifeat.timesteps.stages import best_intervals, interval_timesteps, split_stages


def value(similarity, cuts):
    """Mean over timesteps of their mean similarity to their interval, by its definition."""
    n = len(similarity)
    bounds = [0, *cuts, n]
    shares = [similarity[t, a:b].mean() for a, b in pairwise(bounds) for t in range(a, b)]
    return sum(shares) / n


@given(
    st.integers(1, 8).flatmap(lambda n: st.tuples(arrays(float, (n, n), elements=st.floats(0, 1)), st.integers(1, n)))
)
def test_no_other_division_is_better(case):
    raw, count = case
    similarity = (raw + raw.T) / 2
    result = best_intervals(similarity, count)
    assert result[0][0] == 0 and result[-1][1] == len(raw) and len(result) == count
    assert all(a[1] == b[0] and a[0] < a[1] for a, b in zip(result, [*result[1:], (len(raw), 0)], strict=True))
    best = max(value(similarity, cuts) for cuts in combinations(range(1, len(raw)), count - 1))
    assert value(similarity, [first for first, _ in result[1:]]) == pytest.approx(best, abs=1e-9)


def test_blocks_are_found():
    similarity = np.full((9, 9), 0.1)
    for a, b in ((0, 4), (4, 6), (6, 9)):
        similarity[a:b, a:b] = 0.9
    assert best_intervals(similarity, 3) == [(0, 4), (4, 6), (6, 9)]
    assert interval_timesteps(range(0, 90, 10), [(0, 4), (4, 6), (6, 9)]) == [(0, 30), (40, 50), (60, 80)]


@pytest.mark.parametrize("count", [0, 4])
def test_no_interval_and_too_many_are_refused(count):
    with pytest.raises(HsifeatError, match=f"3 timesteps can be divided into 1 to 3 intervals; found {count}"):
        best_intervals(np.eye(3), count)


def test_without_similar_stages_the_ends_remain():
    assert split_stages([0, 500], [0.2, 0.1], [0.1, 0.2], 0.9, 999) == (0, 999)
