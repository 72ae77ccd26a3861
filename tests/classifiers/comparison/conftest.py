"""Fixtures for tests of comparisons."""

import pytest

from classifiers.comparison import bench_runs


@pytest.fixture
def fits(monkeypatch):
    """List of the keys of executed runs, in order."""
    keys = []
    plain = bench_runs.do_run
    monkeypatch.setattr(bench_runs, "do_run", lambda task: keys.append(task.key) or plain(task))
    return keys
