"""Jobs, and events in the logs of jobs, as the database stores them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class JobKind(StrEnum):
    """Kind of work of a job."""

    EXTRACT = "extract"
    FIT = "fit"
    PREDICT = "predict"
    BENCH = "bench"


class JobState(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether a job in this state never changes again."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


class Priority(StrEnum):
    """Priority of a job. Jobs of equal priority run in the order of their submission."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """Rank of the priority. Jobs with a higher rank run first."""
        return list(Priority).index(self)


LANES = {"extraction": (JobKind.EXTRACT,), "analysis": (JobKind.FIT, JobKind.PREDICT, JobKind.BENCH)}
"""Kinds of jobs of each runner. Because of the two runners, a fit of seconds does not wait for an extraction of hours."""


@dataclass(frozen=True)
class JobProgress:
    """Progress of the current task of a job.

    Attributes
    ----------
    task : str
        Name of the task.
    done, total : float
        Completed and total amount of work, in `unit`.
    unit : str
        Unit of work in the plural, such as ``tiles`` or ``fits``.
    detail : str
        A short text, such as the current loss.
    """

    task: str
    done: float
    total: float
    unit: str
    detail: str = ""


@dataclass(frozen=True)
class JobRecord:
    """A job of the service.

    Attributes
    ----------
    id : str
        Identifier, 16 hexadecimal digits.
    kind : JobKind
        Kind of work.
    key : str
        Key of the request, see `JobRequest.key`. Unfinished jobs have different keys, with one exception: a job that is
        about to be cancelled can have the key of another unfinished job. If a store or file changes after the request, the
        runner sets the key of the state that the job read. If it changes during the job, the job answers no later request.
    request : dict
        The request as JSON values.
    owners : tuple of str
        Names of the people who wait for the job. The job is cancelled when the last of these people withdraws.
    state : JobState
        Current state.
    reason : str
        Why the job failed or was cancelled, or an empty string.
    priority : Priority
        Priority in the queue.
    attempts : int
        Number of times that the job was started.
    created, started, finished : float
        Times in seconds since 1970; 0 if the job has not been started or has not ended.
    progress : JobProgress or None
        Progress of the current task; None before the first task.
    result : dict
        Description of the result as JSON values, such as the key of the store; empty for a job that is not done.
    cancelling : bool
        Whether a running job is about to be cancelled.
    """

    id: str
    kind: JobKind
    key: str
    request: dict[str, Any]
    owners: tuple[str, ...]
    state: JobState
    reason: str
    priority: Priority
    attempts: int
    created: float
    started: float
    finished: float
    progress: JobProgress | None
    result: dict[str, Any]
    cancelling: bool


@dataclass(frozen=True)
class JobEvent:
    """An event in the log of a job.

    Attributes
    ----------
    id : int
        Number of the event. A later event of any job has a higher number.
    name : str
        ``state``, ``started``, ``advanced``, ``finished`` or ``note``.
    data : dict
        Content of the event as JSON values.
    """

    id: int
    name: str
    data: dict[str, Any]
