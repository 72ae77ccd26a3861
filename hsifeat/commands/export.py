"""`hsifeat export`: write cached features to a file for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsifeat.commands import terminal
from hsifeat.commands.option_types import comma_list
from hsifeat.commands.shared_options import LabelName, Planes, Store


def export(
    out: Annotated[Path, typer.Option(help="File to write: .npy, .parquet or .mat.")],
    store: Store = None,
    planes: Planes = None,
    labels: LabelName = None,
    all_pixels: Annotated[
        bool, typer.Option("--all", help="Write all pixels with features instead of the labelled pixels.")
    ] = False,
    spectra: Annotated[
        bool, typer.Option("--spectra", help="Also write the bands of the scene, in columns before the features.")
    ] = False,
) -> None:
    """Write the cached features of labelled pixels, or of all pixels, to a file for other tools.

    Example: `hsifeat export ip.zarr --out ip.parquet --planes 't50/*' --labels ground-truth`
    """
    from hsifeat.features.export import export_features
    from hsifeat.features.open_features import open_features

    features, names = open_features(store), None if planes is None else comma_list(planes)
    with terminal.progress() as listen:
        files = export_features(
            features, out, planes=names, labels=labels, all_pixels=all_pixels, spectra=spectra, listen=listen
        )
    terminal.say(f"features of {features.name}: {', '.join(map(str, files))}")
