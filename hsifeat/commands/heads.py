"""`hsifeat fit` and `hsifeat predict`: one head, on cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsifeat.commands.option_types import assignment, comma_list
from hsifeat.commands.shared_options import LabelName, Planes, Seed, Stores


def fit(
    stores: Stores = None,
    head: Annotated[str, typer.Option(help="film, svm, diffcrn, …, or one from another package.")] = "film",
    inputs: Annotated[
        str | None,
        typer.Option(help="What it is given, e.g. planes or spectra+planes+means; by default what suits it."),
    ] = None,
    labels: LabelName = None,
    split: Annotated[
        str | None, typer.Option(help="E.g. blocks:12+4:0.1; by default every labelled pixel trains.")
    ] = None,
    planes: Planes = None,
    seed: Seed = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter of the head: name=value, e.g. hidden=64,32.")
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Choose the others by a small search within the training pixels.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the model.")] = None,
) -> None:
    """Train one head on cached features, in seconds; the diffusion model is not touched.

    Several stores of one scene stand side by side; `predict` then takes as many, in the same order.

    Example: `hsifeat fit ip.zarr --head film --split blocks:12+4:0.1 --out film-model`
    """
    from classifiers.fit import fit_model
    from hsifeat.commands import terminal
    from hsifeat.features.stack import open_stack

    features = open_stack(stores)
    with terminal.progress() as listen:
        model = fit_model(
            features,
            head,
            inputs=inputs,
            labels=labels,
            split=split,
            planes=None if planes is None else comma_list(planes),
            seed=seed,
            params=dict(assignment(text) for text in set_ or ()),
            tune=tune,
            listen=listen,
        )
    terminal.say(f"{head} on {features.name}: learned from {model.train_pixels} pixels")
    if model.evaluation is None:
        terminal.say("every labelled pixel trained, so none is left to score: name a --split for a score")
    else:
        names, recalls = model.class_names, model.evaluation.scores.recall.items()
        terminal.show_table("", [{"class": names[c], "recall": f"{r:.1%}"} for c, r in recalls], ("class", "recall"))
    for line in model.describe():
        terminal.say(line)
    if out is not None:
        model.save(out)
        terminal.say(f"model: {out}")


def predict(
    model: Annotated[Path, typer.Argument(help="A model that `hsifeat fit --out` wrote.")],
    out: Annotated[Path, typer.Option(help="The map: .tif, .png, .npy or .mat.")],
    stores: Stores = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="The probability of each class instead of the likeliest one.")
    ] = False,
) -> None:
    """Map a whole scene with a trained head.

    Example: `hsifeat predict film-model ip.zarr --out map.tif`
    """
    from classifiers.model import load_model
    from classifiers.predict import write_scene_map
    from hsifeat.commands import terminal
    from hsifeat.features.stack import open_stack
    from hsifeat.scenes.maps import check_map_path

    check_map_path(out, probabilities=probabilities)
    loaded, features = load_model(model), open_stack(stores)
    for line in [] if loaded.card is None else loaded.card.describe():
        terminal.say(line)
    with terminal.progress() as listen:
        notes = write_scene_map(features, loaded, out, probabilities=probabilities, listen=listen)
    for note in notes:
        terminal.note(note)
    terminal.say(f"{'probabilities' if probabilities else 'map'} of {features.name}: {out}")
