"""Backbones in pixel space: checkpoints of OpenAI's guided-diffusion (ADM), computed by diffusers' own U-Net."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.adm.architecture import Architecture
from hsifeat.backbones.adm.published import read_checkpoint_flags
from hsifeat.backbones.adm.tensors import check_tensors, convert, expected_shapes, read_checkpoint
from hsifeat.backbones.checkpoint import CheckpointBackbone
from hsifeat.backbones.options import Asked
from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.backbones.unet2d import output_blocks
from hsifeat.backbones.weights import digest_file
from hsifeat.errors import BackboneError

if TYPE_CHECKING:
    import torch

SUFFIX = ".pt"


class ADMBackbone(CheckpointBackbone):
    """A guided-diffusion checkpoint as a backbone: Dhariwal and Nichol 2021, arXiv 2105.05233.

    The file is checked in full when it is opened; its weights are read when they are first needed, and computed with in
    float32 (the published networks were run in float16). Layers have the names of diffusers' ``UNet2DModel``, with the
    papers' ``output_blocks.i`` as alias.

    Parameters
    ----------
    path : Path
        A ``.pt`` file of tensors. What these leave open must be known by its sha256 or stand beside it, in
        ``<path>.toml``: see `hsifeat.backbones.adm.published.CheckpointFlags`.
    asked : Asked
        Label: a class-conditional network takes a fixed one, or ``"mean"``, the mean of all label embeddings. And the seed
        of fresh weights, as diffusers draws them.

    Raises
    ------
    BackboneError
        No such file, not tensors only, tensors of no such network or not all of them, something left open, or an option
        that does not fit.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        super().__init__(path.stem, str(path.absolute()), asked)
        asked.refuse_text(self.name)
        self._file = path
        shapes = {name: tuple(tensor.shape) for name, tensor in read_checkpoint(path, "meta").items()}
        try:
            self._architecture = Architecture.from_shapes(shapes)
        except BackboneError as error:
            raise BackboneError(f"{path}: {error}") from error
        self._facts = read_checkpoint_flags(path)
        self._heads = self._facts.heads_by_channels(
            {self._architecture.block_channels[i] for i in (*self._architecture.attention_levels, -1)}
        )
        check_tensors(path, shapes, expected_shapes(self._build_meta(), self._architecture))
        self.class_label = asked.label(self.name, self._architecture.classes)
        self.channels = self._architecture.in_channels
        self.schedule = schedule_from_config(
            {
                "beta_schedule": "squaredcos_cap_v2" if self._facts.noise_schedule == "cosine" else "linear",
                "beta_start": 0.1 / self._facts.timesteps,
                "beta_end": 20 / self._facts.timesteps,
                "num_train_timesteps": self._facts.timesteps,
            }
        )

    @property
    def probe_side(self) -> int:
        """A side that every stride divides, large enough for the coarsest one to be told from others."""
        return int(8 * 2 ** (len(self._architecture.block_channels) - 1))

    def build(self) -> torch.nn.Module:
        """Build the network that the tensors describe."""
        return self._architecture.build(self._heads)

    def _build_meta(self) -> torch.nn.Module:
        import torch

        with torch.device("meta"):
            return self.build()

    def aliases(self, network: torch.nn.Module) -> dict[str, str]:
        """Give the decoder's layers their numbers in guided-diffusion."""
        return output_blocks(network)

    def identity(self) -> dict[str, Any]:
        """Return weights digest, architecture with what the tensors leave open, schedule, parameterisation, conditioning."""
        return {
            "weights": self.weights_digest,
            "architecture": {
                "kind": "guided-diffusion",
                **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self._architecture).items()},
                "heads": {str(channels): heads for channels, heads in sorted(self._heads.items())},
                "attention_order": self._facts.attention_order,
                "timestep_scale": self._facts.timestep_scale,
            },
            "schedule": self.schedule.digest,
            "prediction": self.schedule.prediction,
            "conditioning": {} if self.class_label is None else {"class_label": self.class_label},
        }

    def digest_trained(self) -> str:
        """Return the digest of the file's tensors."""
        return digest_file(self._file)

    def load_trained(self) -> torch.nn.Module:
        """Load the weights, the rows of attention put in diffusers' order."""
        network = self._build_meta()
        tensors = read_checkpoint(self._file, "cpu")
        legacy = self._facts.attention_order == "legacy"
        found = convert(tensors, network, self._architecture, self._heads, legacy=legacy)
        network.load_state_dict(found, strict=True, assign=True)
        return network

    def call(self, network: torch.nn.Module, noised: torch.Tensor, t: int) -> object:
        """Run the network with its class label, if it takes one."""
        import torch

        times = torch.full((len(noised),), t * self._facts.timestep_scale, device=noised.device)
        return network(noised, times, class_labels=self.labels(noised), return_dict=False)
