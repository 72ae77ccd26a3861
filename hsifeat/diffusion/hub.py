"""Models on a hub: a name and a commit, so that the same words mean the same weights next year."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hsifeat.errors import BackboneError, in_one_line

_FORM = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# What a diffusers pixel-space model consists of; other parts of a repository are not fetched.
_FACTS = ["config.json", "model_index.json", "scheduler_config.json", "unet/config.json", "scheduler/*.json"]
_WEIGHTS = ["diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.safetensors"]
_OLD_WEIGHTS = ["diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.bin"]


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
            return Path(snapshot_download(self.name, revision=self.commit, allow_patterns=patterns))

        try:
            folder = fetch([*_FACTS, *_WEIGHTS])
            if not any((folder / name).exists() for name in _WEIGHTS):
                folder = fetch([*_FACTS, *_OLD_WEIGHTS])
        except Exception as error:  # the hub's client raises errors of half a dozen packages
            raise BackboneError(
                f"{self} can't be fetched ({in_one_line(error)}): download it elsewhere and name its folder, or try again with network"
            ) from error
        return folder

    def __str__(self) -> str:
        return f"{self.name}@{self.commit}"
