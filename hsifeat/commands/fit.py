"""`hsifeat fit`: train a head (classifier) on cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from classifiers.comparison.config import BenchConfig
from classifiers.defaults import DEFAULT_HEAD, DEFAULT_SMOOTHING
from classifiers.reduction import DEFAULT_REDUCTION, REDUCTIONS
from hsifeat.commands.option_types import assignment, comma_list
from hsifeat.commands.shared_options import LabelName, Planes, Seed, Smooth, Stores


def fit(
    stores: Stores = None,
    head: Annotated[str, typer.Option(help="Name of a head (classifier) that `hsifeat heads` lists.")] = DEFAULT_HEAD,
    inputs: Annotated[
        str | None,
        typer.Option(
            help="Input set: words joined by plus signs out of spectra, window, context, planes, means and patches. Where no "
            "context store is given, context extracts one. [default: depends on the head and the stores]"
        ),
    ] = None,
    labels: LabelName = None,
    background_class: Annotated[
        int | None,
        typer.Option(
            min=1, help="Class number of the pixels that the label map marks 0. [default: 0 means unlabelled]"
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split into training and test pixels, such as blocks:12+4:0.1. [default: train on all labelled pixels]"
        ),
    ] = None,
    planes: Planes = None,
    seed: Seed = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Parameter of the head, such as hidden=64,32. Can be repeated."
        ),
    ] = None,
    reduction: Annotated[
        str,
        typer.Option(help=BenchConfig.model_fields["reduction"].description, metavar="|".join(REDUCTIONS)),
    ] = DEFAULT_REDUCTION,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="Tune the parameters that --set does not fix, by cross-validation on the training pixels.",
        ),
    ] = False,
    smooth: Smooth = DEFAULT_SMOOTHING,
    out: Annotated[Path | None, typer.Option(help="Folder for the model. [default: the model is not saved]")] = None,
) -> None:
    """Train a head (classifier) on cached features. This takes seconds and does not need the diffusion model.

    The features of several stores of one scene are concatenated. `hsifeat predict` then needs the same number of
    stores, in the same order. Context stores (made with `--backbone context`) may come before, between or after
    the others.

    Example: `hsifeat fit ip-context.zarr --split per-class:5 --out model`

    With planes of a network beside context: `hsifeat fit ip.zarr ip-context.zarr --inputs spectra+window+context+planes`

    With another head, and without smoothing: `hsifeat fit ip.zarr --head film --split blocks:12+4:0.1 --smooth none`
    """
    from classifiers.fit import fit_model
    from hsifeat.commands import terminal
    from hsifeat.commands.context_store import open_with_context
    from hsifeat.features.stack import open_stack

    with terminal.progress() as listen:
        features = open_stack(open_with_context(stores, [inputs] if inputs else [], listen))
        model = fit_model(
            features,
            head,
            inputs=inputs,
            labels=labels,
            background_class=background_class,
            split=split,
            planes=None if planes is None else comma_list(planes),
            seed=seed,
            params=dict(assignment(text) for text in set_ or ()),
            reduction=reduction,
            tune=tune,
            smooth=smooth,
            listen=listen,
        )
    if out is not None:
        model.save(out)
    terminal.say(f"{head} on {features.name}: trained on {model.train_pixels} pixels")
    if model.evaluation is None:
        terminal.say("no score, because all labelled pixels were used for training: use --split to get test pixels")
    else:
        names, recalls = model.class_names, model.evaluation.scores.recall.items()
        terminal.show_table("", [{"class": names[c], "recall": f"{r:.1%}"} for c, r in recalls], ("class", "recall"))
    for line in model.describe():
        terminal.say(line)
    if out is not None:
        terminal.say(f"model: {out}")
