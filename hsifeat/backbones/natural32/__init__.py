"""The backbone ``natural32``: a denoiser that was trained on natural images. Its weights are part of the package."""

from __future__ import annotations

from pathlib import Path

from hsifeat.backbones.diffusers_folder import list_model_files
from hsifeat.backbones.plugins import BackbonePlugin
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.errors import BackboneError

NAME = "natural32"


def open_natural32(argument: str, *, untrained_seed: int | None = None) -> UNet2DBackbone:
    """Open ``natural32`` with its trained weights, or the same architecture with random weights.

    Parameters
    ----------
    argument : str
        Text after ``natural32:``, which must be empty.
    untrained_seed : int, optional
        Seed of random weights that replace the trained weights.

    Raises
    ------
    BackboneError
        If the argument is not empty.
    """
    if argument:
        raise BackboneError(f"natural32 takes no argument; found {argument!r}: leave it out")
    backbone = UNet2DBackbone(Path(__file__).parent, untrained_seed=untrained_seed)
    backbone.source = ""  # The name that the user typed, instead of the folder of this installation.
    return backbone


PLUGIN = BackbonePlugin(
    open=open_natural32,
    form=NAME,
    description="a small denoiser of natural images, the default of hsifeat extract",
    weights="in the package",
    order=5,
    files=lambda _argument: list_model_files(str(Path(__file__).parent)),
)
