"""Supervisor of the runners. Each lane has one runner, and each kind of job belongs to one lane.

If a lane has jobs, the supervisor starts the runner of the lane. It restarts a runner that died.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Event, Thread

from hsifeat.errors import HsifeatError
from hsifeat.service.job_settings import JobSettings
from hsifeat.service.jobs.database import JobDatabase
from hsifeat.service.jobs.lane import Lane
from hsifeat.service.jobs.records import LANES
from hsifeat.service.jobs.runner import run_jobs

logger = logging.getLogger(__name__)

_POLL_S = 0.2
_FIRST_DELAY_S = 0.5
_LAST_DELAY_S = 30.0
# A runner that ran this long before it died is restarted at once.
_STABLE_S = 60.0
_STOP_S = 10.0


class Supervisor:
    """Starts and restarts the runners of all lanes while the service runs.

    Parameters
    ----------
    settings : JobSettings
        Folders and limits.
    database : JobDatabase
        Database of the jobs.
    clean_up : callable
        Function without arguments that is called at the start and then every `clean_up_s` seconds.
    clean_up_s : float
        Time between two calls of `clean_up`, in seconds.
    """

    def __init__(
        self,
        settings: JobSettings,
        database: JobDatabase,
        clean_up: Callable[[], None] = lambda: None,
        clean_up_s: float = 600,
    ) -> None:
        self._clean_up = clean_up
        self._clean_up_s = clean_up_s
        # The runners wait for the other end of this pipe to close.
        self._receiver, self._sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
        self._runners = {
            name: _Runner(settings, name, Lane(database, kinds), self._receiver) for name, kinds in LANES.items()
        }
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="supervisor", daemon=True)

    @property
    def pids(self) -> dict[str, int]:
        """Process identifiers of the runners that run now, by name of the lane."""
        return {name: runner.pid for name, runner in self._runners.items() if runner.pid}

    def start(self) -> None:
        """Start a thread that watches the lanes and starts their runners."""
        # Python waits for child processes at exit, and the runners end only after `stop` has closed the pipe.
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Stop the runners. An interrupted job is queued again."""
        atexit.unregister(self.stop)
        self._stopping.set()
        self._sender.close()
        if self._thread.is_alive():
            self._thread.join()
        for runner in self._runners.values():
            runner.join(_STOP_S)

    def _run(self) -> None:
        next_clean_up = 0.0
        while not self._stopping.wait(_POLL_S):
            for runner in self._runners.values():
                try:
                    runner.check()
                except HsifeatError as error:  # The database is busy or the disk is full.
                    logger.warning("%s", error)
            if time.monotonic() >= next_clean_up:
                next_clean_up = time.monotonic() + self._clean_up_s
                try:
                    self._clean_up()
                except Exception:
                    logger.exception("old jobs and uploads can't be deleted")


class _Runner:
    """The process of one lane. After a crash, the process is restarted with a growing delay."""

    def __init__(self, settings: JobSettings, name: str, lane: Lane, receiver: Connection) -> None:
        self._settings = settings
        self._name = name
        self._lane = lane
        self._receiver = receiver
        self._process: BaseProcess | None = None
        self._started = 0.0
        self._delay_s = 0.0
        self._not_before = 0.0

    @property
    def pid(self) -> int:
        """Process number, or 0 if the process does not run."""
        return self._process.pid or 0 if self._process is not None and self._process.is_alive() else 0

    def check(self) -> None:
        """Start the process if it does not run, the lane has jobs, and the delay after a crash is over."""
        if self.pid:
            return
        now = time.monotonic()
        if self._process is not None:
            status, self._process = self._process.exitcode, None
            if status:
                stable = now - self._started > _STABLE_S
                self._delay_s = 0.0 if stable else min(max(2 * self._delay_s, _FIRST_DELAY_S), _LAST_DELAY_S)
                self._not_before = now + self._delay_s
                logger.warning("the runner of %s ended with status %s", self._name, status)
        if now >= self._not_before and self._lane.has_work():
            context = multiprocessing.get_context("spawn")
            self._process = context.Process(target=run_jobs, args=(self._settings, self._name, self._receiver))
            self._process.start()
            self._started = now

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the process, and kill it if it does not end in time."""
        if self._process is not None:
            self._process.join(timeout_s)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
