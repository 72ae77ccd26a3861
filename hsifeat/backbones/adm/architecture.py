"""Architecture of a guided-diffusion U-Net (Dhariwal and Nichol 2021), inferred from the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hsifeat.backbones.locked_imports import load_diffusers
from hsifeat.errors import BackboneError
from hsifeat.formatting import format_count

if TYPE_CHECKING:
    import torch

_GROUPS = 32


@dataclass(frozen=True)
class Architecture:
    """Sizes of a guided-diffusion U-Net.

    Attributes
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output. A network that also predicts the variance has twice as many output
        channels as input channels.
    model_channels : int
        Width of the sinusoidal embedding of the timestep.
    block_channels : tuple of int
        Channels of each level, from the finest to the coarsest.
    residual_blocks : int
        Number of residual blocks in each encoder level. A decoder level has one block more.
    attention_levels : tuple of int
        Levels with attention after each residual block; 0 is the finest.
    scale_shift_norm : bool
        Whether the timestep embedding scales and shifts the normalised features (adaptive group norm). Otherwise, the
        embedding is added to the features.
    residual_resampling : bool
        Whether residual blocks change the resolution. Otherwise, separate convolutions change the resolution.
    classes : int or None
        Number of labels of a class-conditional network; None for other networks.
    """

    in_channels: int
    out_channels: int
    model_channels: int
    block_channels: tuple[int, ...]
    residual_blocks: int
    attention_levels: tuple[int, ...]
    scale_shift_norm: bool
    residual_resampling: bool
    classes: int | None

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> Self:
        """Infer the architecture from the shapes of a checkpoint's tensors.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            Maps the name of each tensor to its shape.

        Raises
        ------
        BackboneError
            If a tensor of a guided-diffusion U-Net is missing. If the shapes do not describe such a U-Net.
        """

        def size(name: str, axis: int) -> int:
            if len(shapes.get(name, ())) <= axis:
                raise BackboneError(
                    f"not a complete guided-diffusion U-Net: the tensor {name} is missing or has too few axes"
                )
            return shapes[name][axis]

        members = _members(shapes)
        upsampled = [n for n in sorted(members) if members[n] & {"conv", "up"}]
        per_level = upsampled[0] + 1 if upsampled else len(members)
        levels = len(upsampled) + 1
        if per_level < 2 or sorted(members) != list(range(levels * per_level)):
            raise BackboneError(
                f"the {len(members)} output blocks can't form a decoder of {levels} levels with equally many residual blocks"
            )
        # The first output block of each level, from the finest level to the coarsest.
        first = [level * per_level for level in reversed(range(levels))]
        channels = tuple(size(f"output_blocks.{n}.0.out_layers.3.weight", 0) for n in first)
        architecture = cls(
            in_channels=size("input_blocks.0.0.weight", 1),
            out_channels=size("out.2.weight", 0),
            model_channels=size("time_embed.0.weight", 1),
            block_channels=channels,
            residual_blocks=per_level - 1,
            attention_levels=tuple(level for level, n in enumerate(first) if "qkv" in members[n]),
            scale_shift_norm=size("output_blocks.0.0.emb_layers.1.weight", 0) == 2 * channels[-1],
            residual_resampling=any("up" in members[n] for n in upsampled),
            classes=size("label_emb.weight", 0) if "label_emb.weight" in shapes else None,
        )
        if architecture.out_channels not in (architecture.in_channels, 2 * architecture.in_channels):
            raise BackboneError(
                f"the network has {format_count(architecture.in_channels, 'input channel')} and {format_count(architecture.out_channels, 'output channel')}; a "
                "denoiser has as many output as input channels, or twice as many if it also predicts the variance"
            )
        if any(count % _GROUPS for count in channels):
            raise BackboneError(
                f"the levels have {channels} channels; guided-diffusion needs multiples of {_GROUPS} for its group norms"
            )
        return architecture

    def build(self, heads: Mapping[int, int]) -> torch.nn.Module:
        """Build a diffusers ``UNet2DModel`` with this architecture and arbitrary weights.

        Parameters
        ----------
        heads : mapping of int to int
            Maps the number of channels of an attention layer to the number of its attention heads.

        Returns
        -------
        torch.nn.Module
            The network.
        """
        load_diffusers()
        from diffusers import UNet2DModel
        from diffusers.models.attention_processor import Attention
        from diffusers.models.embeddings import TimestepEmbedding, Timesteps

        network: Any = UNet2DModel(
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            block_out_channels=self.block_channels,
            layers_per_block=self.residual_blocks,
            time_embedding_dim=4 * self.model_channels,
            down_block_types=tuple(self._block_type(level, "Down") for level in range(len(self.block_channels))),
            up_block_types=tuple(self._block_type(level, "Up") for level in reversed(range(len(self.block_channels)))),
            downsample_type=self._resampling,
            upsample_type=self._resampling,
            resnet_time_scale_shift="scale_shift" if self.scale_shift_norm else "default",
            attention_head_dim=None,
            norm_num_groups=_GROUPS,
            attn_norm_num_groups=_GROUPS,  # Without this, a scale-shift network has no norm in the middle attention.
            num_class_embeds=self.classes,
        )
        # The finest level can be narrower or wider than the timestep embedding, as in OpenAI's 512-px networks.
        network.time_proj = Timesteps(self.model_channels, flip_sin_to_cos=True, downscale_freq_shift=0)
        network.time_embedding = TimestepEmbedding(self.model_channels, 4 * self.model_channels)
        # UNet2DModel can set only the number of channels of a head, but some checkpoints fix the number of heads.
        for module in network.modules():
            if isinstance(module, Attention):
                module.heads = heads[module.inner_dim]
                module.scale = (module.inner_dim // module.heads) ** -0.5
        unet: torch.nn.Module = network
        return unet

    @property
    def _resampling(self) -> str:
        return "resnet" if self.residual_resampling else "conv"

    def _block_type(self, level: int, direction: str) -> str:
        if level in self.attention_levels:
            return f"Attn{direction}Block2D"
        return f"Resnet{direction}sampleBlock2D" if self.residual_resampling else f"{direction}Block2D"


def _members(shapes: Mapping[str, tuple[int, ...]]) -> dict[int, set[str]]:
    """Map the number of each output block to the kinds of its layers, other than the first residual block.

    The kinds of layers are ``qkv`` (attention), ``conv`` (upsampling by a convolution) and ``up`` (upsampling by a residual
    block).
    """
    members: dict[int, set[str]] = {}
    kinds = {"qkv": "qkv", "conv": "conv", "in_layers": "up"}
    for name in shapes:
        root, number, position, part = [*name.split("."), "", "", ""][:4]
        if root == "output_blocks" and number.isdigit():
            block = members.setdefault(int(number), set())
            if position != "0" and part in kinds:
                block.add(kinds[part])
    return members
