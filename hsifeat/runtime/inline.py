"""The inline executor, which runs tasks one after the other in the calling process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hsifeat.runtime.executor import Result, Task


class InlineExecutor:
    """An executor that runs tasks in order, in this process and thread. A task runs when the caller takes its result."""

    def run(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Run a function on tasks, and yield each task with its result, in the order of the tasks."""
        for task in tasks:
            yield task, function(task)
