"""Pixel-space backbones from folders or weight files of diffusers' ``UNet2DModel`` and of hsifeat's own networks."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.checkpoint import CheckpointBackbone
from hsifeat.backbones.diffusers_folder import (
    count_levels,
    find_part,
    list_model_files,
    non_default_settings,
    pipeline_folder,
    read_json,
    resolve_settings,
)
from hsifeat.backbones.networks import NETWORKS, network_type
from hsifeat.backbones.plugins import BackbonePlugin, existing_path
from hsifeat.backbones.recorded_files import RECORD, RecordedFiles
from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.backbones.weight_files import WeightFiles, unchanged_files
from hsifeat.backbones.weights import build_network
from hsifeat.errors import BackboneError, allowed_names
from hsifeat.types import as_int

if TYPE_CHECKING:
    import torch

PROJECTION_FILE = "projection.safetensors"
_SUFFIXES = (".safetensors", ".bin")
# Subfolders of an autoencoder. If a folder has one, its U-Net works on latents, as in diffusers' LDMPipeline.
_AUTOENCODERS = ("vqvae", "vae")
# Upper limit of labels that are embedded like timesteps, without a table. float32 is exact for all smaller whole numbers.
_LARGEST_FLOAT32_LABEL = 2**24


class UNet2DBackbone(CheckpointBackbone):
    """A ``UNet2DModel``, or another network of `hsifeat.backbones.networks`, as a backbone.

    The weights are read on first use.

    Parameters
    ----------
    path : str or Path
        A folder with ``config.json``, weights and ``scheduler_config.json``, or with these files in the subfolders
        ``unet/`` and ``scheduler/`` of a diffusers pipeline. The path of a weight file is also allowed, if its folder
        contains both JSON files.
    class_label : int or str, optional
        Label of a class-conditional model, or ``"mean"`` for the mean of all label embeddings.
    untrained_seed : int, optional
        Seed of random weights that replace the trained weights.
    any_label : bool
        Use label 0 of a class-conditional model if `class_label` is None.
    hub_model : str, optional
        Name and commit of the model on a model hub, ``owner/model@commit``, if the folder is a downloaded copy.

    Raises
    ------
    BackboneError
        If a file is missing or damaged. If the architecture is not supported. If the model does not support an option.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        class_label: int | str | None = None,
        untrained_seed: int | None = None,
        any_label: bool = False,
        hub_model: str | None = None,
    ) -> None:
        path = Path(path).absolute()  # weights are read later, maybe in another working directory
        self._file = path if path.is_file() else None
        if self._file is not None and path.suffix not in _SUFFIXES:
            raise BackboneError(
                f"{path} is not a file of weights: name a folder, or a file of {' or '.join(_SUFFIXES)} in a folder with its "
                "config.json and scheduler_config.json"
            )
        folder = pipeline_folder(path if self._file is None else path.parent)
        self._recorded_files = RecordedFiles(folder)
        self._network_folder = find_part(folder, "unet", "config.json")
        self._config_file = self._network_folder / "config.json"
        self._recorded_files.check(self._config_file)
        self._config = read_json(self._config_file)
        class_name = str(self._config.get("_class_name", "network without a class name"))
        if class_name not in NETWORKS:
            raise BackboneError(f"{path} holds a {class_name}; {allowed_names(NETWORKS)}")
        _refuse_latent(folder)
        self._type: Any = network_type(class_name)
        self._settings = resolve_settings(self._type, self._config, self._config_file)
        schedule_file = find_part(folder, "scheduler", "scheduler_config.json") / "scheduler_config.json"
        self._recorded_files.check(schedule_file)
        self.schedule = schedule_from_config(read_json(schedule_file))
        super().__init__(path, untrained_seed, hub_model)
        self.channels = self._read_count("in_channels")
        self.projection_file = file if (file := folder / PROJECTION_FILE).exists() else None
        if self.projection_file is not None:
            self._recorded_files.check(self.projection_file)
        embedding = self._settings.get("class_embed_type")
        if embedding not in (None, "timestep"):
            raise BackboneError(
                f"{self.name} has the class_embed_type {embedding!r}, which does not take whole numbers as labels; allowed are "
                "models with a table of labels, or with class_embed_type 'timestep'"
            )
        has_table = self._settings.get("num_class_embeds") is not None
        count = self._read_count("num_class_embeds") if has_table else None
        self.class_label = self.check_label(
            class_label, _LARGEST_FLOAT32_LABEL if embedding else count, any_label=any_label, mean=embedding is None
        )

    def _read_count(self, name: str) -> int:
        number = as_int(self._settings.get(name))
        if number is None or number < 1:
            raise BackboneError(
                f"{self._config_file}: {name} must be a whole number from 1; found {self._settings.get(name)!r}"
            )
        return number

    @property
    def probe_side(self) -> int:
        """Side, in pixels, of the image on which `taps` runs the network to find its layers.

        With this side, the feature map at the coarsest level of a U-Net has 8 x 8 cells. For networks without levels,
        the side is 64 pixels.
        """
        if "block_out_channels" not in self._settings:
            return super().probe_side
        return int(8 * 2 ** (count_levels(self._settings, self._config_file) - 1))

    def build(self) -> torch.nn.Module:
        """Build the network that ``config.json`` describes, with random weights."""
        return build_network(self._type, self._config, self._config_file)

    def aliases(self, network: torch.nn.Module) -> dict[str, str]:
        """Map the diffusers name of each decoder layer to its guided-diffusion name.

        The dict is empty for networks other than U-Nets.
        """
        blocks = getattr(network, "up_blocks", ())
        return output_blocks(network) if blocks and all(hasattr(block, "resnets") for block in blocks) else {}

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values."""
        return {
            "weights": self.weights_digest,
            "architecture": {"class": self._type.__name__, **non_default_settings(self._type, self._settings)},
            "schedule": self.schedule.digest,
            "prediction": self.schedule.prediction,
            "conditioning": {} if self.class_label is None else {"class_label": self.class_label},
        }

    def digest_trained(self) -> str:
        """Return the digest of the trained weights."""
        return self._weights.digest()

    @cached_property
    def _weights(self) -> WeightFiles:
        weights = WeightFiles.find(self._network_folder) if self._file is None else WeightFiles((self._file,))
        for file in weights.files:
            self._recorded_files.check(file)
        return weights

    def load_trained(self) -> torch.nn.Module:
        """Return the network with its trained weights."""
        with unchanged_files(self._weights.files, self.weights_digest, self._config_file, self._config):
            return self._weights.load(self._type, self._config_file, low_cpu_mem_usage=False)

    def call(self, network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:
        """Run the network. A class-conditional network also gets the class label. See `NetworkBackbone.call`."""
        labels = {} if self.class_label is None else {"class_labels": self.labels(noisy)}
        return network(noisy, t, return_dict=False, **labels)


def _refuse_latent(folder: Path) -> None:
    index = folder / "model_index.json"
    parts = read_json(index) if index.is_file() else {}
    for name in _AUTOENCODERS:
        if (folder / name).is_dir() or parts.get(name) not in (None, [None, None]):
            raise BackboneError(
                f"{folder} is a latent diffusion model: its UNet2DModel works on the output of its {name}; allowed are a "
                "UNet2DModel in pixel space, or Stable Diffusion"
            )


def output_blocks(network: Any) -> dict[str, str]:
    """Map the diffusers name of each decoder layer of a U-Net to its guided-diffusion name.

    A guided-diffusion name is ``output_blocks.i``, where i increases from the coarsest level to the finest. In
    guided-diffusion, the last block of each level except the finest includes the upsampler. The diffusers name of such
    a block is the name of the whole level, ``up_blocks.b``.
    """
    aliases = {}
    number = 0
    for b, block in enumerate(network.up_blocks):
        members = "attentions" if len(getattr(block, "attentions", None) or ()) else "resnets"
        count = len(block.resnets)
        for i in range(count):
            complete = i == count - 1 and getattr(block, "upsamplers", None) is not None
            aliases[f"up_blocks.{b}" if complete else f"up_blocks.{b}.{members}.{i}"] = f"output_blocks.{number}"
            number += 1
    return aliases


def _is_folder(source: str) -> bool:
    path = existing_path(source)
    return path is not None and path.is_dir()


def _is_file(source: str) -> bool:
    path = existing_path(source)
    return path is not None and not path.is_dir()


def _list_files(source: str) -> list[Path]:
    """Return the path of a weight file, and the files and folders that `UNet2DBackbone` looks for beside it."""
    folder = pipeline_folder(Path(source).parent)
    names = [
        *(f"{part}config.json" for part in ("", "unet/")),
        *(f"{part}scheduler_config.json" for part in ("", "scheduler/")),
        *("model_index.json", PROJECTION_FILE, RECORD, f"../{RECORD}", *_AUTOENCODERS),
    ]
    return [Path(source), *(folder / name for name in names)]


# These plugins come last among those for local files, because they match every file and folder.
FILE_PLUGIN = BackbonePlugin(
    open=UNet2DBackbone,
    form="FILE.safetensors",
    description="the weights of a UNet2DModel",
    weights="the file, beside config.json and scheduler_config.json",
    matches=_is_file,
    order=80,
    files=_list_files,
)
FOLDER_PLUGIN = BackbonePlugin(
    open=UNet2DBackbone,
    form="FOLDER",
    description="a diffusers UNet2DModel or a network of hsifeat, with its noise schedule",
    weights="hsifeat pretrain, or save_pretrained of diffusers",
    matches=_is_folder,
    order=90,
    files=list_model_files,
)
