"""`hsifeat export`: features in a file for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsifeat.commands.option_types import comma_list
from hsifeat.commands.shared_options import LabelName, Planes, Store


def export(
    out: Annotated[Path, typer.Option(help="The file: .npy, .parquet or .mat.")],
    store: Store = None,
    planes: Planes = None,
    labels: LabelName = None,
    every: Annotated[bool, typer.Option("--all", help="All valid pixels, not the labelled ones only.")] = False,
    spectra: Annotated[bool, typer.Option("--spectra", help="The scene's bands too, before the planes.")] = False,
) -> None:
    """Write features at labelled or at all pixels into a file for other tools.

    Example: `hsifeat export ip.zarr --out ip.parquet --planes 't50/*' --labels ground-truth`
    """
    from hsifeat.commands import terminal
    from hsifeat.features.export import export as write
    from hsifeat.features.features import open_features

    features, chosen = open_features(store), None if planes is None else comma_list(planes)
    with terminal.progress() as listen:
        files = write(features, out, planes=chosen, labels=labels, every=every, spectra=spectra, listen=listen)
    terminal.say(f"features of {features.name}: {', '.join(map(str, files))}")
