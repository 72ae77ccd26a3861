"""`hsifeat predict`: classify a whole scene with a trained head."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from classifiers.registered_smoothing import smoothing_forms
from hsifeat.commands.executors import with_executor
from hsifeat.commands.scene_options import PLACEHOLDER


@with_executor
def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a model, written by `hsifeat fit --out`.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Map to write: .tif, .png, .npy or .mat. In the path, {scene} stands for the name of each scene.",
        ),
    ],
    stores: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE|SCENE]...",
            help="Stores, and files or names of scenes. Stores of one scene are combined. [default: the store completed last]",
        ),
    ] = None,
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
    """Classify all pixels of scenes with a trained head, and write a map of each scene.

    A scene is given by its stores, or by its file or name. If the model needs planes, and the scene has no store, the
    planes are extracted first, with the recipe of the training store. Bands are matched by wavelength to the bands of the
    training scene.

    Example: `hsifeat predict film-model ip.zarr --out map.tif`

    A scene without a store: `hsifeat predict film-model other.tif --out map.tif`

    Many scenes: `hsifeat predict film-model stores/*.zarr --out 'maps/{scene}.tif'`

    With another smoothing rule: `hsifeat predict film-model ip.zarr --smooth guided:4 --out map.tif`

    On a cluster: `hsifeat predict film-model ip.zarr --out map.tif --dask tcp://10.0.0.1:8786`
    """
    from classifiers.model import load_model
    from classifiers.predict import smoothing_rule, write_scene_map
    from hsifeat.commands import terminal
    from hsifeat.commands.prediction_inputs import open_inputs
    from hsifeat.files import check_not_input, check_output
    from hsifeat.scenes.maps import check_map_path, check_replaces_map

    if PLACEHOLDER not in str(out):
        check_map_path(out, probabilities=probabilities)  # before anything is read
        check_not_input(out, stores or ())
        check_replaces_map(out)
    loaded = load_model(model)
    with terminal.progress() as listen:
        scenes = open_inputs(loaded, stores, listen)
        if len(scenes) > 1 and PLACEHOLDER not in str(out):
            raise typer.BadParameter(
                f"{len(scenes)} scenes ({', '.join(scenes)}) have a map each: write {PLACEHOLDER} for the name of the scene in --out, "
                f"such as --out 'maps/{PLACEHOLDER}{out.suffix}'"
            )
        files = {name: Path(str(out).replace(PLACEHOLDER, name)) for name in scenes}
        for name, features in scenes.items():  # reports stores that do not fit before anything is predicted
            loaded.match_store(features)
            check_not_input(files[name], stores or ())
            check_output(files[name])
            check_replaces_map(files[name])
            files[name].parent.mkdir(parents=True, exist_ok=True)
        notes = {
            name: write_scene_map(
                features,
                loaded,
                files[name],
                probabilities=probabilities,
                smooth=smooth,
                executor=executor,
                listen=listen,
            )
            for name, features in scenes.items()
        }
    rule = smoothing_rule(loaded, smooth)
    smoothed = "not smoothed" if rule is None else f"smoothed by {rule.text}"
    for line in [] if loaded.card is None else loaded.card.describe():
        terminal.say(line)
    for name, features in scenes.items():
        for note in notes[name]:
            terminal.note(note)
        terminal.say(f"{'probabilities' if probabilities else 'map'} of {features.name}: {files[name]} ({smoothed})")
