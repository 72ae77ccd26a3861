"""The process executor, which runs tasks in parallel in processes on this machine.

Worker processes exit when their parent process ends, even if the parent is killed: the operating system then closes a
pipe that each worker watches.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import current_process, util
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_ends
from threading import Thread
from typing import Any, Generic, cast

from hsifeat.errors import HsifeatError
from hsifeat.runtime.executor import Result, Task

SCRIPT_ADVICE = 'in Python, a script that starts workers needs the line: if __name__ == "__main__":'
# Number of submitted tasks per worker. A free worker finds its next task ready, and few results accumulate in memory.
_TASKS_PER_WORKER = 2


class ProcessExecutor:
    """An executor that runs tasks in spawned processes. The processes inherit neither state nor threads of this process.

    The processes start with the first task.

    Parameters
    ----------
    workers : int
        Number of processes, at least 1.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        # Workers wait for the other end of this pipe to close.
        self._receiver, self._sender = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(workers, context, _start_worker, (self._receiver,))

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        failed: Callable[[Task, HsifeatError], None] | None = None,
    ) -> Iterator[tuple[Task, Result]]:
        """See `Executor.run`. The number of submitted tasks is at most twice the number of workers.

        A submitted task counts until the caller takes its result. If a worker process dies, for example because memory
        ran out, a `HsifeatError` is raised.
        """
        end_imported_script()
        try:
            queue = iter(tasks)
            pending: dict[Future[tuple[Result, None] | tuple[None, HsifeatError]], Task] = {}
            while True:
                for task in islice(queue, _TASKS_PER_WORKER * self.workers - len(pending)):
                    pending[self._pool.submit(_Call(function), task)] = task
                if not pending:
                    return
                self._watch_new_workers()
                future = next(iter(wait(pending, return_when=FIRST_COMPLETED).done))
                task = pending.pop(future)
                result, error = future.result()
                if error is None:
                    yield task, cast("Result", result)
                elif failed is None:
                    raise error
                else:
                    failed(task, error)
        except BrokenProcessPool as error:
            raise HsifeatError(
                "a worker process died, perhaps because memory ran out; finished results are kept: run the command again "
                f"with fewer workers; one worker runs in this process; {SCRIPT_ADVICE}"
            ) from error

    def _watch_new_workers(self) -> None:
        """Make the pool watch the workers that it started with the last tasks, so that it notices if they die.

        At each event, `ProcessPoolExecutor` updates the list of workers that it watches. It starts a worker only after the
        event of its task. Without another event, the death of the last worker would never be noticed.
        """
        pool: Any = self._pool
        with pool._shutdown_lock:  # noqa: SLF001  # there is no public function
            pool._executor_manager_thread_wakeup.wakeup()  # noqa: SLF001

    def check_workers(self, function: Callable[[Task], object], task: Task) -> None:
        """Call ``function(task)`` once, in one of the worker processes; see `Executor.check_workers`."""
        for _ in self.run(function, [task]):
            pass

    def close(self) -> None:
        """Wait until the submitted tasks have ended, and stop the workers."""
        self._pool.shutdown()
        self.kill()

    def kill(self) -> None:
        """Stop the workers at once."""
        self._sender.close()
        self._pool.shutdown(cancel_futures=True)
        self._receiver.close()


def end_imported_script() -> None:
    """End this process if it is a new worker that imports the script of its parent.

    Without ``if __name__ == "__main__":``, the script would start workers in each worker. The parent process raises an error with
    `SCRIPT_ADVICE`.
    """
    if getattr(current_process(), "_inheriting", False):
        sys.exit(SCRIPT_ADVICE)


@dataclass(frozen=True)
class _Call(Generic[Task, Result]):
    """Call of a function in a worker. A `HsifeatError` is returned, because the pool replaces the cause of a raised error."""

    function: Callable[[Task], Result]

    def __call__(self, task: Task) -> tuple[Result, None] | tuple[None, HsifeatError]:
        try:
            return self.function(task), None
        except HsifeatError as error:
            error.add_note(f"in a worker process:\n{''.join(traceback.format_exception(error))}")
            return None, error


def _start_worker(receiver: Connection) -> None:
    # Ctrl-C reaches every process of a terminal. Workers ignore it, because the process that started them reacts to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # When one worker has ended, the pool terminates the others, which must still clean up. Python calls signal handlers between
    # two steps of the main thread, so a long step would delay them; the byte in the pipe arrives at once.
    terminated, signals = os.pipe()
    os.set_blocking(signals, False)
    signal.set_wakeup_fd(signals)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    Thread(target=_exit_in_time, args=(receiver, terminated), daemon=True).start()


def _exit_in_time(receiver: Connection, terminated: int) -> None:
    """Exit when the parent process has ended or closed its end of the pipe, or when this process is terminated."""
    wait_for_ends([receiver, terminated])
    # Unlink the semaphores of libraries that the worker imported, such as tqdm. Otherwise Python warns of leaked ones.
    util._run_finalizers(0)  # type: ignore[attr-defined]  # noqa: SLF001  # there is no public function
    os._exit(1)
