"""The inline executor, which runs tasks one after the other in the calling process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hsifeat.errors import HsifeatError
from hsifeat.runtime.executor import Result, Task


class InlineExecutor:
    """An executor that runs tasks in order, in this process and thread. A task runs when the caller takes its result."""

    workers = 1

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        failed: Callable[[Task, HsifeatError], None] | None = None,
    ) -> Iterator[tuple[Task, Result]]:
        """See `Executor.run`. Results come in the order of the tasks."""
        for task in tasks:
            try:
                result = function(task)
            except HsifeatError as error:
                if failed is None:
                    raise
                failed(task, error)
            else:
                yield task, result

    def check_workers(self, function: Callable[[Task], object], task: Task) -> None:
        """Call ``function(task)`` once, in this process; see `Executor.check_workers`."""
        function(task)
