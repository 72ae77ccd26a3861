"""The executor protocol: how independent tasks are run, wherever that is.

Extraction, prediction and benchmarks hand their tasks to an executor and do not know which one it is. To add an
executor, implement `Executor` and add it to the conformance suite, ``tests/runtime/test_executors.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs a function on tasks.

    A task is a small value that can be pickled; large data are in files that it names.

    Examples
    --------
    >>> import hsifeat
    >>> with hsifeat.local_executor(1, 0) as executor:
    ...     sorted(executor.run(abs, [-2, 1]))
    [(-2, 2), (1, 1)]
    """

    def run(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result as soon as it is done, in any order; an error of a task is raised.

        Parameters
        ----------
        function : callable
            Computes the result of one task; defined in a module, so that other processes can import it.
        tasks : iterable
            The tasks.
        """
        ...
