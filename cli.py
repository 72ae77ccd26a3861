"""The command line: the list of its verbs, and what becomes of errors. What verbs do is in hsifeat/commands/."""

from __future__ import annotations

import sys

import typer

from hsifeat.commands.backbones import backbones, layers
from hsifeat.commands.bench import bench, sweep
from hsifeat.commands.cache import cache
from hsifeat.commands.export import export
from hsifeat.commands.extract import extract
from hsifeat.commands.heads import fit, heads, predict
from hsifeat.commands.info import info
from hsifeat.commands.pretrain import pretrain
from hsifeat.commands.scenes import scenes
from hsifeat.commands.timesteps import timesteps
from hsifeat.errors import HsifeatError

_CTRL_C = 130
_INTERRUPTED = "interrupted; what is finished is kept, and the same command goes on from there"

app = typer.Typer(
    name="hsifeat",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Diffusion features of hyperspectral scenes: computed once, learned from many times.

    The whole way, on a public scene that comes with hsifeat:

        hsifeat pretrain indian-pines --network mtmsd --out backbone

        hsifeat extract indian-pines --backbone backbone --out ip.zarr

        hsifeat bench ip.zarr --out report
    """,
)
# In the order of --help, which puts the groups last.
for verb in (backbones, layers, pretrain, timesteps, extract, heads, fit, predict, export, bench, sweep, info):
    app.command()(verb)
app.add_typer(scenes, name="scenes")
app.add_typer(cache, name="cache")


def main() -> None:
    """Run the command line; errors that hsifeat raises on purpose become one message and exit status 1."""
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    try:
        status = app(arguments, standalone_mode=False)
        if status == _CTRL_C:  # Typer catches it, and returns its exit status.
            _complain(_INTERRUPTED)
    except HsifeatError as error:
        if debug:
            raise
        _complain(str(error))
        status = 1
    except OSError as error:
        if debug:
            raise
        _complain(f"{error.filename or 'a file'} can't be used: {error.strerror or error}")
        status = 1
    except KeyboardInterrupt:
        _complain(_INTERRUPTED)
        status = _CTRL_C
    except Exception as error:
        # Click's own errors (wrong usage, abort) know how to show themselves and their exit status.
        if not hasattr(error, "exit_code") and type(error).__name__ != "Abort":
            raise
        if hasattr(error, "show"):
            error.show()
        status = getattr(error, "exit_code", _CTRL_C)
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> None:
    from hsifeat.commands import terminal

    terminal.complain(message)


if __name__ == "__main__":
    main()
