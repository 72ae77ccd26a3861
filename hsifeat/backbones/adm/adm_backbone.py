"""Pixel-space backbones from guided-diffusion checkpoints (ADM). A checkpoint is converted to diffusers' U-Net."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.adm.architecture import Architecture
from hsifeat.backbones.adm.checkpoint_flags import read_checkpoint_flags
from hsifeat.backbones.adm.tensors import check_tensors, convert, expected_shapes, read_checkpoint
from hsifeat.backbones.checkpoint import CheckpointBackbone
from hsifeat.backbones.plugins import BackbonePlugin, existing_path
from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.backbones.unet2d import output_blocks
from hsifeat.backbones.weight_files import unchanged_files
from hsifeat.backbones.weights import digest_file
from hsifeat.errors import BackboneError

if TYPE_CHECKING:
    import torch

SUFFIX = ".pt"


class ADMBackbone(CheckpointBackbone):
    """A guided-diffusion checkpoint as a backbone (Dhariwal and Nichol 2021, arXiv 2105.05233).

    The constructor checks the names and shapes of all tensors. The weights are read on first use. The network runs in
    float32, although the published networks ran in float16. Layers have the names of diffusers' ``UNet2DModel``. The names
    that papers use, ``output_blocks.i``, are aliases.

    Parameters
    ----------
    path : str or Path
        A ``.pt`` file of tensors. Flags of guided-diffusion that can't be inferred from the tensors are read from
        ``<path>.toml``. If this file is missing, the flags are looked up by the sha256 of the ``.pt`` file; see
        `hsifeat.backbones.adm.checkpoint_flags.CheckpointFlags`.
    class_label : int or str, optional
        Label of a class-conditional network, or ``"mean"`` for the mean of all label embeddings.
    untrained_seed : int, optional
        Seed of random weights that replace the trained weights. The random weights are initialised as in diffusers.
    any_label : bool
        Use label 0 of a class-conditional network if `class_label` is None.

    Raises
    ------
    BackboneError
        If the file is not a complete guided-diffusion checkpoint. If the file contains objects other than tensors. If
        the flags of the checkpoint are unknown. If the network does not support an option.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        class_label: int | str | None = None,
        untrained_seed: int | None = None,
        any_label: bool = False,
    ) -> None:
        self._file = path = Path(path).absolute()  # weights are read later, maybe in another working directory
        super().__init__(path, untrained_seed)
        shapes = {name: tuple(tensor.shape) for name, tensor in read_checkpoint(path, "meta").items()}
        try:
            self._architecture = Architecture.from_shapes(shapes)
        except BackboneError as error:
            raise BackboneError(f"{path}: {error}") from error
        self._flags = read_checkpoint_flags(path)
        self._heads = self._flags.heads_by_channels(
            {self._architecture.block_channels[i] for i in (*self._architecture.attention_levels, -1)}
        )
        check_tensors(path, shapes, expected_shapes(self._build_meta(), self._architecture))
        self.class_label = self.check_label(class_label, self._architecture.classes, any_label=any_label)
        self.channels = self._architecture.in_channels
        self.schedule = schedule_from_config(
            {
                "beta_schedule": "squaredcos_cap_v2" if self._flags.noise_schedule == "cosine" else "linear",
                "beta_start": 0.1 / self._flags.timesteps,
                "beta_end": 20 / self._flags.timesteps,
                "num_train_timesteps": self._flags.timesteps,
            }
        )

    @property
    def probe_side(self) -> int:
        """Side, in pixels, of the image on which `taps` runs the network to find its layers.

        With this side, the feature map at the coarsest level of the network has 8 x 8 cells.
        """
        return int(8 * 2 ** (len(self._architecture.block_channels) - 1))

    def build(self) -> torch.nn.Module:
        """Build the network with the layer sizes of the checkpoint and with arbitrary weights."""
        return self._architecture.build(self._heads)

    def _build_meta(self) -> torch.nn.Module:
        import torch

        with torch.device("meta"):
            return self.build()

    def aliases(self, network: torch.nn.Module) -> dict[str, str]:
        """Map the diffusers name of each decoder layer to its guided-diffusion name."""
        return output_blocks(network)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values."""
        return {
            "weights": self.weights_digest,
            "architecture": {
                "kind": "guided-diffusion",
                **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self._architecture).items()},
                "heads": {str(channels): heads for channels, heads in sorted(self._heads.items())},
                "attention_order": self._flags.attention_order,
                "timestep_scale": self._flags.timestep_scale,
            },
            "schedule": self.schedule.digest,
            "prediction": self.schedule.prediction,
            "conditioning": {} if self.class_label is None else {"class_label": self.class_label},
        }

    def digest_trained(self) -> str:
        """Return the digest of the checkpoint's tensors."""
        return digest_file(self._file)

    def load_trained(self) -> torch.nn.Module:
        """Return the network with its trained weights, which `convert` turns into parameters of a diffusers network."""
        network = self._build_meta()
        with unchanged_files([self._file], self.weights_digest):
            tensors = read_checkpoint(self._file, "cpu")
            legacy = self._flags.attention_order == "legacy"
            state = convert(tensors, network, self._architecture, self._heads, legacy=legacy)
            network.load_state_dict(state, strict=True, assign=True)
            return network

    def call(self, network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:
        """Run the network. A class-conditional network also gets the class label. See `NetworkBackbone.call`."""
        import torch

        times = torch.full((len(noisy),), t * self._flags.timestep_scale, device=noisy.device)
        return network(noisy, times, class_labels=self.labels(noisy), return_dict=False)


def _is_checkpoint(source: str) -> bool:
    path = existing_path(source)
    return path is not None and path.suffix == SUFFIX


PLUGIN = BackbonePlugin(
    open=ADMBackbone,
    form="FILE.pt",
    description="a guided-diffusion checkpoint, such as 64x64_diffusion.pt",
    weights="the file, and FILE.pt.toml if the file's sha256 is unknown",
    matches=_is_checkpoint,
    order=10,
    files=lambda source: [Path(source), Path(f"{source}.toml")],
)
