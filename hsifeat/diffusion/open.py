"""From what a user types to a backbone."""

from __future__ import annotations

from pathlib import Path

from hsifeat.diffusion.backbone import Backbone
from hsifeat.diffusion.hub import HubModel
from hsifeat.diffusion.unet2d import UNet2DBackbone

UNTRAINED = "untrained:"
FORMS = {
    "FOLDER": "a diffusers UNet2DModel with its noise schedule, such as hsifeat pretrain writes",
    "OWNER/MODEL@COMMIT": "such a model on a hub, at one commit of 40 hexadecimal digits; downloaded once",
    "untrained:FOLDER": "the same architecture with fresh weights: the control that tells what training was worth",
}


def open_backbone(
    source: str | Path, *, class_label: int | None = None, seed: int = 0, any_label: bool = False
) -> Backbone:
    """Open a backbone; its weights are read when they are first needed.

    Parameters
    ----------
    source : str or Path
        A diffusers ``UNet2DModel`` folder, or ``owner/model@commit`` on a hub; ``untrained:`` before either takes its
        architecture with fresh weights.
    class_label : int, optional
        Fixed label for a class-conditional model.
    seed : int
        Seed of the fresh weights.
    any_label : bool
        Take label 0 for a class-conditional model when none is given: for listing its layers, which are the same.

    Returns
    -------
    Backbone

    Raises
    ------
    BackboneError
        See `UNet2DBackbone` and `HubModel`.
    """
    fresh = seed if str(source).startswith(UNTRAINED) else None
    text = str(source).removeprefix(UNTRAINED)
    hub = None if Path(text).exists() else HubModel.parse(text)
    return UNet2DBackbone(
        Path(text) if hub is None else hub.fetch(),
        class_label=class_label,
        untrained_seed=fresh,
        any_label=any_label,
        named=None if hub is None else str(hub),
    )
