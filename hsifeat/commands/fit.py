"""`hsifeat fit`: train a classifier on cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsifeat.commands.option_types import assignment, comma_list
from hsifeat.commands.shared_options import LabelName, Planes, Seed, Stores


def fit(
    stores: Stores = None,
    head: Annotated[str, typer.Option(help="Name of a head, see `hsifeat heads`.")] = "film",
    inputs: Annotated[
        str | None,
        typer.Option(
            help="Input set: spectra, planes or spectra+planes, with +window, +means or +patches where they apply. "
            "[default: what suits the head]"
        ),
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
        bool,
        typer.Option(
            "--tune",
            help="Search the parameters that --set does not fix, by cross-validation within the training pixels.",
        ),
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
