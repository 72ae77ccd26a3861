"""Models on a hub, pinned to a commit so that a name stands for the same weights forever, and their download."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from hsifeat.backbones.diffusers_folder import read_denoiser_class
from hsifeat.backbones.latent.latent_backbone import DENOISER
from hsifeat.backbones.latent.prompt import PROMPT_FILE
from hsifeat.backbones.plugins import BackbonePlugin, Redirect, existing_path
from hsifeat.backbones.unet2d import PROJECTION_FILE
from hsifeat.errors import BackboneError, error_summary

_FORM = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Suffixes of files: a text that ends with one is a path, not a model's name.
_FILE_SUFFIXES = {".bin", ".ckpt", ".json", ".pkl", ".pt", ".pth", ".safetensors", ".toml", ".zip"}
# Files that are downloaded: configurations of any diffusers model, and those of the further parts of a latent model.
_CONFIGS = [
    "config.json", "model_index.json", "scheduler_config.json", "unet/config.json", "scheduler/*.json", PROJECTION_FILE,
]  # fmt: skip
_LATENT_CONFIGS = ["vae/config.json", "text_encoder/config.json", "tokenizer/*.json", "tokenizer/*.txt", PROMPT_FILE]
# Files of weights, each with the older format that is downloaded where a repository lacks the newer one.
_WEIGHTS = {"diffusion_pytorch_model.safetensors": "diffusion_pytorch_model.bin"}
_TEXT_WEIGHTS = {"text_encoder/model.safetensors": "text_encoder/pytorch_model.bin"}
_TIMEOUT_S = 10


@dataclass(frozen=True)
class HubModel:
    """A model on a hub at one commit.

    Attributes
    ----------
    name : str
        ``owner/model``.
    commit : str
        40 hexadecimal digits.
    """

    name: str
    commit: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse ``owner/model@commit``; return None for a text of another form.

        Raises
        ------
        BackboneError
            The commit is missing, or is a branch or tag, which can point to other weights tomorrow.
        """
        if (match := _FORM.fullmatch(text)) is None:
            return None
        if _COMMIT.fullmatch(match["revision"] or "") is None:
            problem = f"{match['revision']!r} is not a commit" if match["revision"] else "the commit is missing"
            raise BackboneError(
                f"a model on a hub is named with its commit, {match['name']}@<40 hexadecimal digits>; {problem}: the weights "
                "behind a name, branch or tag can be replaced at any time, and their features could not be told apart. "
                f"If you meant a folder, there is none at {text}"
            )
        return cls(match["name"], match["revision"])

    def fetch(self) -> Path:
        """Return the folder with the model's files, downloading those that are not on this machine.

        Raises
        ------
        BackboneError
            There is no network, no such model or commit, or no permission to read it.
        """
        from huggingface_hub import snapshot_download

        def fetch(patterns: list[str]) -> Path:
            return Path(
                snapshot_download(self.name, revision=self.commit, allow_patterns=patterns, local_files_only=offline)
            )

        offline = False
        try:
            offline = self._offline()
            folder = fetch(_CONFIGS)
            latent = read_denoiser_class(folder) == DENOISER
            weights = _in_part("unet" if (folder / "unet").is_dir() else "", _WEIGHTS)
            if latent:
                weights |= _in_part("vae", _WEIGHTS) | _TEXT_WEIGHTS
            fetch([*weights, *(_LATENT_CONFIGS if latent else ())])
            if older := [old for new, old in weights.items() if not (folder / new).exists()]:
                fetch(older)
        except Exception as error:  # the hub's client raises errors of half a dozen packages
            reason = "the hub can't be reached, and this machine has no copy" if offline else error_summary(error)
            raise BackboneError(
                f"{self} can't be fetched ({reason}): download it elsewhere and name its folder, or try again with network"
            ) from error
        return folder

    def _offline(self) -> bool:
        """Tell whether the hub can't be reached, by one request: a download would retry for half a minute, with warnings."""
        from huggingface_hub import HfApi

        try:
            HfApi().model_info(self.name, revision=self.commit, timeout=_TIMEOUT_S)
        except Exception as error:
            if getattr(error, "response", None) is not None:  # the hub answered: no such model, or no permission
                raise
            return True
        return False

    def __str__(self) -> str:
        return f"{self.name}@{self.commit}"


def names_hub_model(source: str) -> bool:
    """Tell whether a source has the form of a hub model, with or without commit, and not that of a path."""
    path_like = source.startswith(("./", "../", "/", "~")) or source.count("/") > 1
    if path_like or PurePosixPath(source).suffix in _FILE_SUFFIXES or existing_path(source) is not None:
        return False
    return _FORM.fullmatch(source) is not None


def open_hub_model(source: str, **_options: Any) -> Redirect:
    """Download a model unless this machine has a copy, and open its folder."""
    model = HubModel.parse(source)
    if model is None:
        raise BackboneError(f"{source!r} does not name a model on a hub, which has the form owner/model@commit")
    return Redirect(str(model.fetch()), {"hub_model": str(model)})


def _in_part(part: str, files: dict[str, str]) -> dict[str, str]:
    return {str(PurePosixPath(part, new)): str(PurePosixPath(part, old)) for new, old in files.items()}


PLUGIN = BackbonePlugin(
    open=open_hub_model,
    form="OWNER/MODEL@COMMIT",
    description="a diffusers folder on a hub, such as google/ddpm-cifar10-32",
    weights="downloaded once, at a commit of 40 hexadecimal digits",
    matches=names_hub_model,
    order=60,
)
