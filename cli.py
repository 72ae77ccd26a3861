"""Command line of hsifeat: registers the commands of `hsifeat.commands`, and prints errors."""

from __future__ import annotations

import signal
import sys

import typer

from hsifeat.commands.backbones import backbones
from hsifeat.commands.bench import bench
from hsifeat.commands.cache import cache
from hsifeat.commands.export import export
from hsifeat.commands.extract import extract
from hsifeat.commands.fit import fit
from hsifeat.commands.heads import heads
from hsifeat.commands.info import info
from hsifeat.commands.layers import layers
from hsifeat.commands.predict import predict
from hsifeat.commands.pretrain import pretrain
from hsifeat.commands.scenes import scenes
from hsifeat.commands.sweep import sweep
from hsifeat.commands.timesteps import timesteps
from hsifeat.errors import HsifeatError, raise_out_of_memory

_CTRL_C = 130
_INTERRUPTED = "interrupted; finished work is kept, and the same command continues from there"

app = typer.Typer(
    name="hsifeat",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Classify hyperspectral scenes with features of frozen diffusion models.

    The features are computed once and cached. Classifiers then train on them within seconds. From a public scene to a
    report:

        hsifeat pretrain indian-pines --network mtmsd --out backbone

        hsifeat extract indian-pines --backbone backbone --out ip.zarr

        hsifeat bench ip.zarr --out report
    """,
)
# In the order of --help, which lists groups last.
for command in (backbones, layers, pretrain, timesteps, extract, heads, fit, predict, export, bench, sweep, info):
    app.command()(command)
app.add_typer(scenes, name="scenes")
app.add_typer(cache, name="cache")


def main() -> None:
    """Run the command line, and exit with its status.

    A `HsifeatError` or an unusable file is printed as one message, with exit status 1. With ``--debug`` its traceback is
    printed instead. Wrong usage has exit status 2, and an interrupt has exit status 130.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    try:
        status = _run(arguments)
        if status == _CTRL_C:  # Typer catches the interrupt and returns its exit status.
            _show_interrupt()
    except HsifeatError as error:
        if debug:
            raise
        _show_error(str(error))
        status = 1
    except OSError as error:
        if debug:
            raise
        _show_error(f"{error.filename or 'a file'} can't be used: {error.strerror or error}")
        status = 1
    except KeyboardInterrupt:
        _show_interrupt()
        status = _CTRL_C
    except Exception as error:
        # Click's own errors (wrong usage, abort) have an exit status and show themselves.
        if not hasattr(error, "exit_code") and type(error).__name__ != "Abort":
            raise
        if hasattr(error, "show"):
            error.show()
        status = getattr(error, "exit_code", _CTRL_C)
    sys.exit(status if isinstance(status, int) else 0)


def _run(arguments: list[str]) -> object:
    """Run a command and return its status. If memory runs out, in whichever library, raise `OutOfMemoryError`."""
    try:
        return app(arguments, standalone_mode=False)
    except Exception as error:
        raise_out_of_memory(error)
        raise


def _show_interrupt() -> None:
    # A further Ctrl-C while the process ends must not replace the exit status.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _show_error(_INTERRUPTED)


def _show_error(message: str) -> None:
    from hsifeat.commands import terminal

    terminal.complain(message)


if __name__ == "__main__":
    main()
