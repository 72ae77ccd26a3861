"""The command line run in the test's own process, which takes no time to start."""

import sys

import pytest


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run a command and return what it prints: standard output, or standard error in one line where it fails."""
    from cli import main

    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["hsifeat", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "400")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == status, printed.err
        assert "Traceback" not in printed.err
        return printed.out if status == 0 else " ".join(printed.err.split())

    return run
