"""Services of jobs whose runners fork from the server of `tests.helpers.forked_commands`, and scenes for their jobs."""

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers.forked_commands import SERVER, fork_workers
from tests.helpers.short_pauses import shorten_pauses
from tests.helpers.small import small_cube, small_labels


def fork_runners(monkeypatch, target=None):
    """Make supervisors fork their runners from the server.

    Parameters
    ----------
    monkeypatch
        The pytest fixture of this name.
    target : callable, optional
        Module-level function that runners execute instead of `run_jobs`, such as `run_jobs_slowly`.
    """
    from hsifeat.service.jobs import supervisor

    # A process that came from the server would start another one.
    if multiprocessing.forkserver.get_inherited_fds() is not None:
        multiprocessing.forkserver._forkserver.ensure_running = lambda: None
    context = SimpleNamespace(Pipe=SERVER.Pipe, Process=_process_with_environment)
    monkeypatch.setattr(supervisor, "multiprocessing", SimpleNamespace(get_context=lambda _: context))
    if target is not None:
        monkeypatch.setattr(supervisor, "run_jobs", target)


def _process_with_environment(target, args):
    """Return a process with the environment of this process. The environment of the server may differ."""
    return SERVER.Process(target=_with_environment, args=(dict(os.environ), target, args))


def _with_environment(environment, function, arguments):
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)


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


def run_jobs_that_can_be_held(settings, lane, parent):
    """Run jobs whose extractions wait before each write while the file ``hold`` exists.

    The file is two folders above the state folder of the service. In the same folder, the file ``waits`` is created when a
    job begins to wait, and ``written`` when a write has ended or failed.
    """
    from hsifeat.service.jobs.runner import run_jobs
    from hsifeat.store.store import Store

    write, place = Store.write, settings.state_folder.parent.parent

    def write_when_allowed(store, plane, unit, values):
        (place / "waits").touch()
        while (place / "hold").exists():
            time.sleep(0.01)
        try:
            write(store, plane, unit, values)
        finally:
            (place / "written").touch()

    Store.write = write_when_allowed
    run_jobs(settings, lane, parent)


def run_jobs_with_forked_workers(settings, lane, parent):
    """Run jobs whose local Dask workers fork from the server.

    An extraction that does not use Dask workers raises an error.
    """
    from dask import config

    from hsifeat.extraction.store_run import StoreRun
    from hsifeat.service.jobs.runner import run_jobs

    def refuse(_):
        raise AssertionError("computed by the runner itself")

    StoreRun.compute_here = refuse
    fork_workers()
    config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    run_jobs(settings, lane, parent)


def fork_runners_and_workers():
    """Make the runners of this service, and the Dask workers of the runners, fork from the server. This is a patch for ``hsifeat serve``."""
    fork_runners(SimpleNamespace(setattr=setattr), run_jobs_with_forked_workers)


def write_scene(folder):
    """Write a small scene with a label map below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "small.npy", small_cube())
    np.save(folder / "fields.npy", small_labels())


def wait_until(condition, timeout_s=300, pause_s=0.02):
    """Wait until `condition` returns a true value, and return this value. If `condition` sends requests, use a longer pause."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(pause_s)
    raise AssertionError("waited in vain")


EXTRACTION = {
    "scene": {"files": ["small.npy"], "axes": "rows,cols,bands", "labels": ["fields.npy"]},
    "options": {"backbone": "tiny", "timesteps": [0, 300], "layers": ["up_blocks.2"], "tile": 32, "halo": 8},
}


def job_config(folder, backbones, **options):
    """Write a small scene below a folder, and return the options of a service whose files are in the folder."""
    from hsifeat.service.config import ServiceConfig

    write_scene(folder / "scenes")
    (folder / "stores").mkdir(exist_ok=True)
    return ServiceConfig.from_options({
        "cache": str(folder / "stores"), "state": str(folder / "state"), "scenes": [str(folder / "scenes")],
        "backbones": [str(backbones)], "cancel_seconds": 1, **options,
    })  # fmt: skip


class Jobs:
    """A `JobService`, with methods that need fewer arguments in tests."""

    def __init__(self, config):
        from hsifeat.service.jobs.job_service import JobService

        shorten_pauses()
        self.service = JobService(config)

    def submit(self, kind, options, owner="ann"):
        from hsifeat.service.jobs.request_classes import REQUESTS

        return self.service.submit(REQUESTS[kind].from_options(options), owner, admin=False)

    def state(self, job):
        return self.service.queue.job(job.id)

    def ended(self, job):
        """Wait until a job has ended, and return the job."""
        return wait_until(lambda: (now := self.state(job)).state.is_final and now)

    def advanced(self, job, done=0):
        """Wait until a job runs and has completed more than `done` units of work, and return the job."""
        return wait_until(
            lambda: (now := self.state(job)).state == "running" and now.progress and now.progress.done > done and now
        )


def serve_jobs(config):
    """Run a job service with slow runners until the process is killed."""
    with pytest.MonkeyPatch.context() as patch:
        fork_runners(patch, run_jobs_slowly)
        Jobs(config).service.supervisor.start()
        signal.pause()
