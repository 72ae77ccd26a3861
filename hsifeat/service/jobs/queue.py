"""The queue of jobs: submission, cancellation and listing. Equal requests of several people share one unfinished job."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from sqlite3 import Connection
from threading import Lock
from typing import Any, Literal

from hsifeat.formatting import format_count
from hsifeat.runtime.events import Event, Listener, Note
from hsifeat.service.jobs.database import JobDatabase, add_event, select_jobs, set_state
from hsifeat.service.jobs.records import LANES, JobKind, JobRecord, JobState, Priority
from hsifeat.service.problems import ProblemError, public_text

_RETRY_BOUNDS_S = (5, 600)
_RECENT_JOBS = 20


class QueueFullError(ProblemError):
    """Raised if the queue has no room for another job.

    Attributes
    ----------
    retry_after_s : int
        Estimated time in seconds until another job can be queued.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(429, message, {"Retry-After": str(retry_after_s)})
        self.retry_after_s = retry_after_s


class UnknownJobError(ProblemError):
    """Raised if no job has the given identifier."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


class NotOwnerError(ProblemError):
    """Raised if a job or an upload belongs to another person, and the caller is not an administrator."""

    def __init__(self, message: str) -> None:
        super().__init__(403, message)


@dataclass(frozen=True)
class Submission:
    """Job that answers a submitted request.

    Attributes
    ----------
    job : JobRecord
        The job.
    outcome : {"answered", "joined", "queued"}
        ``answered``: `job` is finished. ``joined``: `job` is unfinished and was submitted before. ``queued``: `job` is new.
    """

    job: JobRecord
    outcome: Literal["answered", "joined", "queued"]


class JobQueue:
    """Queue of jobs in a database.

    Parameters
    ----------
    database : JobDatabase
        Database of the jobs.
    queue_size : int
        Maximum number of queued jobs.
    queue_size_each : int
        Maximum number of queued jobs of one person.
    """

    def __init__(self, database: JobDatabase, *, queue_size: int, queue_size_each: int) -> None:
        self._database = database
        self._queue_size = queue_size
        self._queue_size_each = queue_size_each
        self._searching = Lock()

    def submit(
        self,
        kind: JobKind,
        key: str,
        request: dict[str, Any],
        *,
        owner: str,
        priority: Priority = Priority.NORMAL,
        still_valid: Callable[[JobRecord], bool] = lambda _: False,
        find_result: Callable[[Listener], dict[str, Any] | None] | None = None,
    ) -> Submission:
        """Return the job that answers a request: a job with the same key, or a new job in the queue.

        A finished job answers the request only if its result still exists. If no job answers the request, but `find_result`
        finds the result, a finished job with this result is recorded and returned. Only one search runs at a time, because
        a search can open a large scene.

        Parameters
        ----------
        kind : JobKind
            Kind of the job.
        key : str
            Digest of everything that determines the result. Requests with equal keys have equal results.
        request : dict
            The request as JSON values.
        owner : str
            Name of the person who submits the request.
        priority : Priority
            Priority of the job. If an unfinished job with this key has a lower priority, its priority is raised to this
            value.
        still_valid : callable
            Takes a finished job with this key, and returns whether the result of the job still exists.
        find_result : callable, optional
            Looks for a result that no job of the service computed. Its argument is a listener, which receives the notes of the
            search. Its result describes what was found, as JSON values, or is None. [default: no search]

        Raises
        ------
        QueueFullError
            If the queue is full, or if the person has too many queued jobs.
        """
        new = _NewJob(kind, key, request, owner, priority)
        known = self._known(key, owner, priority, still_valid)
        if known is not None:
            return known
        if find_result is None:
            return self._add(new, None)
        # Of equal requests at the same time, one searches, and the others wait for its job.
        with self._searching:
            known = self._known(key, owner, priority, still_valid)
            if known is not None:
                return known
            events: list[Event] = []
            return self._add(new, find_result(events.append), events)

    def job(self, job_id: str) -> JobRecord:
        """Return a job.

        Raises
        ------
        UnknownJobError
            If there is no job with this identifier.
        """
        job = self._database.job(job_id)
        if job is None:
            raise UnknownJobError(f"no job {job_id!r}: GET /jobs lists the jobs; old ones are deleted")
        return job

    def jobs(
        self,
        *,
        states: Iterable[JobState] = (),
        kinds: Iterable[JobKind] = (),
        key: str | None = None,
        owner: str | None = None,
        before: str | None = None,
        count: int = 50,
    ) -> list[JobRecord]:
        """List jobs, latest first.

        Parameters
        ----------
        states, kinds : iterables of JobState and JobKind
            Only jobs in these states and of these kinds; empty for all.
        key : str, optional
            Only jobs with this key, a digest as in `submit`.
        owner : str, optional
            Only jobs with this person in `JobRecord.owners`.
        before : str, optional
            Only jobs that are older than the job with this identifier.
        count : int
            Maximum number of jobs.
        """
        conditions, values = ["TRUE"], list[Any]()
        for column, allowed in (("state", list(states)), ("kind", list(kinds))):
            if allowed:
                conditions.append(f"{column} IN ({', '.join('?' * len(allowed))})")
                values += allowed
        if key is not None:
            conditions.append("key = ?")
            values.append(key)
        if owner is not None:
            conditions.append("id IN (SELECT job FROM owners WHERE name = ?)")
            values.append(owner)
        if before is not None:
            conditions.append("number < (SELECT number FROM jobs WHERE id = ?)")
            values.append(before)
        return self._database.jobs(" AND ".join(conditions), tuple(values), count=count)

    def cancel(self, job_id: str, owner: str, *, anyone: bool = False) -> JobRecord:
        """Withdraw the request of a person. If no other person waits for the job, cancel the job.

        A finished job does not change.

        Parameters
        ----------
        job_id : str
            Identifier of the job.
        owner : str
            Name of the person who withdraws the request.
        anyone : bool
            Whether to cancel the job even if other people wait for it.

        Raises
        ------
        UnknownJobError
            If there is no job with this identifier.
        NotOwnerError
            If `owner` does not wait for the job, and `anyone` is False.
        """
        job = self.job(job_id)
        if not anyone and owner not in job.owners:
            raise NotOwnerError(
                f"job {job_id} belongs to {', '.join(job.owners)}: ask them, or a person with admin rights"
            )
        with self._database.transaction() as connection:
            job = select_jobs(connection, "id = ?", (job_id,))[0]
            others = [name for name in job.owners if name != owner]
            if job.state.is_final or job.cancelling:
                return job
            if others and not anyone:
                connection.execute("DELETE FROM owners WHERE job = ? AND name = ?", (job_id, owner))
                add_event(connection, job_id, "note", {"message": f"{owner} no longer waits for this job"})
            elif job.state is JobState.QUEUED:
                set_state(connection, job_id, JobState.CANCELLED, reason=f"cancelled by {owner}")
            else:
                connection.execute(
                    "UPDATE jobs SET cancelling = 1, reason = ? WHERE id = ?", (f"cancelled by {owner}", job_id)
                )
                add_event(connection, job_id, "note", {"message": f"{owner} cancels this job"})
            return select_jobs(connection, "id = ?", (job_id,))[0]

    def delete_old(self, before: float) -> list[str]:
        """Delete the jobs that ended before a time in seconds since 1970, and return their identifiers."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "DELETE FROM jobs WHERE state NOT IN ('queued', 'running') AND finished < ? RETURNING id", (before,)
            ).fetchall()
        return [row["id"] for row in rows]

    def _known(
        self, key: str, owner: str, priority: Priority, still_valid: Callable[[JobRecord], bool]
    ) -> Submission | None:
        """Return the unfinished job with a key, else a finished job with the key whose result still exists, else None."""
        done = self._database.jobs("key = ? AND state = 'done'", (key,), count=1)
        answer = next((job for job in done if still_valid(job)), None)
        with self._database.transaction() as connection:
            joined = _join(connection, key, owner, priority)
        return joined or (None if answer is None else Submission(answer, "answered"))

    def _add(self, job: _NewJob, result: dict[str, Any] | None, events: Iterable[Event] = ()) -> Submission:
        """Add a finished job with the notes among `events` if there is a result, else a queued job."""
        with self._database.transaction() as connection:
            joined = _join(connection, job.key, job.owner, job.priority)
            if joined is not None:
                return joined
            if result is None:
                self._check_room(connection, job)
            job_id = job.insert(connection)
            if result is None:
                add_event(connection, job_id, "state", {"state": JobState.QUEUED, "reason": ""})
            else:
                for event in events:
                    if isinstance(event, Note):
                        add_event(connection, job_id, "note", {"message": public_text(event.message)})
                set_state(connection, job_id, JobState.DONE, result=result)
            added = select_jobs(connection, "id = ?", (job_id,))[0]
            return Submission(added, "queued" if result is None else "answered")

    def _check_room(self, connection: Connection, job: _NewJob) -> None:
        """Raise `QueueFullError` if the queue has no room for a job."""
        queued = connection.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()[0]
        own = connection.execute(
            "SELECT count(*) FROM jobs JOIN owners ON job = id WHERE state = 'queued' AND name = ?", (job.owner,)
        ).fetchone()[0]
        if queued >= self._queue_size or own >= self._queue_size_each:
            whose, count = ("the queue", queued) if queued >= self._queue_size else (f"{job.owner}", own)
            delay_s = self._retry_after_s(job.kind, queued)
            raise QueueFullError(
                f"{whose} already has {format_count(count, 'queued job')}, the largest number allowed: try again in {delay_s} s, or cancel a job",
                delay_s,
            )

    def _retry_after_s(self, kind: JobKind, queued: int) -> int:
        """Estimate the seconds until a queued job starts, from the durations of recent jobs of the same runner."""
        kinds = next(kinds for kinds in LANES.values() if kind in kinds)
        recent = self._database.jobs(
            f"state = 'done' AND attempts > 0 AND kind IN ({', '.join('?' * len(kinds))})", kinds, count=_RECENT_JOBS
        )
        durations_s = sorted(job.finished - job.started for job in recent) or [30.0]
        low, high = _RETRY_BOUNDS_S
        return int(min(max(durations_s[len(durations_s) // 2] * min(queued, 2), low), high))


@dataclass(frozen=True)
class _NewJob:
    """A job to add to the database."""

    kind: JobKind
    key: str
    request: dict[str, Any]
    owner: str
    priority: Priority

    def insert(self, connection: Connection) -> str:
        """Add the job in the state queued within a transaction, and return its identifier."""
        job_id = secrets.token_hex(8)
        connection.execute(
            "INSERT INTO jobs (id, kind, key, request, priority, created) VALUES (?, ?, ?, ?, ?, ?)",
            (job_id, self.kind, self.key, json.dumps(self.request), self.priority.rank, time.time()),
        )
        connection.execute("INSERT INTO owners VALUES (?, ?)", (job_id, self.owner))
        return job_id


def _join(connection: Connection, key: str, owner: str, priority: Priority) -> Submission | None:
    """Add a person to the owners of the unfinished job with a key; return None if there is no such job."""
    for job in select_jobs(connection, "key = ? AND state IN ('queued', 'running') AND NOT cancelling", (key,)):
        connection.execute("INSERT OR IGNORE INTO owners VALUES (?, ?)", (job.id, owner))
        connection.execute("UPDATE jobs SET priority = max(priority, ?) WHERE id = ?", (priority.rank, job.id))
        return Submission(select_jobs(connection, "id = ?", (job.id,))[0], "joined")
    return None
