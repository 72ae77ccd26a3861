"""`hsifeat heads`, `hsifeat fit` and `hsifeat predict`: list, train and apply classifiers on cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsifeat.commands.option_types import assignment, comma_list
from hsifeat.commands.shared_options import Json, LabelName, Planes, Seed, Stores


def heads(as_json: Json = False) -> None:
    """List the heads: name, method, the columns each needs and also uses, and when to take it.

    With --json also their parameters and defaults.

    Example: `hsifeat heads`
    """
    from classifiers.heads.registry import describe_head, head_names
    from hsifeat.commands.terminal import show_rows

    rows = [describe_head(name) for name in head_names()]
    if not as_json:
        rows = [row | {kind: ", ".join(row[kind]) for kind in ("needs", "wants")} for row in rows]
    show_rows("heads", rows, ("name", "summary", "needs", "wants", "advice"), as_json)


def fit(
    stores: Stores = None,
    head: Annotated[str, typer.Option(help="Name of a head, see `hsifeat heads`.")] = "film",
    inputs: Annotated[
        str | None,
        typer.Option(help="Input set, such as planes or spectra+planes+means. [default: what suits the head]"),
    ] = None,
    labels: LabelName = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split to train and score on, such as blocks:12+4:0.1. [default: train on all labelled pixels]"
        ),
    ] = None,
    planes: Planes = None,
    seed: Seed = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Parameter of the head as name=value, such as hidden=64,32.")
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Search the other parameters by cross-validation within the training pixels.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder to save the model to. [default: not saved]")] = None,
) -> None:
    """Train a head on cached features, in seconds; the diffusion model is not needed.

    Several stores of one scene contribute columns side by side; `predict` then takes as many, in the same order.

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
    terminal.say(f"{head} on {features.name}: trained on {model.train_pixels} pixels")
    if model.evaluation is None:
        terminal.say("all labelled pixels were used for training, so there is no score: set --split for one")
    else:
        names, recalls = model.class_names, model.evaluation.scores.recall.items()
        terminal.show_table("", [{"class": names[c], "recall": f"{r:.1%}"} for c, r in recalls], ("class", "recall"))
    for line in model.describe():
        terminal.say(line)
    if out is not None:
        model.save(out)
        terminal.say(f"model: {out}")


def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a model that `hsifeat fit --out` wrote.")],
    out: Annotated[Path, typer.Option(help="Map file to write: .tif, .png, .npy or .mat.")],
    stores: Stores = None,
    probabilities: Annotated[
        bool,
        typer.Option("--probabilities", help="Write the probability of each class instead of the most probable class."),
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
