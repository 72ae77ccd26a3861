"""`hsifeat fit`: train a head (classifier) on cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from classifiers.fit_config import FitConfig
from hsifeat.commands.config_options import with_options
from hsifeat.commands.option_types import assignment
from hsifeat.commands.shared_options import Stores


@with_options(FitConfig, without=("params",))
def fit(
    stores: Stores = None,
    options: dict[str, Any] = {},  # noqa: B006  # replaced by the options of FitConfig
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=FitConfig.model_fields["params"].description),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the model. [default: the model is not saved]")] = None,
) -> None:
    """Train a head (classifier) on cached features. This takes seconds and does not need the diffusion model.

    The features of several stores of one scene are concatenated. `hsifeat predict` then needs the same number of
    stores, in the same order. Only context stores (made with `--backbone context`) may be at other positions than here.

    Stores of several scenes form one table: classes are matched by name, and bands by wavelength. The planes of all stores
    must have the same recipe; extract them with `hsifeat extract --shared-projection` or `--like`.

    Example: `hsifeat fit ip-context.zarr --split per-class:5 --out model`

    With planes of a network in addition to context: `hsifeat fit ip.zarr ip-context.zarr --inputs spectra+window+context+planes`

    On several scenes, tested on whole scenes: `hsifeat fit north.zarr south.zarr west.zarr --split scenes:north+south/west --out model`

    With another head, and without smoothing: `hsifeat fit ip.zarr --head film --split blocks:12+4:0.1 --smooth none`
    """
    from classifiers.fit import fit_model
    from hsifeat.commands import terminal
    from hsifeat.commands.context_store import open_with_context
    from hsifeat.features.scene_set import open_scenes
    from hsifeat.files import check_output

    if out is not None:
        check_output(out, replaces="model.json")
    config = FitConfig.from_options({**options, "params": dict(assignment(text) for text in set_ or ()) or None})
    with terminal.progress() as listen:
        scenes = open_scenes(open_with_context(stores, [config.inputs] if config.inputs else [], listen))
        model = fit_model(scenes, **{name: getattr(config, name) for name in FitConfig.model_fields}, listen=listen)
    if out is not None:
        model.save(out)
    terminal.say(f"{config.head} on {scenes.name}: trained on {model.train_pixels} pixels")
    if model.evaluation is None:
        terminal.say("no score, because all labelled pixels were used for training: use --split to get test pixels")
    else:
        names, recalls = model.class_names, model.evaluation.scores.recall.items()
        terminal.show_table("", [{"class": names[c], "recall": f"{r:.1%}"} for c, r in recalls], ("class", "recall"))
    for line in model.describe():
        terminal.say(line)
    if out is not None:
        terminal.say(f"model: {out}")
