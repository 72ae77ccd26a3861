"""The protocol of executors, which run independent tasks in this process, in other processes or on other machines.

Extraction, prediction and benchmarks use only this protocol. To add an executor, implement `Executor`, register an
`hsifeat.runtime.executor_plugins.ExecutorPlugin`, and add the class to the conformance suite,
``tests/runtime/test_executors.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from hsifeat.errors import HsifeatError

Task = TypeVar("Task")
Result = TypeVar("Result")


class Executor(Protocol):
    """An object that runs a function on independent tasks.

    A task is a small value that can be pickled. A task refers to large data by a file path.

    Examples
    --------
    >>> import hsifeat
    >>> with hsifeat.local_executor(1, 0) as executor:
    ...     sorted(executor.run(abs, [-2, 1]))
    [(-2, 2), (1, 1)]
    """

    @property
    def workers(self) -> int:
        """Number of tasks that run in parallel. It changes when workers join or leave a cluster."""
        ...

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        failed: Callable[[Task, HsifeatError], None] | None = None,
    ) -> Iterator[tuple[Task, Result]]:
        """Run a function on tasks, and yield each task with its result, in the order of completion.

        Tasks are taken from the iterable as workers become free.

        Parameters
        ----------
        function : callable
            Function that computes the result of one task. Other processes must be able to import this function.
        tasks : iterable
            The tasks.
        failed : callable, optional
            Callback that receives each failed task and its `HsifeatError`. The remaining tasks still run. [default: the
            first error is raised]

        Yields
        ------
        tuple of task and result
            A task, and what `function` returned for it.

        Raises
        ------
        Exception
            The error of the first task that fails. If `failed` is set, a `HsifeatError` of a task is passed to `failed` and
            not raised.
        HsifeatError
            If the executor permanently loses its workers or the connection to them.
        """
        ...

    def check_workers(self, function: Callable[[Task], object], task: Task) -> None:
        """Call ``function(task)`` at least once on each machine before the work starts, to check that workers can do the work.

        Parameters
        ----------
        function : callable
            Function that raises an error if a worker can't do the work.
        task : object
            Argument of the function.

        Raises
        ------
        Exception
            The error that the function raises.
        """
        ...
