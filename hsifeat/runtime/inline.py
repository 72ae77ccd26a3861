"""The inline executor: runs tasks one after the other in the calling process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hsifeat.runtime.executor import Result, Task


class InlineExecutor:
    """Runs tasks in order, in this process and thread; each when its result is asked for."""

    def run(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result, in order."""
        for task in tasks:
            yield task, function(task)
