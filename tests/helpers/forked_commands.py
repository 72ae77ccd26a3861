"""Commands in separate processes that start within milliseconds, because they are forked from a server.

The server has imported all modules before. The processes can be killed and interrupted, and share only files with the test.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import sys
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace

SERVER = multiprocessing.get_context("forkserver")
# All tests of a session share the server, so the first test that starts it determines the list.
PRELOADED = ["tests.helpers.preloaded_imports", "tests.helpers.forked_commands", "hsifeat.extraction.extract", "cli"]
SERVER.set_forkserver_preload(PRELOADED)
_ADDRESS = "HSIFEAT_TEST_FORK_SERVER"


def share_server():
    """Start the server, and put its address into the environment. All workers of pytest-xdist then use this server."""
    multiprocessing.forkserver.ensure_running()
    os.environ[_ADDRESS] = multiprocessing.forkserver._forkserver._forkserver_address


def _use_server(address):
    """Fork processes from a server that another process has started and ends."""
    server = multiprocessing.forkserver._forkserver
    server._forkserver_address = address
    server._forkserver_alive_fd = os.open(os.devnull, os.O_WRONLY)  # each request passes one
    server.ensure_running = lambda: None


if _ADDRESS in os.environ:
    _use_server(os.environ[_ADDRESS])


class ForkedFunction:
    """A call of a module-level function in a separate process. The output of the process is written to files.

    Parameters
    ----------
    function : callable
        Function to run.
    *arguments
        Picklable arguments of the function.
    """

    def __init__(self, function, *arguments):
        self._output = Path(mkdtemp())
        for name in ("stdout", "stderr"):  # The process may be killed before it opens them.
            (self._output / name).touch()
        environment = {**os.environ, "COLUMNS": "400"}
        self.process = SERVER.Process(
            target=_run, args=(environment, str(Path.cwd()), self._output, function, arguments)
        )
        self.process.start()

    def poll(self):
        """Return the exit status, or None while the process runs."""
        return self.process.exitcode

    def signal(self, number):
        """Send a signal to the process."""
        os.kill(self.process.pid, number)

    def wait(self):
        """Wait for the process to end, and return an object with the attributes ``returncode``, ``stdout`` and ``stderr``."""
        self.process.join()
        texts = {name: (self._output / name).read_text() for name in ("stdout", "stderr")}
        return SimpleNamespace(returncode=self.process.exitcode, **texts)


class ForkedCommand(ForkedFunction):
    """A command of hsifeat that runs in a separate process.

    Parameters
    ----------
    *arguments
        Command-line arguments after ``hsifeat``.
    patch : callable, optional
        Picklable function that the process calls before the command.
    """

    def __init__(self, *arguments, patch=None):
        super().__init__(_command, list(map(str, arguments)), patch)


def run_forked(*arguments, status=0, **options):
    """Run a command in a separate process, wait for its end, and check the exit status."""
    ended = ForkedCommand(*arguments, **options).wait()
    assert ended.returncode == status, ended.stderr
    return ended


def fork_workers(patch=setattr):
    """Make process executors fork their workers from the server. In ``tests/runtime``, workers are new interpreters instead.

    Parameters
    ----------
    patch : callable
        Function that sets an attribute. In the process of a test, pass the method `setattr` of `pytest.MonkeyPatch`.
    """
    from hsifeat.runtime import processes

    # A process that came from the server would start another one.
    if multiprocessing.forkserver.get_inherited_fds() is not None:
        multiprocessing.forkserver._forkserver.ensure_running = lambda: None
    patch(processes, "multiprocessing", SimpleNamespace(get_context=lambda _: SERVER))


def _run(environment, folder, output, function, arguments):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(output / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(file, number)
        setattr(sys, name, open(number, "w", closefd=False, buffering=1))  # noqa: SIM115
    function(*arguments)


def _command(arguments, patch):
    if patch is not None:
        patch()
    sys.argv = ["hsifeat", *arguments]
    from cli import main

    main()
