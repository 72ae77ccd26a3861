"""A fixture that runs commands within the test process, which is faster than a new process."""

import sys

import pytest


@pytest.fixture
def cli(monkeypatch, capsys):
    """Return a function that runs a command and returns its output, or its error message if the command must fail."""
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
