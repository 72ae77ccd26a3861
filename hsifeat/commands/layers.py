"""`hsifeat layers`: list the layers of a backbone."""

from __future__ import annotations

from typing import Annotated

import typer

from hsifeat.commands.shared_options import Json
from hsifeat.commands.terminal import show_rows


def layers(
    backbone: Annotated[str, typer.Argument(help="A backbone in one of the forms that `hsifeat backbones` lists.")],
    all_layers: Annotated[bool, typer.Option("--all", help="Include the layers within blocks.")] = False,
    upsample: Annotated[
        int, typer.Option(help="Factor by which tiles are enlarged before a latent encoder; strides depend on it.")
    ] = 8,
    as_json: Json = False,
) -> None:
    """List a backbone's layers: name, alias in the papers, channels, stride, share of the forward pass that must run to reach it.

    Example: `hsifeat layers backbone`
    """
    from dataclasses import asdict

    from hsifeat.backbones.open_backbone import open_backbone
    from hsifeat.backbones.taps import is_block

    taps = open_backbone(backbone, any_label=True, upsample=upsample).taps
    rows = [asdict(tap) for tap in taps if all_layers or is_block(tap.name)]
    show_rows(f"layers of {backbone}", rows, ("name", "alias", "channels", "stride", "share"), as_json)
