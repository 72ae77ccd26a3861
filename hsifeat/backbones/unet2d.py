"""Backbones in pixel space: any diffusers ``UNet2DModel``, or a network of ours, trained or with fresh weights."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.checkpoint import CheckpointBackbone
from hsifeat.backbones.diffusers_folder import (
    count_levels,
    find_part,
    non_default_settings,
    read_json,
    resolve_settings,
)
from hsifeat.backbones.networks import NETWORKS, network_type
from hsifeat.backbones.options import Asked
from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.backbones.weights import digest_file, load_pretrained
from hsifeat.errors import BackboneError, error_summary
from hsifeat.types import as_int

if TYPE_CHECKING:
    import torch

PROJECTION_FILE = "projection.safetensors"
_SUFFIXES = (".safetensors", ".bin")
# Parts of a folder that show its U-Net to work on the latents of an autoencoder, such as LDMPipeline's.
_AUTOENCODERS = ("vqvae", "vae")
# Labels that are embedded as timesteps are: whole numbers that float32 tells apart.
_TOLD_APART = 2**24
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


class UNet2DBackbone(CheckpointBackbone):
    """A ``UNet2DModel``, or another of `hsifeat.backbones.networks`, as a backbone. Weights are read when they are first needed.

    Parameters
    ----------
    path : Path
        A folder with ``config.json``, weights and ``scheduler_config.json``, flat or in ``unet/`` and ``scheduler/`` as a
        diffusers pipeline is saved; or a weights file beside both.
    asked : Asked
        Label and fresh weights.

    Raises
    ------
    BackboneError
        Nothing there, another architecture, no noise schedule, damaged files, or an option that does not fit.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        self._file = path if path.is_file() else None
        if self._file is not None and path.suffix not in _SUFFIXES:
            raise BackboneError(
                f"{path} is a file of no kind that is known: give a folder, or a file of {' or '.join(_SUFFIXES)} beside its "
                "config.json and scheduler_config.json"
            )
        folder = path if self._file is None else path.parent
        self._network_folder = find_part(folder, "unet", "config.json")
        self._config = read_json(self._network_folder / "config.json")
        held = str(self._config.get("_class_name", "network without a class name"))
        if held not in NETWORKS:
            others = " or ".join(name for name in NETWORKS if name != "UNet2DModel")
            raise BackboneError(f"{path} holds a {held}; a diffusers UNet2DModel is wanted, or a {others}")
        _refuse_latent(folder)
        self._type: Any = network_type(held)
        self._settings = resolve_settings(self._type, self._config, self._network_folder / "config.json")
        schedule_folder = find_part(folder, "scheduler", "scheduler_config.json")
        self.schedule = schedule_from_config(read_json(schedule_folder / "scheduler_config.json"))
        called = path.absolute().stem if self._file else path.absolute().name
        if asked.named is not None:
            called = asked.named.partition("@")[0].replace("/", "-")
        super().__init__(called, asked.named or str(path.absolute()), asked)
        self.channels = self._count("in_channels")
        self.projection_file = file if (file := folder / PROJECTION_FILE).exists() else None
        asked.refuse_text(self.name)
        embeds = self._settings.get("class_embed_type")
        if embeds not in (None, "timestep"):
            raise BackboneError(
                f"{self.name} takes its class by class_embed_type {embeds!r}, which is no label in whole numbers; models with a table of "
                "labels, or with class_embed_type 'timestep', are allowed"
            )
        count = None if self._settings.get("num_class_embeds") is None else self._count("num_class_embeds")
        self.class_label = asked.label(self.name, _TOLD_APART if embeds else count, mean=embeds is None)

    def _count(self, name: str) -> int:
        number = as_int(self._settings.get(name))
        if number is None or number < 1:
            raise BackboneError(
                f"{self._network_folder / 'config.json'}: {name} is no whole number from 1: {self._settings.get(name)!r}"
            )
        return number

    @property
    def probe_side(self) -> int:
        """A side that every stride divides, large enough for the coarsest one to be told from others."""
        if "block_out_channels" not in self._settings:
            return super().probe_side
        return int(8 * 2 ** (count_levels(self._settings, self._network_folder / "config.json") - 1))

    def build(self) -> torch.nn.Module:
        """Build the network that the configuration describes."""
        try:
            network: torch.nn.Module = self._type.from_config(self._config)
        except Exception as error:  # settings that don't go together raise anything at all
            raise BackboneError(
                f"{self._network_folder / 'config.json'} describes no {self._type.__name__}: {error_summary(error)}"
            ) from error
        return network

    def aliases(self, network: torch.nn.Module) -> dict[str, str]:
        """Give the layers of a U-Net's decoder the numbers of the papers."""
        return output_blocks(network) if self._type.__name__ == "UNet2DModel" else {}

    def identity(self) -> dict[str, Any]:
        """Return weights digest, architecture, schedule, parameterisation and conditioning."""
        return {
            "weights": self.weights_digest,
            "architecture": {"class": self._type.__name__, **non_default_settings(self._type, self._settings)},
            "schedule": self.schedule.digest,
            "prediction": self.schedule.prediction,
            "conditioning": {} if self.class_label is None else {"class_label": self.class_label},
        }

    def digest_trained(self) -> str:
        """Return the digest of the file's tensors."""
        return digest_file(self._weights_file)

    @cached_property
    def _weights_file(self) -> Path:
        if self._file is not None:
            return self._file
        for name in _WEIGHTS:
            if (self._network_folder / name).exists():
                return self._network_folder / name
        raise BackboneError(f"no weights in {self._network_folder}: wanted {' or '.join(_WEIGHTS)}")

    def load_trained(self) -> torch.nn.Module:
        """Load the weights."""
        file = self._weights_file
        digest_file(file)  # Says plainly what is wrong with a damaged file.
        with TemporaryDirectory() as folder:
            # diffusers takes the two by their usual names; it also renames layers of files from its first releases.
            for source, name in (
                (self._network_folder / "config.json", "config.json"),
                (file, f"diffusion_pytorch_model{file.suffix}"),
            ):
                (Path(folder) / name).symlink_to(source.resolve())
            return load_pretrained(self._type, folder, file, low_cpu_mem_usage=False)

    def call(self, network: torch.nn.Module, noised: torch.Tensor, t: int) -> object:
        """Run the network with its class label, if it takes one."""
        labels = {} if self.class_label is None else {"class_labels": self.labels(noised)}
        return network(noised, t, return_dict=False, **labels)


def _refuse_latent(folder: Path) -> None:
    """Raise `BackboneError` for a pipeline whose U-Net does not work on pixels."""
    index = folder / "model_index.json"
    parts = read_json(index) if index.is_file() else {}
    for name in _AUTOENCODERS:
        if (folder / name).is_dir() or parts.get(name) not in (None, [None, None]):
            raise BackboneError(
                f"{folder} is a latent diffusion model: its UNet2DModel works on what its {name} makes of an image; allowed are a "
                "UNet2DModel in pixel space, or Stable Diffusion"
            )


def output_blocks(network: Any) -> dict[str, str]:
    """Give the decoder guided-diffusion's numbers, by residual blocks from the coarsest on: ``output_blocks.i``.

    With r residual blocks a level there are r + 1 in the decoder; the last one of a level includes the upsampler, so it
    is the whole ``up_blocks.b``, but for the finest level, which has none.
    """
    aliases = {}
    number = 0
    for b, block in enumerate(network.up_blocks):
        members = "attentions" if len(getattr(block, "attentions", None) or ()) else "resnets"
        count = len(block.resnets)
        for i in range(count):
            whole = i == count - 1 and getattr(block, "upsamplers", None) is not None
            aliases[f"up_blocks.{b}" if whole else f"up_blocks.{b}.{members}.{i}"] = f"output_blocks.{number}"
            number += 1
    return aliases
