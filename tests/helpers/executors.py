"""An executor for tests, which runs tasks in the process of the test as a worker gets them."""

import pickle


class InThisProcess:
    """An executor that is not the inline one and runs its tasks here, as a thread pool or a cluster in one process does.

    Parameters
    ----------
    before : callable
        Called before a check of the workers.
    """

    def __init__(self, before=lambda: None):
        self.before = before

    def run(self, function, tasks, *, failed=None):
        """Run a function on copies of the tasks, one after the other."""
        for task in tasks:
            yield task, function(pickle.loads(pickle.dumps(task)))  # noqa: S301  # our own bytes

    def check_workers(self, function, task):
        """Run a function once."""
        self.before()
        function(task)
