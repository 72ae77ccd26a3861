"""A fixture that runs commands in the test's own process, which saves the start of another."""

import sys

import pytest


@pytest.fixture
def cli(monkeypatch, capsys):
    """A function that runs a command and returns its output, or its messages on one line if it must fail."""
    from cli import main

    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["hsifeat", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "400")
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        assert end.value.code == status, output.err
        assert "Traceback" not in output.err
        return output.out if status == 0 else " ".join(output.err.split())

    return run
