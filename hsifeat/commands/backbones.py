"""`hsifeat backbones` and `hsifeat layers`: what can be named where a backbone is asked for."""

from __future__ import annotations

from typing import Annotated

import typer

from hsifeat.commands.shared_options import Json
from hsifeat.commands.terminal import show_rows


def backbones(as_json: Json = False) -> None:
    """List what can be named as a backbone, and where its weights come from.

    Example: `hsifeat backbones`
    """
    from hsifeat.backbones.open_backbone import list_backbones

    show_rows("backbones", list_backbones(), ("name", "what", "weights"), as_json)


def layers(
    backbone: Annotated[str, typer.Argument(help="A backbone, see `hsifeat backbones`.")],
    everything: Annotated[bool, typer.Option("--all", help="Also what lies within blocks.")] = False,
    upsample: Annotated[int, typer.Option(help="Scale of tiles before a latent encoder: strides follow it.")] = 8,
    as_json: Json = False,
) -> None:
    """List a backbone's layers: name, alias in the papers, channels, stride, share of the forward up to there.

    Example: `hsifeat layers backbone`
    """
    from dataclasses import asdict

    from hsifeat.backbones.open_backbone import open_backbone
    from hsifeat.backbones.taps import is_block

    taps = open_backbone(backbone, any_label=True, upsample=upsample).taps
    rows = [asdict(tap) for tap in taps if everything or is_block(tap.name)]
    show_rows(f"layers of {backbone}", rows, ("name", "alias", "channels", "stride", "share"), as_json)
