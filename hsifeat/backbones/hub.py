"""Download of models from a model hub. A model is named with a commit, which fixes its weights."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from hsifeat.backbones.diffusers_folder import read_denoiser_class
from hsifeat.backbones.latent.latent_backbone import DENOISER
from hsifeat.backbones.latent.prompt import PROMPT_FILE
from hsifeat.backbones.plugins import BackbonePlugin, Redirect, existing_path
from hsifeat.backbones.unet2d import PROJECTION_FILE
from hsifeat.errors import BackboneError, HsifeatError, error_summary, raise_resource_error
from hsifeat.files import cache_folder, write_file
from hsifeat.seals import open_json, seal_json

_FORM = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Suffixes of files: a text with such a suffix is a path, not the name of a model.
_FILE_SUFFIXES = {".bin", ".ckpt", ".json", ".pkl", ".pt", ".pth", ".safetensors", ".toml", ".zip"}
# Configurations to download for every diffusers model, and additional configurations for a latent model.
_CONFIGS = [
    "config.json", "model_index.json", "scheduler_config.json", "unet/config.json", "scheduler/*.json", PROJECTION_FILE,
]  # fmt: skip
_LATENT_CONFIGS = ["vae/config.json", "text_encoder/config.json", "tokenizer/*.json", "tokenizer/*.txt", PROMPT_FILE]
# Weight files to download. Each file is mapped to the file in an older format, for repositories without the newer format.
_WEIGHTS = {"diffusion_pytorch_model.safetensors": "diffusion_pytorch_model.bin"}
_TEXT_WEIGHTS = {"text_encoder/model.safetensors": "text_encoder/pytorch_model.bin"}
_PATTERNS = [*_CONFIGS, *_LATENT_CONFIGS, *_WEIGHTS, *_TEXT_WEIGHTS]
_TIMEOUT_S = 10


@dataclass(frozen=True)
class HubModel:
    """A model on a hub, at a fixed commit.

    Attributes
    ----------
    name : str
        Name of the model on the hub, as ``owner/model``.
    commit : str
        Git commit of the model, as 40 hexadecimal digits.
    """

    name: str
    commit: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse ``owner/model@commit``; return None for a text of another form.

        Raises
        ------
        BackboneError
            If the text has the form ``owner/model`` without a commit, or with a branch or tag in place of a commit.
            Branches and tags are refused, because their weights can change.
        """
        if (match := _FORM.fullmatch(text)) is None:
            return None
        if _COMMIT.fullmatch(match["revision"] or "") is None:
            problem = f"{match['revision']!r} is not a commit" if match["revision"] else "the commit is missing"
            raise BackboneError(
                f"a model on a hub is named with its commit, {match['name']}@<40 hexadecimal digits>; {problem}: the weights "
                "behind a name, branch or tag can be replaced at any time, and features of old and new weights would be mixed up. "
                f"If you meant a folder, {text} does not exist"
            )
        return cls(match["name"], match["revision"])

    def fetch(self) -> Path:
        """Download the files of the model that are not on this machine, and return the folder with all files.

        If an earlier download is complete, no request is sent: the files of a commit never change.

        Raises
        ------
        BackboneError
            If the hub can't be reached. If the model or commit does not exist. If the user has no permission to read
            the model.
        """
        from huggingface_hub import snapshot_download

        def fetch(patterns: list[str]) -> Path:
            return Path(
                snapshot_download(self.name, revision=self.commit, allow_patterns=patterns, local_files_only=offline)
            )

        if (folder := self._complete_folder()) is not None:
            return folder
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
            if shards := [
                new for new, old in weights.items() if not any((folder / name).exists() for name in (new, old))
            ]:
                fetch(
                    [
                        pattern
                        for name in shards
                        for pattern in (f"{name}.index.json", name.replace(".safe", "-*-of-*.safe"))
                    ]
                )
        except Exception as error:  # the hub's client raises errors of half a dozen packages
            raise_resource_error(error)
            reason = "the hub can't be reached, and this machine has no copy" if offline else error_summary(error)
            raise BackboneError(
                f"{self} can't be fetched ({reason}): download it elsewhere and name its folder, or try again with network"
            ) from error
        if not offline:
            self._record(folder)
        return folder

    @property
    def _record_path(self) -> Path:
        return cache_folder() / "hub" / f"{self.name.replace('/', '--')}-{self.commit}.json"

    def _record(self, folder: Path) -> None:
        """Write the list of the files of a complete download, so that the next call sends no request to the hub."""
        sizes = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        content = {"patterns": _PATTERNS, "folder": str(folder.resolve()), "sizes": sizes}
        with suppress(HsifeatError, OSError):
            write_file(self._record_path, seal_json(content, str(self)).encode())

    def _complete_folder(self) -> Path | None:
        """Return the folder of an earlier complete download with the same patterns; None if a file is missing."""
        try:
            content = open_json(self._record_path, str(self))
            folder = Path(content["folder"])
            found = {name: (folder / name).stat().st_size for name in content["sizes"]}
        except (HsifeatError, OSError, KeyError, TypeError):
            return None
        return folder if found == content["sizes"] and content["patterns"] == _PATTERNS else None

    def _offline(self) -> bool:
        """Return whether the hub can't be reached.

        This method sends a single request. A download would retry for half a minute, with warnings.
        """
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
    """Return whether a source looks like the name of a hub model rather than a path.

    The name may be ``owner/model`` without a commit.
    """
    path_like = source.startswith(("./", "../", "/", "~")) or source.count("/") > 1
    if path_like or PurePosixPath(source).suffix in _FILE_SUFFIXES or existing_path(source) is not None:
        return False
    return _FORM.fullmatch(source) is not None


def open_hub_model(source: str, **_options: Any) -> Redirect:
    """Return a `Redirect` to the folder with the files of a model. Missing files are downloaded.

    Raises
    ------
    BackboneError
        If `source` is not the name of a model with its commit. If the model can't be downloaded.
    """
    model = HubModel.parse(source)
    if model is None:
        raise BackboneError(f"{source!r} is not a model on a hub: the form is owner/model@commit")
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
