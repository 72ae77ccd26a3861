"""The Typer application: all commands, in the order of `hsifeat --help`."""

from __future__ import annotations

import typer

from hsifeat.commands.backbones import backbones
from hsifeat.commands.bench import bench
from hsifeat.commands.cache import cache
from hsifeat.commands.export import export
from hsifeat.commands.extract import extract
from hsifeat.commands.fit import fit
from hsifeat.commands.heads import heads
from hsifeat.commands.import_ import import_
from hsifeat.commands.info import info
from hsifeat.commands.label import label
from hsifeat.commands.layers import layers
from hsifeat.commands.predict import predict
from hsifeat.commands.pretrain import pretrain
from hsifeat.commands.scenes import scenes
from hsifeat.commands.serve import serve
from hsifeat.commands.sweep import sweep
from hsifeat.commands.timesteps import timesteps

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
for command in (
    backbones,
    layers,
    pretrain,
    timesteps,
    extract,
    import_,
    label,
    heads,
    fit,
    predict,
    export,
    bench,
    sweep,
    info,
):
    app.command(command.__name__.strip("_"))(command)
app.add_typer(scenes, name="scenes")
app.add_typer(cache, name="cache")
app.add_typer(serve, name="serve")
