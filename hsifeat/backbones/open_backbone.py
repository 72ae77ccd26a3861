"""From what a user types to a backbone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hsifeat.backbones.adm.adm_backbone import SUFFIX, ADMBackbone
from hsifeat.backbones.diffusers_folder import read_denoiser_class
from hsifeat.backbones.hub import HubModel
from hsifeat.backbones.latent.latent_backbone import DENOISER, LatentBackbone
from hsifeat.backbones.options import UNTRAINED, UPSAMPLE, Asked
from hsifeat.backbones.plugins import describe, open_entry, package_of, registered
from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.errors import BackboneError

# What can be named: form, what it is, where its weights come from.
FORMS = [
    (
        "FOLDER",
        "a diffusers UNet2DModel, or a DiffCRN, with its noise schedule",
        "hsifeat pretrain, or save_pretrained of diffusers",
    ),
    ("FOLDER", "Stable Diffusion 1.x, 2.x, turbo, CleanDIFT: unet, vae, scheduler", "save_pretrained of diffusers"),
    ("FILE.safetensors", "a UNet2DModel's weights", "the file, beside config.json and scheduler_config.json"),
    (
        "FILE.pt",
        "a guided-diffusion checkpoint, such as 64x64_diffusion.pt",
        "the file, and FILE.pt.toml where its sha256 is not known",
    ),
    (
        "OWNER/MODEL@COMMIT",
        "such a folder on a hub, such as google/ddpm-cifar10-32",
        "downloaded once, at a commit of 40 hexadecimal digits",
    ),
    ("NAME[:REST]", "a backbone of an installed package", "its entry point hsifeat.backbones says"),
    ("untrained:…", "the same architecture, untrained: a control", "drawn from --seed"),
]
# What files end with, and names of models on a hub don't.
_SUFFIXES = {".bin", ".ckpt", ".json", ".pkl", ".pt", ".pth", ".safetensors", ".toml", ".zip"}
# What each kind of backbone is recognised by, and how it is opened; the first that fits is taken.
KINDS: list[tuple[Callable[[Path], bool], Callable[[Path, Asked], Backbone]]] = [
    (lambda path: path.suffix == SUFFIX, ADMBackbone),
    (lambda path: read_denoiser_class(path) == DENOISER, LatentBackbone),
    (lambda _: True, UNet2DBackbone),
]


def open_backbone(
    source: str | Path,
    *,
    class_label: int | str | None = None,
    seed: int = 0,
    any_label: bool = False,
    prompt: str | None = None,
    upsample: int = UPSAMPLE,
) -> Backbone:
    """Open a backbone; its weights are read when they are first needed.

    Parameters
    ----------
    source : str or Path
        What ``hsifeat backbones`` lists: a folder, a file, ``owner/model@commit`` on a hub, or the name of an entry point,
        with text of its own after a colon. ``untrained:`` before it takes the architecture with fresh weights.
    class_label : int or str, optional
        Fixed label for a class-conditional model, or ``"mean"`` for the mean of all label embeddings.
    seed : int
        Seed of the fresh weights.
    any_label : bool
        Take label 0 for a class-conditional model when none is given: for listing its layers, which are the same.
    prompt : str, optional
        Text for a model that takes one.
    upsample : int
        How many times the tiles are enlarged before a latent model encodes them.

    Returns
    -------
    Backbone

    Raises
    ------
    BackboneError
        Nothing there, another architecture, damaged files, or an option that the model does not take.
    """
    if isinstance(class_label, str) and re.fullmatch("[0-9]{1,18}", class_label):
        class_label = int(class_label)
    text = str(source).removeprefix(UNTRAINED)
    fresh = seed if str(source).startswith(UNTRAINED) else None
    asked = Asked(class_label, fresh, any_label, prompt, upsample)
    path = Path(text)
    if not _is_there(path):
        if (found := open_entry(text, asked)) is not None:
            return found
        hub = None if _names_a_path(text) else HubModel.parse(text)
        if hub is None:
            raise BackboneError(
                f"no such file or folder: {text} (hsifeat backbones lists what can be named, hsifeat pretrain makes one)"
            )
        path, asked = hub.fetch(), replace(asked, named=str(hub))
    return next(make for fits, make in KINDS if fits(path))(path, asked)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise BackboneError(f"{path} can't be looked up: {error.strerror}") from error


def _names_a_path(text: str) -> bool:
    return text.startswith(("./", "../", "/", "~")) or text.count("/") > 1 or Path(text).suffix in _SUFFIXES


def list_backbones() -> list[dict[str, str]]:
    """List the forms that can be named, then the names that installed packages add; with what each is, and its weights."""
    forms = [{"name": name, "what": what, "weights": weights} for name, what, weights in FORMS]
    entries = registered().items()
    return forms + [{"name": name, "what": describe(entry), "weights": package_of(entry)} for name, entry in entries]
