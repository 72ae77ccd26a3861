"""Commands that run within the test process, which is faster than a new process."""

import signal
import sys
import threading
import warnings

import pytest


def run_main(*arguments):
    """Run a command, restore the state of this process that the command changed, and return the exit status."""
    from cli import main

    handler, before = signal.getsignal(signal.SIGINT), (sys.argv, sys.stdout, sys.stderr)
    hook = threading.excepthook
    sys.argv = ["hsifeat", *map(str, arguments)]
    try:
        with warnings.catch_warnings():
            main()
    except SystemExit as end:
        return end.code
    finally:
        sys.argv, sys.stdout, sys.stderr = before
        signal.signal(signal.SIGINT, handler)
        threading.excepthook = hook


@pytest.fixture
def cli(monkeypatch, capsys):
    """Return a function that runs a command. It returns the output, or the error message if the command must fail.

    The attributes ``printed`` and ``messages`` of the function contain the standard output and the standard error of the
    last command.
    """

    def run(*arguments, status=0):
        monkeypatch.setenv("COLUMNS", "400")
        capsys.readouterr()
        code = run_main(*arguments)
        output = capsys.readouterr()
        assert code == status, output.err
        assert "Traceback" not in output.err
        run.printed, run.messages = output.out, " ".join(output.err.split())
        return output.out if status == 0 else run.messages

    return run
