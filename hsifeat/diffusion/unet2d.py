"""Backbones in pixel space: any diffusers ``UNet2DModel`` in a local folder, trained or with fresh weights."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.diffusion.imports import load_diffusers
from hsifeat.diffusion.network import NetworkBackbone
from hsifeat.diffusion.schedule import schedule_from_config
from hsifeat.diffusion.weights import digest_file, digest_tensors
from hsifeat.errors import BackboneError

if TYPE_CHECKING:
    import torch

PROJECTION_FILE = "projection.safetensors"
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


class UNet2DBackbone(NetworkBackbone):
    """A ``UNet2DModel`` folder as a backbone. Weights are read when they are first needed.

    Parameters
    ----------
    folder : Path
        Holds ``config.json``, weights and ``scheduler_config.json``, flat or in ``unet/`` and ``scheduler/`` as a
        diffusers pipeline is saved.
    class_label : int, optional
        The fixed label given to a class-conditional model; needed by those, refused by others.
    untrained_seed : int, optional
        Take the folder's architecture with fresh weights from this seed instead of its own: the control that tells what
        training was worth.
    any_label : bool
        Take label 0 for a class-conditional model when none is given.
    named : str, optional
        ``owner/model@commit`` where the folder is a copy of a model on a hub.

    Raises
    ------
    BackboneError
        No such folder, another architecture, no noise schedule, damaged files, or a label that does not fit.
    """

    def __init__(
        self,
        folder: Path,
        *,
        class_label: int | None = None,
        untrained_seed: int | None = None,
        any_label: bool = False,
        named: str | None = None,
    ) -> None:
        self._network_folder = _find(folder, "unet", "config.json")
        self._config = _read_json(self._network_folder / "config.json")
        if self._config.get("_class_name") != "UNet2DModel":
            raise BackboneError(
                f"{folder} holds a {self._config.get('_class_name', 'network without a class name')}; "
                "a diffusers UNet2DModel is wanted"
            )
        schedule_folder = _find(folder, "scheduler", "scheduler_config.json")
        self.schedule = schedule_from_config(_read_json(schedule_folder / "scheduler_config.json"))
        called = folder.name if named is None else named.partition("@")[0].replace("/", "-")
        self.name = called if untrained_seed is None else f"{called}-untrained"
        self.source = f"{'' if untrained_seed is None else 'untrained:'}{named or folder.absolute()}"
        self.channels = int(self._config.get("in_channels", 3))
        self.projection_file = path if (path := folder / PROJECTION_FILE).exists() else None
        self._untrained_seed = untrained_seed
        self._class_label = self._check_label(class_label, any_label=any_label)

    def _check_label(self, label: int | None, *, any_label: bool) -> int | None:
        count = self._config.get("num_class_embeds")
        if self._config.get("class_embed_type") is None and count is None:
            if label is not None:
                raise BackboneError(f"{self.name} takes no class label; leave out {label}")
        elif label is None and any_label:
            return 0
        elif label is None or (count is not None and not 0 <= label < count):
            allowed = "0 and up" if count is None else f"0 to {count - 1}"
            raise BackboneError(f"{self.name} is class-conditional: give one label, {allowed}; found {label}")
        return label

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
        except (TypeError, ValueError) as error:
            raise BackboneError(f"{self._network_folder / 'config.json'} describes no UNet2DModel: {error}") from error
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
        for name in _WEIGHTS:
            if (self._network_folder / name).exists():
                return self._network_folder / name
        raise BackboneError(f"no weights in {self._network_folder}: wanted {' or '.join(_WEIGHTS)}")

    def load(self) -> torch.nn.Module:
        """Load the weights, or draw fresh ones."""
        import torch

        load_diffusers()
        from diffusers import UNet2DModel

        if self._untrained_seed is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self._untrained_seed)
                return self.build()
        digest_file(self._weights_file)  # Says plainly what is wrong with a damaged file.
        network, found = UNet2DModel.from_pretrained(
            self._network_folder,
            local_files_only=True,
            low_cpu_mem_usage=False,
            use_safetensors=self._weights_file.suffix == ".safetensors",
            output_loading_info=True,
        )
        wrong = {kind: keys for kind, keys in found.items() if keys}
        if wrong:
            kind, keys = next(iter(wrong.items()))
            raise BackboneError(
                f"{self._weights_file} does not fit its config.json: {kind.replace('_', ' ')}: {min(map(str, keys))}"
            )
        loaded: torch.nn.Module = network
        return loaded

    def call(self, network: torch.nn.Module, noised: torch.Tensor, t: int) -> object:
        """Run the network with its class label, if it takes one."""
        import torch

        labels = None
        if self._class_label is not None:
            labels = torch.full((len(noised),), self._class_label, device=noised.device)
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


def _find(folder: Path, part: str, name: str) -> Path:
    if not folder.is_dir():
        raise BackboneError(f"no backbone folder at {folder}: hsifeat pretrain makes one")
    for place in (folder / part, folder):
        if (place / name).exists():
            return place
    raise BackboneError(f"{folder} has no {name}, neither directly nor in {part}/: it is no diffusers model folder")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackboneError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise BackboneError(f"{path} is no JSON object")
    return content
