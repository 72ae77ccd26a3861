"""Limits of threads against `threadpoolctl`, which looks for the libraries each time."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from classifiers.threads import one_library_thread


def threads(user_api=None):
    return [library["num_threads"] for library in threadpool_info() if user_api in (None, library["user_api"])]


@pytest.fixture(autouse=True)
def two_threads():
    """All libraries have two threads, whatever the environment says."""
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpool_limits(2):
        assert set(threads()) == {2}
        yield
        assert set(threads()) == {2}


def test_libraries_are_limited_and_restored():
    with one_library_thread():
        assert set(threads()) == {1}
        with one_library_thread("blas"):
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert set(threads()) == {2}
    with one_library_thread("blas"):
        assert set(threads("blas")) == {1}
    with pytest.raises(ZeroDivisionError), one_library_thread():
        raise ZeroDivisionError


@pytest.mark.parametrize("kinds", [(None, None), (None, "blas"), ("blas", None)])
def test_blocks_of_two_threads_may_overlap(kinds):
    """The first block ends inside of the second one, which ends outside of the first."""
    first, second = (one_library_thread(kind) for kind in kinds)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(first.__enter__).result()
        other.submit(second.__enter__).result()
        one.submit(first.__exit__, None, None, None).result()
        assert set(threads("blas")) == {1}, "the second block is still open"
        other.submit(second.__exit__, None, None, None).result()
    assert set(threads("blas")) == {2}


def test_a_library_that_is_imported_later_is_limited():
    code = """
from threadpoolctl import threadpool_info
from classifiers.threads import one_library_thread
with one_library_thread():
    pass
assert not threadpool_info()
import numpy
(before,) = [library["num_threads"] for library in threadpool_info()]
with one_library_thread():
    assert [library["num_threads"] for library in threadpool_info()] == [1]
assert [library["num_threads"] for library in threadpool_info()] == [before]
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
