"""Models on a hub: a name and a commit, so that the same words mean the same weights next year."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from hsifeat.backbones.diffusers_folder import read_denoiser_class
from hsifeat.backbones.latent.latent_backbone import DENOISER
from hsifeat.backbones.latent.prompt import PROMPT_FILE
from hsifeat.backbones.unet2d import PROJECTION_FILE
from hsifeat.errors import BackboneError, error_summary

_FORM = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# What tells of which kind a diffusers model is, and what a latent one has besides; other files are not fetched.
_FACTS = [
    "config.json", "model_index.json", "scheduler_config.json", "unet/config.json", "scheduler/*.json", PROJECTION_FILE,
]  # fmt: skip
_LATENT_FACTS = ["vae/config.json", "text_encoder/config.json", "tokenizer/*.json", "tokenizer/*.txt", PROMPT_FILE]
# Weights, and the older file that is fetched where a repository lacks them.
_WEIGHTS = {"diffusion_pytorch_model.safetensors": "diffusion_pytorch_model.bin"}
_TEXT_WEIGHTS = {"text_encoder/model.safetensors": "text_encoder/pytorch_model.bin"}
_PATIENCE_S = 10


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
        """Read ``owner/model@commit``; None for what names no model on a hub.

        Raises
        ------
        BackboneError
            The commit is missing, or is a branch or tag: these can point to other weights tomorrow.
        """
        if (match := _FORM.fullmatch(text)) is None:
            return None
        if _COMMIT.fullmatch(match["revision"] or "") is None:
            found = f"{match['revision']!r} is none" if match["revision"] else "none is given"
            raise BackboneError(
                f"a model on a hub is named with its commit, {match['name']}@<40 hexadecimal digits>, and {found}: what a "
                "name, branch or tag stands for can be replaced at any time, and features of it could not be told apart. "
                f"If you meant a folder, there is none at {text}"
            )
        return cls(match["name"], match["revision"])

    def fetch(self) -> Path:
        """Return the folder with the model's files; those that this machine lacks are downloaded.

        Raises
        ------
        BackboneError
            No network, no such model or commit, or no leave to read it.
        """
        from huggingface_hub import snapshot_download

        def fetch(patterns: list[str]) -> Path:
            return Path(
                snapshot_download(self.name, revision=self.commit, allow_patterns=patterns, local_files_only=offline)
            )

        offline = False
        try:
            offline = self._offline()
            folder = fetch(_FACTS)
            latent = read_denoiser_class(folder) == DENOISER
            weights = _in_part("unet" if (folder / "unet").is_dir() else "", _WEIGHTS)
            if latent:
                weights |= _in_part("vae", _WEIGHTS) | _TEXT_WEIGHTS
            fetch([*weights, *(_LATENT_FACTS if latent else ())])
            if older := [old for new, old in weights.items() if not (folder / new).exists()]:
                fetch(older)
        except Exception as error:  # the hub's client raises errors of half a dozen packages
            reason = "no hub is reached, and this machine has no copy" if offline else error_summary(error)
            raise BackboneError(
                f"{self} can't be fetched ({reason}): download it elsewhere and name its folder, or try again with network"
            ) from error
        return folder

    def _offline(self) -> bool:
        """Tell whether no hub can be reached. Asked once: a download would ask for half a minute, aloud."""
        from huggingface_hub import HfApi

        try:
            HfApi().model_info(self.name, revision=self.commit, timeout=_PATIENCE_S)
        except Exception as error:
            if getattr(error, "response", None) is not None:  # the hub's own answer: no such model, no leave to read it
                raise
            return True
        return False

    def __str__(self) -> str:
        return f"{self.name}@{self.commit}"


def _in_part(part: str, files: dict[str, str]) -> dict[str, str]:
    return {str(PurePosixPath(part, new)): str(PurePosixPath(part, old)) for new, old in files.items()}
