"""Backbones in pixel space: any diffusers ``UNet2DModel``, trained or with fresh weights."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hsifeat.diffusion.asked import MEAN_LABEL, Asked
from hsifeat.diffusion.folder import find_part, read_json
from hsifeat.diffusion.imports import load_diffusers
from hsifeat.diffusion.network import NetworkBackbone, answer_with_mean
from hsifeat.diffusion.schedule import schedule_from_config
from hsifeat.diffusion.weights import digest_file, digest_tensors, load_pretrained
from hsifeat.errors import BackboneError, in_one_line

if TYPE_CHECKING:
    import torch

PROJECTION_FILE = "projection.safetensors"
_SUFFIXES = (".safetensors", ".bin")
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


class UNet2DBackbone(NetworkBackbone):
    """A ``UNet2DModel`` as a backbone. Weights are read when they are first needed.

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
        if self._config.get("_class_name") != "UNet2DModel":
            raise BackboneError(
                f"{path} holds a {self._config.get('_class_name', 'network without a class name')}; "
                "a diffusers UNet2DModel is wanted"
            )
        schedule_folder = find_part(folder, "scheduler", "scheduler_config.json")
        self.schedule = schedule_from_config(read_json(schedule_folder / "scheduler_config.json"))
        called = path.absolute().stem if self._file else path.absolute().name
        if asked.named is not None:
            called = asked.named.partition("@")[0].replace("/", "-")
        self._untrained_seed = asked.untrained_seed
        self.name = called if asked.untrained_seed is None else f"{called}-untrained"
        self.source = f"{'' if asked.untrained_seed is None else 'untrained:'}{asked.named or path.absolute()}"
        self.channels = self._config.get("in_channels", 3)
        if not isinstance(self.channels, int) or self.channels < 1:
            raise BackboneError(
                f"{self._network_folder / 'config.json'}: in_channels is no whole number: {self.channels!r}"
            )
        self.projection_file = file if (file := folder / PROJECTION_FILE).exists() else None
        asked.refuse_text(self.name)
        embeds, count = self._config.get("class_embed_type"), self._config.get("num_class_embeds")
        self._class_label = asked.label(
            self.name, conditional=embeds is not None or count is not None, count=count, mean=embeds is None
        )

    @property
    def list_side(self) -> int:
        """A side that every stride divides, large enough for the coarsest one to be told from others."""
        return int(8 * 2 ** (len(self._config.get("block_out_channels", (0,) * 4)) - 1))

    def build(self) -> torch.nn.Module:
        """Build the network that the configuration describes."""
        load_diffusers()
        from diffusers import UNet2DModel

        try:
            network: torch.nn.Module = UNet2DModel.from_config(self._config)
        except Exception as error:  # settings that don't go together raise anything at all
            raise BackboneError(
                f"{self._network_folder / 'config.json'} describes no UNet2DModel: {in_one_line(error)}"
            ) from error
        return network

    def aliases(self, network: torch.nn.Module) -> dict[str, str]:
        """Give the decoder's layers the numbers of the papers."""
        return output_blocks(network)

    def identity(self) -> dict[str, Any]:
        """Return weights digest, architecture, schedule, parameterisation and conditioning."""
        return {
            "weights": self._weights_digest,
            "architecture": {k: v for k, v in self._config.items() if not k.startswith("_")},
            "schedule": self.schedule.digest,
            "prediction": self.schedule.prediction,
            "conditioning": {} if self._class_label is None else {"class_label": self._class_label},
        }

    @cached_property
    def _weights_digest(self) -> str:
        if self._untrained_seed is not None:
            return digest_tensors(self.network.state_dict().items())
        return digest_file(self._weights_file)

    @cached_property
    def _weights_file(self) -> Path:
        if self._file is not None:
            return self._file
        for name in _WEIGHTS:
            if (self._network_folder / name).exists():
                return self._network_folder / name
        raise BackboneError(f"no weights in {self._network_folder}: wanted {' or '.join(_WEIGHTS)}")

    def load(self) -> torch.nn.Module:
        """Load the weights, or draw fresh ones."""
        import torch

        if self._untrained_seed is None:
            network = self._load_trained()
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self._untrained_seed)
                network = self.build()
        if self._class_label == MEAN_LABEL:
            answer_with_mean(network.get_submodule("class_embedding"))
        return network

    def _load_trained(self) -> torch.nn.Module:
        load_diffusers()
        from diffusers import UNet2DModel

        file = self._weights_file
        digest_file(file)  # Says plainly what is wrong with a damaged file.
        with TemporaryDirectory() as folder:
            # diffusers takes the two by their usual names; it also renames layers of files from its first releases.
            for source, name in (
                (self._network_folder / "config.json", "config.json"),
                (file, f"diffusion_pytorch_model{file.suffix}"),
            ):
                (Path(folder) / name).symlink_to(source.resolve())
            return load_pretrained(UNet2DModel, folder, file, low_cpu_mem_usage=False)

    def call(self, network: torch.nn.Module, noised: torch.Tensor, t: int) -> object:
        """Run the network with its class label, if it takes one."""
        import torch

        labels = None
        if self._class_label is not None:
            label = 0 if isinstance(self._class_label, str) else self._class_label
            labels = torch.full((len(noised),), label, device=noised.device)
        return network(noised, t, class_labels=labels, return_dict=False)


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
