"""An executor for tests, which runs tasks in this process but pickles each task, as for a worker."""

import pickle
from itertools import islice

from hsifeat.errors import HsifeatError


class InThisProcess:
    """An executor that runs its tasks in this process, but is not the inline executor.

    Tasks are pickled and unpickled, as by an executor with workers.

    Parameters
    ----------
    before : callable
        Called before a check of the workers.
    ahead : int
        Number of tasks that are taken from the iterable before the first task runs, as by an executor with several workers.
    """

    def __init__(self, before=lambda: None, ahead=1):
        self.before, self.ahead, self.workers = before, ahead, ahead

    def run(self, function, tasks, *, failed=None):
        """Run a function on unpickled copies of the tasks, one after the other."""
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
        """Call ``function(task)`` once, in this process."""
        self.before()
        function(task)
