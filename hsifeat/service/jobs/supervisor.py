"""Supervisor: starts a runner for each lane, and starts it again when it dies."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from threading import Event, Thread

from hsifeat.service.job_settings import JobSettings
from hsifeat.service.jobs.records import LANES
from hsifeat.service.jobs.runner import run_jobs

logger = logging.getLogger(__name__)

_POLL_S = 0.2
_FIRST_DELAY_S = 0.5
_LAST_DELAY_S = 30.0
# A runner that lived this long is started again at once.
_STABLE_S = 60.0
_STOP_S = 10.0


class Supervisor:
    """Runs the runners of all lanes while the service runs.

    Parameters
    ----------
    settings : JobSettings
        Folders and limits.
    clean_up : callable
        Called without arguments at the start and every `clean_up_s` seconds.
    clean_up_s : float
        Time between two calls of `clean_up`, in seconds.
    """

    def __init__(
        self, settings: JobSettings, clean_up: Callable[[], None] = lambda: None, clean_up_s: float = 600
    ) -> None:
        self._settings = settings
        self._clean_up = clean_up
        self._clean_up_s = clean_up_s
        # The runners wait for the other end of this pipe to close.
        self._receiver, self._sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
        self._runners = {name: _Runner(settings, name, self._receiver) for name in LANES}
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="supervisor", daemon=True)

    @property
    def pids(self) -> dict[str, int]:
        """Process numbers of the living runners, by lane."""
        return {name: runner.pid for name, runner in self._runners.items() if runner.pid}

    def start(self) -> None:
        """Start the runners."""
        # Python joins processes before it ends, and the runners end only after the pipe is closed.
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Stop the runners. A running job continues when the service starts again."""
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
                runner.check()
            if time.monotonic() >= next_clean_up:
                next_clean_up = time.monotonic() + self._clean_up_s
                try:
                    self._clean_up()
                except Exception:
                    logger.exception("old jobs and uploads can't be deleted")


class _Runner:
    """The process of one lane, started again after a growing delay when it dies."""

    def __init__(self, settings: JobSettings, name: str, receiver: multiprocessing.connection.Connection) -> None:
        self._settings = settings
        self._name = name
        self._receiver = receiver
        self._process: BaseProcess | None = None
        self._started = 0.0
        self._delay_s = 0.0
        self._ended: float | None = None

    @property
    def pid(self) -> int:
        """Process number, or 0 if the process does not run."""
        return self._process.pid or 0 if self._process is not None and self._process.is_alive() else 0

    def check(self) -> None:
        """Start the process if it does not run and the delay is over."""
        now = time.monotonic()
        if self.pid:
            return
        if self._process is not None and self._ended is None:
            self._ended = now
            stable = now - self._started > _STABLE_S
            self._delay_s = 0.0 if stable else min(max(2 * self._delay_s, _FIRST_DELAY_S), _LAST_DELAY_S)
            logger.warning(
                "the runner of %s ended with status %s: it starts again in %.1f s",
                self._name,
                self._process.exitcode,
                self._delay_s,
            )
        if self._ended is None or now - self._ended >= self._delay_s:
            context = multiprocessing.get_context("spawn")
            self._process = context.Process(target=run_jobs, args=(self._settings, self._name, self._receiver))
            self._process.start()
            self._started, self._ended = now, None

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the process, and kill it if it does not end in time."""
        if self._process is not None:
            self._process.join(timeout_s)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
