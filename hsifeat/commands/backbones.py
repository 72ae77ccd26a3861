"""`hsifeat backbones`: list the kinds of backbones."""

from __future__ import annotations

from hsifeat.commands.shared_options import Json
from hsifeat.commands.terminal import show_rows


def backbones(as_json: Json = False) -> None:
    """List the kinds of backbones (denoising networks): the form of their names, and the origin of their weights.

    Example: `hsifeat backbones`
    """
    from hsifeat.backbones.open_backbone import list_backbones

    show_rows("backbones", list_backbones(), ("source", "description", "weights"), as_json)
