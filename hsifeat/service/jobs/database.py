"""Database of jobs: a SQLite file in WAL mode that the service and its runners share."""

from __future__ import annotations

import json
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from hsifeat.errors import DiskFullError, StoreError
from hsifeat.files import disk_errors
from hsifeat.service.jobs.records import JobEvent, JobKind, JobProgress, JobRecord, JobState, Priority

_VERSION = 1
_BUSY_TIMEOUT_S = 20
# Maximum number of kept notes of a job, and of its other events. A long extraction has thousands of events.
_EVENTS_PER_JOB = 1000
_SCHEMA = """
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  request TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'queued',
  reason TEXT NOT NULL DEFAULT '',
  priority INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  cancelling INTEGER NOT NULL DEFAULT 0,
  created REAL NOT NULL,
  started REAL NOT NULL DEFAULT 0,
  finished REAL NOT NULL DEFAULT 0,
  progress TEXT,
  result TEXT NOT NULL DEFAULT '{}'
);
-- Single flight: at most one unfinished job has a key, except a job that is about to be cancelled.
CREATE UNIQUE INDEX active_key ON jobs (key) WHERE state IN ('queued', 'running') AND NOT cancelling;
CREATE INDEX waiting ON jobs (state, priority, number);
CREATE TABLE owners (job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, name TEXT NOT NULL, PRIMARY KEY (job, name));
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  data TEXT NOT NULL
);
CREATE INDEX events_of_job ON events (job, id);
"""


class JobDatabase:
    """Access to the database of jobs.

    Each transaction opens its own connection, so threads and processes can share the file.

    Parameters
    ----------
    path : Path
        File of the database. If the file does not exist, it is created.

    Raises
    ------
    StoreError
        If the file is damaged. If another version of hsifeat wrote the file. If the disk is full or not writable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        with self.transaction() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise StoreError(
                    f"{path} has version {version} of the table of jobs, and this hsifeat reads version {_VERSION}: move the file "
                    "elsewhere; the jobs are lost, and the stores are kept"
                )
        # The last connection deletes the log, and the next one needs room for a new one, which a full disk does not have. So one
        # connection stays open, and opens the log by reading.
        with self._errors():
            keeper = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
            weakref.finalize(self, keeper.close)
            keeper.execute("SELECT count(*) FROM jobs").fetchone()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Begin a transaction that can write, and yield its connection.

        The transaction is committed at the end of the ``with`` block, or rolled back on an error.
        """
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:  # SQLite itself rolls back when the disk is full.
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def jobs(self, where: str = "TRUE", values: tuple[Any, ...] = (), *, count: int = -1) -> list[JobRecord]:
        """Return the jobs that meet an SQL condition, latest first.

        Parameters
        ----------
        where : str
            SQL condition with ``?`` in place of values. It must not contain text from a client.
        values : tuple
            Values for the placeholders ``?``, in order.
        count : int
            Maximum number of jobs; -1 for all.
        """
        with self._connect() as connection:
            return select_jobs(connection, f"{where} ORDER BY number DESC LIMIT ?", (*values, count))

    def job(self, job_id: str) -> JobRecord | None:
        """Return a job, or None if there is no job with this identifier."""
        return next(iter(self.jobs("id = ?", (job_id,))), None)

    def events(self, job_id: str, after: int, count: int = 500) -> list[JobEvent]:
        """Return events of a job in chronological order.

        Parameters
        ----------
        job_id : str
            Identifier of the job.
        after : int
            Identifier of an event. Only events with greater identifiers are returned.
        count : int
            Maximum number of events.
        """
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT id, name, data FROM events WHERE job = ? AND id > ? ORDER BY id LIMIT ?", (job_id, after, count)
            ).fetchall()
        return [JobEvent(row["id"], row["name"], json.loads(row["data"])) for row in rows]

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with (
            self._errors(),
            closing(sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)) as connection,
        ):
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert errors of SQLite in the ``with`` block to a `StoreError`."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
                raise DiskFullError(
                    f"{self.path} can't be written ({error}): the disk is full; finished work is kept: free some space"
                ) from error
            raise StoreError(f"{self.path} can't be read or written: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path} is damaged ({error}): move the file elsewhere; the jobs are lost, and the stores are kept"
            ) from error


def select_jobs(connection: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> list[JobRecord]:
    """Return the jobs that meet an SQL condition, within an open transaction. See `JobDatabase.jobs` for the parameters.

    Clauses such as ORDER BY may follow the condition. Without ORDER BY, the jobs are in no particular order.
    """
    rows = connection.execute(f"SELECT * FROM jobs WHERE {where}", values).fetchall()  # noqa: S608  # no client's text
    return [_job(connection, row) for row in rows]


def add_event(connection: sqlite3.Connection, job_id: str, name: str, data: dict[str, Any]) -> None:
    """Add an event to the log of a job. The numbers of notes and of other events are limited: the oldest are deleted.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection in a transaction.
    job_id : str
        Identifier of the job.
    name : str
        Name of the event, one of those listed at `JobEvent`.
    data : dict
        Content of the event as JSON values.
    """
    connection.execute("INSERT INTO events (job, name, data) VALUES (?, ?, ?)", (job_id, name, json.dumps(data)))
    connection.execute(
        """
        DELETE FROM events WHERE job = :job AND (name = 'note') = :note AND id <= (
          SELECT id FROM events WHERE job = :job AND (name = 'note') = :note ORDER BY id DESC LIMIT 1 OFFSET :kept
        )
        """,
        {"job": job_id, "note": name == "note", "kept": _EVENTS_PER_JOB},
    )


def set_state(
    connection: sqlite3.Connection,
    job_id: str,
    state: JobState,
    *,
    reason: str = "",
    result: dict[str, Any] | None = None,
) -> None:
    """Change the state of a job, record the time of the change, and add an event.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection in a transaction.
    job_id : str
        Identifier of the job.
    state : JobState
        New state.
    reason : str
        Why the job failed, was cancelled or is queued again; otherwise empty.
    result : dict, optional
        Description of the result as JSON values, for a finished job.
    """
    moments = {JobState.QUEUED: "created = created", JobState.RUNNING: "started = :now, attempts = attempts + 1"}
    connection.execute(
        f"UPDATE jobs SET state = :state, reason = :reason, result = :result, {moments.get(state, 'finished = :now')} "  # noqa: S608
        "WHERE id = :id",
        {
            "state": state,
            "reason": reason,
            "result": json.dumps(result or {}),
            "now": time.time(),
            "id": job_id,
        },
    )
    add_event(connection, job_id, "state", {"state": state, "reason": reason})


def _job(connection: sqlite3.Connection, row: sqlite3.Row) -> JobRecord:
    owners = connection.execute("SELECT name FROM owners WHERE job = ? ORDER BY rowid", (row["id"],)).fetchall()
    return JobRecord(
        id=row["id"],
        kind=JobKind(row["kind"]),
        key=row["key"],
        request=json.loads(row["request"]),
        owners=tuple(owner["name"] for owner in owners),
        state=JobState(row["state"]),
        reason=row["reason"],
        priority=list(Priority)[row["priority"]],
        attempts=row["attempts"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        progress=None if row["progress"] is None else JobProgress(**json.loads(row["progress"])),
        result=json.loads(row["result"]),
        cancelling=bool(row["cancelling"]),
    )
