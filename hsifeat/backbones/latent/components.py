"""The networks of a latent diffusion model's folder: each is read from a part of it, or refused with what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.diffusers_folder import count_levels, non_default_settings, read_json, resolve_settings
from hsifeat.backbones.network import clone_weights
from hsifeat.backbones.quiet_imports import load_diffusers
from hsifeat.backbones.weights import digest_file, load_pretrained
from hsifeat.errors import BackboneError, error_summary

if TYPE_CHECKING:
    import torch

_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


@dataclass(frozen=True)
class Part:
    """A diffusers network in a folder of its own, as pipelines are saved; nothing is read before it is asked for.

    Attributes
    ----------
    folder : Path
        Holds ``config.json`` and the weights.
    kind : str
        The diffusers class that is wanted.
    """

    folder: Path
    kind: str

    @cached_property
    def config(self) -> dict[str, Any]:
        """What ``config.json`` says; `BackboneError` if it is missing or describes another class."""
        file = self.folder / "config.json"
        if not file.exists():
            raise BackboneError(
                f"{self.folder.parent} has no {self.folder.name}/config.json: a latent model is a folder with unet/, vae/ and "
                "scheduler/, as diffusers saves Stable Diffusion"
            )
        config = read_json(file)
        if config.get("_class_name") != self.kind:
            raise BackboneError(
                f"{self.folder} holds a {config.get('_class_name', 'network without a class name')}; "
                f"a diffusers {self.kind} is wanted"
            )
        return config

    @property
    def architecture(self) -> dict[str, Any]:
        """Those of the settings that tell the network from the class's default one."""
        return non_default_settings(self._class, self.settings)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the network is built with: the class's own defaults for what the configuration leaves out."""
        return resolve_settings(self._class, self.config, self.folder / "config.json")

    @property
    def levels(self) -> int:
        """Number of resolutions."""
        return count_levels(self.settings, self.folder / "config.json")

    @cached_property
    def digest(self) -> str:
        """Digest of the weights; `BackboneError` for a file that is missing, damaged, or more than tensors."""
        return digest_file(self._file)

    def build(self) -> torch.nn.Module:
        """Build the network that the configuration describes, with fresh weights."""
        try:
            network: torch.nn.Module = self._class.from_config(self.config)
        except Exception as error:  # what diffusers raises for settings that don't go together has no common class
            raise BackboneError(
                f"{self.folder / 'config.json'} describes no {self.kind}: {error_summary(error)}"
            ) from error
        return network

    def load(self) -> torch.nn.Module:
        """Return the network with its weights in float32, whatever they are stored in, on the CPU."""
        import torch

        _ = self.digest  # Says plainly what is wrong with a damaged file.
        if shards := next(self.folder.glob("*.index.json"), None):
            raise BackboneError(
                f"{self.folder} holds both {self._file.name} and {shards.name}, which lists other files of weights: leave "
                "one of them there"
            )
        loaded = load_pretrained(
            self._class, self.folder, self._file, torch_dtype=torch.float32, low_cpu_mem_usage=False
        )
        loaded.eval().requires_grad_(requires_grad=False)
        clone_weights(loaded)
        return loaded

    @property
    def _class(self) -> Any:
        load_diffusers()
        import diffusers

        return getattr(diffusers, self.kind)

    @cached_property
    def _file(self) -> Path:
        for name in _WEIGHTS:
            if (self.folder / name).exists():
                return self.folder / name
        raise BackboneError(f"no weights in {self.folder}: wanted {' or '.join(_WEIGHTS)}")
