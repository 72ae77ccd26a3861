"""A runner: a process that executes the jobs of a lane, one after the other. Each kind of job belongs to one lane."""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from multiprocessing import util
from multiprocessing.connection import Connection
from threading import Thread

from filelock import FileLock

from hsifeat.cache.catalogue import DAMAGE_ERRORS
from hsifeat.errors import HsifeatError, error_summary
from hsifeat.runtime.events import Event as WorkEvent
from hsifeat.runtime.events import Note
from hsifeat.service.job_settings import JobSettings
from hsifeat.service.jobs.lane import Lane, ProgressRecorder, no_key
from hsifeat.service.jobs.records import LANES, JobRecord, JobState
from hsifeat.service.jobs.request import JobContext, JobRequest
from hsifeat.service.jobs.request_classes import request_of
from hsifeat.service.problems import public_text
from hsifeat.service.store_index import StoreIndex

logger = logging.getLogger(__name__)

_POLL_S = 0.2
_IDLE_S = 600.0
_NICENESS = 10
# A key does not tell which of these changed.
_CHANGED = "after the request, a store or file of this job was changed or hsifeat was upgraded: the job uses their present state"


class JobCancelledError(BaseException):
    """Raised to end a cancelled job. It derives from `BaseException`, so ``except Exception`` does not catch it."""


def run_jobs(settings: JobSettings, lane_name: str, parent: Connection) -> None:
    """Execute the jobs of a lane, until the service ends or the lane has had no job for ten minutes.

    Parameters
    ----------
    settings : JobSettings
        Folders and limits.
    lane_name : str
        Name of the lane, a key of `LANES`.
    parent : Connection
        Pipe from the service. When the service ends or is killed, the operating system closes the pipe.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes of a terminal; the service reacts to it.
    # Pages and samples, which people wait for, come first.
    os.nice(_NICENESS)
    # The previous job may have just made a store.
    context = JobContext.of_settings(settings, StoreIndex(settings.cache, pauses=False))
    lane = Lane(context.database, LANES[lane_name])
    # The runner of an earlier service may not have ended yet.
    with FileLock(settings.state_folder / f"{lane_name}.lock"):
        lane.recover(settings.attempts)
        watch = _Watch(lane, parent, settings.cancel_seconds)
        idle_since = time.monotonic()
        # An idle runner ends, to free the memory of its backbone.
        while time.monotonic() - idle_since < _IDLE_S:
            job = lane.take()
            if job is None:
                time.sleep(_POLL_S)
            else:
                _run_job(context, lane, job, watch)
                idle_since = time.monotonic()


def _run_job(context: JobContext, lane: Lane, job: JobRecord, watch: _Watch) -> None:
    recorder = ProgressRecorder(lane, job)

    def listen(event: WorkEvent) -> None:
        recorder(event)
        if watch.cancelled == job.id:
            raise JobCancelledError

    watch.job = job
    try:
        request = request_of(job)
        key = request.key(context)
        if key != job.key:
            lane.file(job, key)
            recorder(Note(_CHANGED))
        result = request.execute(context, job, listen)
        unchanged = _current_key(request, context) == key
        if not unchanged:
            recorder(
                Note("a store or file of this job was changed while the job ran: no later request gets this result")
            )
    except JobCancelledError:
        lane.end(job, JobState.CANCELLED, reason=lane.cancellation_reason(job) or "")
    except (HsifeatError, OSError, MemoryError) as error:
        logger.warning("job %s failed: %s", job.id, error)
        _end_failed(lane, job, str(error) or type(error).__name__)
    except Exception as error:
        logger.exception("job %s failed", job.id)
        _end_failed(lane, job, f"unexpected {type(error).__name__}: {error_summary(error)}; please report it")
    else:
        lane.end(job, JobState.DONE, result=result, key=key if unchanged else no_key(job))
    finally:
        watch.job = None


def _current_key(request: JobRequest, context: JobContext) -> str | None:
    """Return the key of a request; None if a store, file or job that the request names was damaged or deleted."""
    with suppress(*DAMAGE_ERRORS):
        return request.key(context)
    return None


def _end_failed(lane: Lane, job: JobRecord, reason: str) -> None:
    """Record the failure of a job. If the database can't be written, try again every second."""
    while True:
        try:
            lane.end(job, JobState.FAILED, reason=public_text(reason))
        except HsifeatError as error:
            logger.warning("job %s failed (%s), which can't be recorded: %s", job.id, reason, error)
            time.sleep(1)
        else:
            return


class _Watch:
    """Thread that ends the runner when the service ends, and stops cancelled jobs.

    Attributes
    ----------
    job : JobRecord or None
        The running job.
    cancelled : str
        Identifier of the job that must stop, or an empty string.
    """

    def __init__(self, lane: Lane, parent: Connection, cancel_seconds: float) -> None:
        self.job: JobRecord | None = None
        self.cancelled = ""
        self._lane = lane
        self._parent = parent
        self._cancel_seconds = cancel_seconds
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        deadline = float("inf")
        while not self._parent_ended():
            job = self.job
            with suppress(HsifeatError):  # The database is busy or the disk is full: ask again.
                if job is None or self.job is not job:
                    deadline = float("inf")
                elif self.cancelled != job.id:
                    if self._lane.cancellation_reason(job) is not None:
                        self.cancelled = job.id
                        deadline = time.monotonic() + self._cancel_seconds
                elif time.monotonic() > deadline:
                    # The job is in a long computation without events. Killing the process does not damage stores and reports.
                    self._lane.end(job, JobState.CANCELLED, reason=self._lane.cancellation_reason(job) or "")
                    _exit(0)
        job = self.job
        if job is not None:
            with suppress(HsifeatError):
                self._lane.hand_back(job)
        _exit(0)

    def _parent_ended(self) -> bool:
        with suppress(EOFError, OSError):
            if not self._parent.poll(_POLL_S):
                return False
            self._parent.recv()
        return True


def _exit(status: int) -> None:
    # Unlink the semaphores of imported libraries. Otherwise Python warns of leaked semaphores.
    util._run_finalizers(0)  # type: ignore[attr-defined]  # noqa: SLF001  # there is no public function
    os._exit(status)
