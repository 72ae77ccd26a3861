"""Choice between the inline executor and worker processes, by the cores and memory of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hsifeat.errors import HsifeatError
from hsifeat.formatting import format_bytes
from hsifeat.runtime.events import Listener, Note, check_listener, silent
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.runtime.processes import ProcessExecutor
from hsifeat.runtime.resources import available_bytes, available_cores
from hsifeat.types import check_integers

# Memory of a process that has imported NumPy, scikit-learn and torch and holds no data yet.
_PROCESS_BYTES = 600_000_000


@contextmanager
def local_executor(workers: int | None, task_bytes: float, *, listen: Listener = silent) -> Iterator[Executor]:
    """Open an executor on this machine for a ``with`` block.

    At the end of the block, worker processes finish their tasks and stop. After an error or Ctrl-C, they stop at once.

    Parameters
    ----------
    workers : int or None
        Number of tasks that run in parallel. If 1, tasks run in this process. If None, there are as many workers as cores
        and memory allow.
    task_bytes : int or float
        Maximum memory of a task, in bytes; a whole number, such as 4e9.
    listen : callable
        Receives a note if there are several workers, or if the memory may be too small for a single worker.

    Yields
    ------
    Executor
        The executor.

    Raises
    ------
    HsifeatError
        If the number of workers is less than 1. If several workers do not fit into memory. A single worker is always
        allowed, because `task_bytes` is an estimate.

    Examples
    --------
    >>> import hsifeat
    >>> with hsifeat.local_executor(1, 0) as executor:
    ...     sorted(executor.run(abs, [-3, 2]))
    [(-3, 3), (2, 2)]

    A script that starts processes needs ``if __name__ == "__main__":``.

    >>> with hsifeat.local_executor(2, 4_000_000_000) as executor:  # doctest: +SKIP
    ...     hsifeat.extract("indian-pines", backbone="backbone", out="ip.zarr", executor=executor)
    """
    check_listener(listen)
    check_integers(1, workers=1 if workers is None else workers)
    is_whole = isinstance(task_bytes, float) and task_bytes.is_integer()
    check_integers(0, task_bytes=int(task_bytes) if is_whole else task_bytes)
    worker_bytes = int(task_bytes) + _PROCESS_BYTES
    memory = available_bytes()
    maximum = max(1, memory // worker_bytes)
    if workers is None:
        workers = min(available_cores(), maximum)
    if workers > maximum:
        raise HsifeatError(
            f"{workers} workers take about {format_bytes(workers * worker_bytes)}, and {format_bytes(memory)} of memory are "
            f"free: take at most {maximum}"
        )
    if workers == 1:
        if task_bytes > memory:
            listen(
                Note(
                    f"a task takes about {format_bytes(task_bytes)}, and {format_bytes(memory)} of memory are free: memory may run out"
                )
            )
        yield InlineExecutor()
        return
    listen(Note(f"up to {workers} tasks in parallel, one thread each"))
    executor = ProcessExecutor(workers)
    try:
        yield executor
    except BaseException:
        executor.kill()
        raise
    executor.close()
