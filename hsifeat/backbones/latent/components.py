"""Settings, digests and weights of the networks in the subfolders of a latent diffusion model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.diffusers_folder import count_levels, non_default_settings, read_json, resolve_settings
from hsifeat.backbones.locked_imports import load_diffusers
from hsifeat.backbones.network import clone_weights
from hsifeat.backbones.weight_files import WeightFiles, unchanged_files
from hsifeat.backbones.weights import build_network
from hsifeat.errors import BackboneError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DiffusersComponent:
    """A diffusers network in a subfolder of a pipeline. The files in the subfolder are read on first use.

    Attributes
    ----------
    folder : Path
        Folder with ``config.json`` and the weights.
    class_name : str
        Diffusers class that ``config.json`` must name.
    """

    folder: Path
    class_name: str

    @cached_property
    def config(self) -> dict[str, Any]:
        """Content of ``config.json``.

        Raises
        ------
        BackboneError
            If the file is missing. If the file names another class than `class_name`.
        """
        file = self.folder / "config.json"
        if not file.exists():
            raise BackboneError(
                f"{self.folder.parent} has no {self.folder.name}/config.json: a latent model is a folder with unet/, vae/ and "
                "scheduler/, as diffusers saves Stable Diffusion"
            )
        config = read_json(file)
        if config.get("_class_name") != self.class_name:
            raise BackboneError(
                f"{self.folder} holds a {config.get('_class_name', 'network without a class name')}; "
                f"it must be a diffusers {self.class_name}"
            )
        return config

    @property
    def architecture(self) -> dict[str, Any]:
        """Settings of the network that differ from the defaults of its diffusers class."""
        return non_default_settings(self._class, self.settings)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All constructor arguments of the network, including defaults."""
        return resolve_settings(self._class, self.config, self.folder / "config.json")

    @property
    def levels(self) -> int:
        """Number of resolutions of the network."""
        return count_levels(self.settings, self.folder / "config.json")

    @cached_property
    def digest(self) -> str:
        """Digest of the weights.

        Raises
        ------
        BackboneError
            If the weights are missing, damaged, or stored with objects other than tensors.
        """
        return self._weights.digest()

    def build(self) -> torch.nn.Module:
        """Build the network that ``config.json`` describes, with random weights."""
        return build_network(self._class, self.config, self.folder / "config.json")

    def load(self) -> torch.nn.Module:
        """Return the network with its trained weights, on the CPU, converted to float32."""
        import torch

        config_file = self.folder / "config.json"
        with unchanged_files(self._weights.files, self.digest, config_file, self.config):
            network = self._weights.load(self._class, config_file, torch_dtype=torch.float32, low_cpu_mem_usage=False)
        network.eval().requires_grad_(requires_grad=False)
        clone_weights(network)
        return network

    @property
    def _class(self) -> Any:
        load_diffusers(self.class_name)
        import diffusers

        return getattr(diffusers, self.class_name)

    @cached_property
    def _weights(self) -> WeightFiles:
        return WeightFiles.find(self.folder)
