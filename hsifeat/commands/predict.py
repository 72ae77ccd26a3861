"""`hsifeat predict`: classify a whole scene with a trained head."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from classifiers.registered_smoothing import smoothing_forms
from hsifeat.commands.executors import with_executor
from hsifeat.commands.shared_options import Stores


@with_executor
def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a model, written by `hsifeat fit --out`.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Map to write: .tif, .png, .npy or .mat.")],
    stores: Stores = None,
    probabilities: Annotated[
        bool,
        typer.Option("--probabilities", help="Write the probability of each class instead of the most probable class."),
    ] = False,
    smooth: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help=f"Smoothing of the class probabilities over the scene: {smoothing_forms()}; or none. [default: the rule of the "
            "model]",
        ),
    ] = None,
    executor: str | None = None,
) -> None:
    """Classify all pixels of a scene with a trained head, and write a map.

    Example: `hsifeat predict film-model ip.zarr --out map.tif`

    With another smoothing rule: `hsifeat predict film-model ip.zarr --smooth guided:4 --out map.tif`

    On a cluster: `hsifeat predict film-model ip.zarr --out map.tif --dask tcp://10.0.0.1:8786`
    """
    from classifiers.model import load_model
    from classifiers.predict import write_scene_map
    from hsifeat.commands import terminal
    from hsifeat.features.stack import open_stack
    from hsifeat.scenes.maps import check_map_path

    check_map_path(out, probabilities=probabilities)
    loaded, features = load_model(model), open_stack(stores)
    with terminal.progress() as listen:
        notes = write_scene_map(
            features, loaded, out, probabilities=probabilities, smooth=smooth, executor=executor, listen=listen
        )
    for line in [] if loaded.card is None else loaded.card.describe():
        terminal.say(line)
    for note in notes:
        terminal.note(note)
    terminal.say(f"{'probabilities' if probabilities else 'map'} of {features.name}: {out}")
