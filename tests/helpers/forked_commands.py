"""Run commands in processes of their own that start in milliseconds: a server imports everything once and forks them.

They are real processes: they can be killed, get Ctrl-C, and share nothing with the test but files.
"""

import multiprocessing
import os
import sys
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace

_SERVER = multiprocessing.get_context("forkserver")
# The list is that of the whole session: the first test to start the server decides.
PRELOADED = ["tests.helpers.preloaded_imports", "tests.helpers.forked_commands", "hsifeat.extraction.extract", "cli"]


class ForkedFunction:
    """A function of a module that runs in a process of its own, with its output in files.

    Parameters
    ----------
    function : callable
        The function.
    *arguments
        Its arguments, picklable.
    """

    def __init__(self, function, *arguments):
        self._output = Path(mkdtemp())
        environment = {**os.environ, "COLUMNS": "400"}
        self.process = _SERVER.Process(
            target=_run, args=(environment, str(Path.cwd()), self._output, function, arguments)
        )
        _SERVER.set_forkserver_preload(PRELOADED)
        self.process.start()

    def poll(self):
        """The exit status, or None while it runs."""
        return self.process.exitcode

    def signal(self, number):
        """Send a signal."""
        os.kill(self.process.pid, number)

    def wait(self):
        """Wait for the end; return ``returncode``, ``stdout`` and ``stderr``."""
        self.process.join()
        texts = {name: (self._output / name).read_text() for name in ("stdout", "stderr")}
        return SimpleNamespace(returncode=self.process.exitcode, **texts)


class ForkedCommand(ForkedFunction):
    """A command of hsifeat in a process of its own.

    Parameters
    ----------
    *arguments
        What follows ``hsifeat``.
    patch : callable, optional
        Called in the process before the command; picklable.
    """

    def __init__(self, *arguments, patch=None):
        super().__init__(_command, list(map(str, arguments)), patch)


def run_forked(*arguments, status=0, **options):
    """Run a command to its end, and check its exit status."""
    ended = ForkedCommand(*arguments, **options).wait()
    assert ended.returncode == status, ended.stderr
    return ended


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
