"""Executors: the same jobs one after the other in this process, or side by side in processes of their own.

A job is a small value that can be pickled; what is large lies in files that it names. Results come as soon as they are
there. Workers never outlive the process that started them: however that ends, a pipe closes, and they end with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Protocol, TypeVar

from hsifeat.errors import HsifeatError
from hsifeat.runtime.events import Listener, Note, silent

Job = TypeVar("Job")
Result = TypeVar("Result")

# What a process with NumPy, scikit-learn and torch takes before it has any data.
_PROCESS_BYTES = 600_000_000


class Executor(Protocol):
    """Runs jobs."""

    def run(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Yield each job with its result once it is done, in any order; an error of a job is raised."""
        ...


class Inline:
    """Runs jobs one after the other, here."""

    def run(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Yield each job with its result, in order."""
        for job in jobs:
            yield job, work(job)


class Processes:
    """Runs jobs in processes that are started afresh, so that no state and no thread of this one is inherited.

    They start with the first job.

    Parameters
    ----------
    workers : int
        How many, from 1.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        self._ends_with_us, self._alive = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(workers, context, _begin, (self._ends_with_us,))

    def run(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Yield each job with its result once it is done.

        Raises
        ------
        HsifeatError
            A worker died, as when the system takes its memory.
        """
        try:
            futures = {self._pool.submit(work, job): job for job in jobs}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise HsifeatError(
                "a worker process died, perhaps because memory ran out; what is finished is kept: run the command again "
                "with fewer workers (--jobs 1 takes none)"
            ) from error

    def close(self) -> None:
        """End the workers once they have done what they were given."""
        self._pool.shutdown()
        self.kill()

    def kill(self) -> None:
        """End the workers at once."""
        self._alive.close()
        self._pool.shutdown(cancel_futures=True)
        self._ends_with_us.close()


@contextmanager
def executor(jobs: int | None, job_bytes: int, *, listen: Listener = silent) -> Iterator[Executor]:
    """Give an executor within the machine's cores and memory; at the end, or at an error or Ctrl-C, its workers end at once.

    Parameters
    ----------
    jobs : int or None
        How many jobs run side by side; None takes as many as cores and memory allow, and 1 starts no process.
    job_bytes : int
        Most memory that a job takes.
    listen : callable
        Is told how many.

    Raises
    ------
    HsifeatError
        Fewer than one job, or more than the memory allows.
    """
    fit = max(1, available_bytes() // (job_bytes + _PROCESS_BYTES))
    if jobs is None:
        jobs = min(cores(), fit)
    if jobs < 1:
        raise HsifeatError(f"at least one job runs at a time; found {jobs}")
    if jobs > fit:
        raise HsifeatError(
            f"{jobs} jobs side by side take about {jobs * (job_bytes + _PROCESS_BYTES) / 1e9:.1f} GB, and "
            f"{available_bytes() / 1e9:.1f} GB of memory are free: give at most --jobs {fit}"
        )
    if jobs == 1:
        yield Inline()
        return
    listen(Note(f"up to {jobs} fits side by side, each by one thread"))
    processes = Processes(jobs)
    try:
        yield processes
    except BaseException:
        processes.kill()
        raise
    processes.close()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_bytes() -> int:
    """Return how much memory new work can take: what Linux says is available, elsewhere half of what there is."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _begin(ends_with_us: Connection) -> None:
    # Ctrl-C reaches all processes of a terminal: the one that started the others decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=(ends_with_us,), daemon=True).start()


def _end_with(ends_with_us: Connection) -> None:
    with suppress(EOFError, OSError):
        ends_with_us.recv()
    os._exit(1)
