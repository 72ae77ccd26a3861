"""Limits of threads against `threadpoolctl`, which looks for the libraries each time."""

import os
import subprocess
import sys

from threadpoolctl import threadpool_info

from classifiers.threads import one_library_thread


def threads(user_api=None):
    return [library["num_threads"] for library in threadpool_info() if user_api in (None, library["user_api"])]


def test_libraries_are_limited_and_restored():
    import numpy as np

    np.ones((2, 2)) @ np.ones((2, 2))
    before = threads()
    with one_library_thread():
        assert set(threads()) == {1}
    with one_library_thread("blas"):
        assert set(threads("blas")) == {1}
    assert threads() == before


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
