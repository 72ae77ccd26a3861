"""Values that threads share: computed once, without blocking other keys, and bounded."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pytest

from hsifeat.service.workbench.shared_values import SharedValues


def test_a_slow_value_is_computed_once_and_blocks_no_other_key():
    values, release, calls = SharedValues(10), threading.Event(), []

    def slow():
        calls.append(1)
        assert release.wait(20)
        return "slow"

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(values.get, "a", slow) for _ in range(3)]
        assert pool.submit(values.get, "b", lambda: "quick").result(20) == "quick"
        release.set()
        assert {future.result(20) for future in waiting} == {"slow"}
    assert len(calls) == 1


def test_an_error_reaches_all_who_wait_and_the_next_call_tries_again():
    values, release = SharedValues(10), threading.Event()

    def fail():
        assert release.wait(20)
        raise InterruptedError

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(values.get, "a", fail) for _ in range(2)]
        release.set()
        assert [type(future.exception(20)) for future in waiting] == [InterruptedError] * 2
    assert values.get("a", lambda: 3) == 3


def test_the_values_are_those_of_an_lru_cache():
    values, calls, expected = SharedValues(3), [], []
    oracle = lru_cache(3)(lambda key: expected.append(key) or key)
    for key in np.random.default_rng(0).integers(6, size=200).tolist():
        assert values.get(key, lambda key=key: calls.append(key) or key) == oracle(key)
    assert calls == expected


@pytest.mark.parametrize(
    ("sizes", "kept"), [((4, 4, 4), {1, 2}), ((4, 11, 1), {2}), ((1, 2, 30), {2}), ((1, 2, 3), {0, 1, 2})]
)
def test_values_are_bounded_by_their_size(sizes, kept):
    values = SharedValues(10, len)
    for key, size in enumerate(sizes):
        values.get(key, lambda size=size: b"x" * size)
    assert {key for key in reversed(range(3)) if values.get(key, lambda: b"") != b""} == kept
