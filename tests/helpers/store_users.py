"""Processes that read or write a store, for tests of locks."""

import os
import signal
from contextlib import contextmanager

from tests.helpers.forked_commands import SERVER


class StoreUser:
    """A process that uses a store in steps. After each step, it sends a word to the test, and waits until the test calls `go_on`.

    Parameters
    ----------
    function : callable
        Module-level function that the process runs. Its arguments are the path of the store, a function that sends a word, and a
        function that waits for `go_on`.
    path : Path
        The store.
    """

    def __init__(self, function, path):
        self.said, say = SERVER.Pipe(duplex=False)
        wait, self._told = SERVER.Pipe(duplex=False)
        self._process = SERVER.Process(target=_use, args=(dict(os.environ), function, path, say, wait))
        self._process.start()
        for end in (say, wait):
            end.close()

    def hear(self):
        """Wait for the next word of the process, and return it. Return an empty string if the process has ended."""
        try:
            return self.said.recv()
        except EOFError:
            return ""

    def go_on(self):
        """Allow the process to begin its next step."""
        self._told.send("go on")

    def wait(self):
        """Wait for the process to end, and return its exit status."""
        self._process.join()
        return self._process.exitcode

    def kill(self):
        """Kill the process if it still runs, and return its exit status."""
        self._process.kill()
        return self.wait()


def write(path, say, wait):
    """Hold the write lock of a store until `wait` returns."""
    from hsifeat.store.location import as_location
    from hsifeat.store.locks import write_lock

    with write_lock(as_location(path), lambda: say("waits")):
        say("holds")
        wait()


def read(path, say, wait):
    """Keep the features of a store open until `wait` returns."""
    import hsifeat

    features = hsifeat.open_features(path)
    say("holds")
    wait()
    del features


def read_after_a_child(path, say, wait):
    """Keep the features of a store open until `wait` returns. Before, a forked child process deletes its copy of the features."""
    import hsifeat

    features = hsifeat.open_features(path)
    child = os.fork()
    if child == 0:
        del features
        os._exit(0)
    os.waitpid(child, 0)
    say("holds")
    wait()
    del features


def _use(environment, function, path, say, wait):
    os.environ.clear()
    os.environ.update(environment)
    function(path, say.send, wait.recv)


@contextmanager
def process(function, path):
    """Start a `StoreUser` for a ``with`` block, and kill the process at the end."""
    user = StoreUser(function, path)
    try:
        yield user
    finally:
        user.kill()


def kill(user):
    """Kill a `StoreUser` whose process still runs."""
    assert user.kill() == -signal.SIGKILL
