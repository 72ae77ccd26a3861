"""The Typer application: all commands, in the order of `hsifeat --help`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

# In the order of --help, which lists groups of commands last.
_NAMES = (
    "backbones",
    "layers",
    "pretrain",
    "timesteps",
    "extract",
    "import",
    "label",
    "heads",
    "fit",
    "predict",
    "export",
    "bench",
    "sweep",
    "info",
    "scenes",
    "cache",
    "serve",
)
_SETTINGS: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": "markdown"}


class _Commands(Mapping[str, Any]):
    """Commands by name. The module of a command is imported when the command is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


@cache
def _load(name: str) -> Any:
    """Import a command, or a group of commands, from the module of the same name."""
    function = "import_" if name == "import" else name  # `import` is a keyword
    target = getattr(import_module(f"hsifeat.commands.{function}"), function)
    holder = typer.Typer(**_SETTINGS)
    if isinstance(target, typer.Typer):
        holder.add_typer(target, name=name)
    else:
        holder.command(name)(target)
    return get_group(holder).commands[name]


class _Group(TyperGroup):
    """The commands of hsifeat, imported one by one when needed, because importing all of them takes long."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()  # type: ignore[assignment]  # never changed

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the signature of the base class
        """Return the names of all commands in the order of ``--help``, without importing the commands."""
        return list(_NAMES)


app = typer.Typer(name="hsifeat", cls=_Group, no_args_is_help=True, **_SETTINGS)


def _show_version(wanted: bool) -> None:  # the signature of a callback of Typer
    if wanted:
        typer.echo(f"hsifeat {version('hsifeat')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version of hsifeat, and exit."
        ),
    ] = False,
) -> None:
    """Classify hyperspectral scenes with features of frozen diffusion models.

    The features are computed once and cached. Classifiers then train on them within seconds. From a public scene to a
    report:

        hsifeat pretrain indian-pines --network mtmsd --out backbone

        hsifeat extract indian-pines --backbone backbone --out ip.zarr

        hsifeat bench ip.zarr --out report
    """
