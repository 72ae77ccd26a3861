"""Runners of jobs that fork from the server of `tests.helpers.forked_commands`, and scenes for their jobs."""

import time
from types import SimpleNamespace

import numpy as np

from tests.helpers.forked_commands import SERVER
from tests.helpers.small import small_cube, small_labels


def fork_runners(monkeypatch, target=None):
    """Make supervisors fork their runners from the server.

    Parameters
    ----------
    monkeypatch
        The fixture.
    target : callable, optional
        Function of a module to run instead of `run_jobs`, such as `run_jobs_slowly`.
    """
    from hsifeat.service.jobs import supervisor

    monkeypatch.setattr(supervisor, "multiprocessing", SimpleNamespace(get_context=lambda _: SERVER))
    if target is not None:
        monkeypatch.setattr(supervisor, "run_jobs", target)


def run_jobs_slowly(settings, lane, parent):
    """Run jobs whose extractions take at least 0.1 s for each unit of a plane."""
    from hsifeat.service.jobs.runner import run_jobs
    from hsifeat.store.store import Store

    write = Store.write

    def write_slowly(store, plane, unit, values):
        time.sleep(0.1)
        write(store, plane, unit, values)

    Store.write = write_slowly
    run_jobs(settings, lane, parent)


def write_scene(folder):
    """Write a small scene with a label map below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "small.npy", small_cube())
    np.save(folder / "fields.npy", small_labels())


def wait_until(condition, timeout_s=300):
    """Wait until a function returns a true value, and return this value."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("waited in vain")
