"""`hsifeat layers`: list the layers of a backbone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hsifeat.commands.config_options import with_options
from hsifeat.commands.shared_options import Json
from hsifeat.commands.terminal import show_rows
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.types import Tap


@with_options(ExtractionConfig, only=("upsample",))
def layers(
    backbone: Annotated[str, typer.Argument(help="Backbone, in a form that `hsifeat backbones` lists.")],
    all_layers: Annotated[bool, typer.Option("--all", help="Also list the layers within blocks.")] = False,
    options: dict[str, Any] = {},  # noqa: B006  # replaced by the options of ExtractionConfig
    as_json: Json = False,
) -> None:
    """List the layers of a backbone: module name, alias in papers, number of channels, and stride in scene pixels.

    To compute a layer, the network runs only a part of its full forward pass. The column `share` gives the size of this
    part, as a share of all multiplications. If the network computes some layers only at certain timesteps, the column
    `timesteps` lists these timesteps.

    The layers of `context` are filters. You can name a filter of any odd size, such as `mean-11`. The listed numbers of
    channels are for a scene that is projected to 60 components.

    Example: `hsifeat layers backbone`
    """
    from dataclasses import asdict

    from hsifeat.backbones.recall import keep_description, recall_source
    from hsifeat.backbones.taps import is_block

    source = recall_source(backbone, any_label=True, **options)
    taps = source.taps
    keep_description(source)
    rows = [{**asdict(tap), "timesteps": _timesteps(tap)} for tap in taps if all_layers or is_block(tap.name)]
    columns = (
        "name",
        "alias",
        "channels",
        "stride",
        "share",
        *(["timesteps"] if any(t.intervals for t in taps) else []),
    )
    show_rows(f"layers of {backbone}", rows, columns, as_json)


def _timesteps(tap: Tap) -> str:
    return ", ".join(f"{first} to {stop - 1}" for first, stop in tap.intervals) or "all"
