"""An executor for tests, which runs tasks in the process of the test as a worker gets them."""

import pickle
from itertools import islice

from hsifeat.errors import HsifeatError


class InThisProcess:
    """An executor that is not the inline one and runs its tasks here, as a thread pool or a cluster in one process does.

    Parameters
    ----------
    before : callable
        Called before a check of the workers.
    ahead : int
        Number of tasks that are taken before the first of them runs, as by an executor with several workers.
    """

    def __init__(self, before=lambda: None, ahead=1):
        self.before, self.ahead, self.workers = before, ahead, ahead

    def run(self, function, tasks, *, failed=None):
        """Run a function on copies of the tasks, one after the other."""
        queue, taken = iter(tasks), []
        while taken := [*taken, *islice(queue, self.ahead - len(taken))]:
            task = taken.pop(0)
            try:
                result = function(pickle.loads(pickle.dumps(task)))  # noqa: S301  # our own bytes
            except HsifeatError as error:
                if failed is None:
                    raise
                failed(task, error)
            else:
                yield task, result

    def check_workers(self, function, task):
        """Run a function once."""
        self.before()
        function(task)
