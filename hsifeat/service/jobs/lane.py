"""The jobs of one runner: start, progress and end of a job, and recovery after a crash."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from sqlite3 import Connection
from typing import Any

from hsifeat.runtime.events import Advanced, Event, Finished, Note, Started
from hsifeat.service.jobs.database import JobDatabase, add_event, select_jobs, set_state
from hsifeat.service.jobs.records import JobKind, JobProgress, JobRecord, JobState
from hsifeat.service.problems import public_text


class Lane:
    """A lane: all jobs of certain kinds. One runner executes these jobs, one after the other.

    Only one process at a time may use a lane.

    Parameters
    ----------
    database : JobDatabase
        Database of the jobs.
    kinds : sequence of JobKind
        Kinds of jobs.
    """

    def __init__(self, database: JobDatabase, kinds: Sequence[JobKind]) -> None:
        self._database = database
        self._kinds = tuple(kinds)
        self._of_kinds = f"kind IN ({', '.join('?' * len(self._kinds))})"

    def has_work(self) -> bool:
        """Return whether a job of the lane is queued, or was left unfinished by a runner that died."""
        return bool(self._database.jobs(f"state IN ('queued', 'running') AND {self._of_kinds}", self._kinds, count=1))

    def take(self) -> JobRecord | None:
        """Record that the queued job with the highest priority is running, and return this job; None if no job is queued."""
        where = f"state = 'queued' AND {self._of_kinds} ORDER BY priority DESC, number LIMIT 1"
        # Because of this read, an idle runner does not take the write lock.
        if not self._database.jobs(f"state = 'queued' AND {self._of_kinds}", self._kinds, count=1):
            return None
        with self._database.transaction() as connection:
            for job in select_jobs(connection, where, self._kinds):
                set_state(connection, job.id, JobState.RUNNING)
                return select_jobs(connection, "id = ?", (job.id,))[0]
        return None

    def file(self, job: JobRecord, key: str) -> None:
        """Change the key of a running job; to `no_key` if another unfinished job has the new key."""
        with self._database.transaction() as connection:
            for other in (key, no_key(job)):
                if connection.execute("UPDATE OR IGNORE jobs SET key = ? WHERE id = ?", (other, job.id)).rowcount:
                    return

    def end(
        self,
        job: JobRecord,
        state: JobState,
        *,
        reason: str = "",
        result: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> None:
        """Record the end of a running job. If the job has ended already, do nothing.

        Parameters
        ----------
        job : JobRecord
            The job.
        state : JobState
            Final state.
        reason : str
            Why the job failed or was cancelled.
        result : dict, optional
            Description of the result as JSON values.
        key : str, optional
            Key of the ended job. [default: the key does not change]
        """
        with self._database.transaction() as connection:
            if select_jobs(connection, "id = ? AND state = 'running'", (job.id,)):
                set_state(connection, job.id, state, reason=reason, result=result)
                if key is not None:
                    connection.execute("UPDATE jobs SET key = ? WHERE id = ?", (key, job.id))

    def cancellation_reason(self, job: JobRecord) -> str | None:
        """Return why the cancellation of a running job was requested; None if it was not requested."""
        current = self._database.job(job.id)
        return current.reason if current is not None and current.cancelling else None

    def hand_back(self, job: JobRecord) -> None:
        """Queue a running job again, because the service stops. `JobRecord.attempts` does not count this attempt.

        If the cancellation of the job was requested, the job is cancelled instead.
        """
        with self._database.transaction() as connection:
            for current in select_jobs(connection, "id = ? AND state = 'running'", (job.id,)):
                _queue_again(connection, current, "the service stopped; the job continues with it")
                connection.execute(
                    "UPDATE jobs SET attempts = attempts - 1 WHERE id = ? AND state = 'queued'", (job.id,)
                )

    def recover(self, max_attempts: int) -> None:
        """Queue again the jobs that were running when their runner died.

        If the cancellation of a job was requested, the job is cancelled instead. If its runner has died `max_attempts`
        times, the job fails instead.
        """
        with self._database.transaction() as connection:
            for job in select_jobs(connection, f"state = 'running' AND {self._of_kinds}", self._kinds):
                if job.cancelling or job.attempts < max_attempts:
                    _queue_again(connection, job, "the runner died; the job continues")
                else:
                    set_state(
                        connection,
                        job.id,
                        JobState.FAILED,
                        reason=f"the runner died {job.attempts} times during this job, perhaps because memory ran out; finished "
                        "work is kept: submit the request again, with a smaller scene, batch or number of inputs",
                    )

    def record(self, job: JobRecord, event: Event, progress: JobProgress | None) -> None:
        """Add an event to the log of a job, and update the progress of the job.

        Parameters
        ----------
        job : JobRecord
            The running job.
        event : Event
            The event.
        progress : JobProgress or None
            New progress; None if the event does not change the progress.
        """
        with self._database.transaction() as connection:
            add_event(connection, job.id, type(event).__name__.lower(), asdict(event))
            if progress is not None:
                connection.execute("UPDATE jobs SET progress = ? WHERE id = ?", (json.dumps(asdict(progress)), job.id))


def no_key(job: JobRecord) -> str:
    """Return a key that no request has, for a job that answers no later request."""
    return f"none:{job.id}"


def _queue_again(connection: Connection, job: JobRecord, reason: str) -> None:
    """Queue a running job again; if its cancellation was requested, cancel it."""
    if job.cancelling:
        set_state(connection, job.id, JobState.CANCELLED, reason=job.reason)
    else:
        set_state(connection, job.id, JobState.QUEUED, reason=reason)


class ProgressRecorder:
    """Listener that records the events of a job, but only one `Advanced` event per interval.

    Parameters
    ----------
    lane : Lane
        Lane of the job.
    job : JobRecord
        The running job.
    interval_s : float
        Shortest time between two recorded `Advanced` events, in seconds.
    """

    def __init__(self, lane: Lane, job: JobRecord, interval_s: float = 0.5) -> None:
        self._lane = lane
        self._job = job
        self._interval_s = interval_s
        self._tasks: dict[str, JobProgress] = {}
        self._recorded = float("-inf")

    def __call__(self, event: Event) -> None:
        """Record an event."""
        progress = None
        match event:
            case Started():
                progress = JobProgress(event.task, event.done, event.total, event.unit)
            case Advanced():
                progress = replace(self._tasks[event.task], done=event.done, detail=event.detail)
            case Finished():
                progress = replace(self._tasks[event.task], done=self._tasks[event.task].total, detail="")
            case Note():
                event = Note(public_text(event.message))
        if progress is not None:
            self._tasks[progress.task] = progress
        now = time.monotonic()
        if isinstance(event, Advanced):
            if now - self._recorded < self._interval_s:
                return
            self._recorded = now
        self._lane.record(self._job, event, progress)
