"""Tensors of guided-diffusion checkpoints under the names and in the order that diffusers gives them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hsifeat.backbones.adm.architecture import Architecture
from hsifeat.backbones.weights import load_tensors
from hsifeat.errors import BackboneError, suggest_names

if TYPE_CHECKING:
    import torch

# What a residual block, attention or embedding of diffusers calls its parts, and what guided-diffusion does.
_PARTS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
    "group_norm": "norm",
    "to_q": "qkv",
    "to_k": "qkv",
    "to_v": "qkv",
    "to_out.0": "proj_out",
    "linear_1": "0",
    "linear_2": "2",
}


def read_checkpoint(path: Path, device: str) -> dict[str, torch.Tensor]:
    """Read a file of tensors; on the device ``meta`` their shapes alone.

    Raises
    ------
    BackboneError
        A folder, or a file that is truncated or holds more than named tensors.
    """
    if not path.is_file():
        raise BackboneError(f"{path} is a folder: a checkpoint of guided-diffusion is a file")
    return load_tensors(path, device)


def check_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `BackboneError` where tensors are missing, too many, or of another shape than the network has."""
    for problem, names in (
        ("lacks the tensor", sorted(set(wanted) - set(shapes))),
        ("holds a tensor that the network does not have,", sorted(set(shapes) - set(wanted))),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise BackboneError(
                f"{path} {problem} {names[0]}{more}; {suggest_names(names[0], set(wanted) | set(shapes))}"
            )
    for name, shape in wanted.items():
        if tuple(shapes[name]) != shape:
            raise BackboneError(f"{path}: {name} has the shape {tuple(shapes[name])}; wanted {shape}")


def expected_shapes(network: torch.nn.Module, architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the tensors that a checkpoint of this network holds."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, source in source_names(network, architecture).items():
        first, *others = network.get_parameter(name).shape
        if ".qkv." in source:
            first *= 3
        # Attention is made of one-dimensional convolutions there, of matrices here.
        kernel = [1] if others and (".qkv." in source or ".proj_out." in source) else []
        shapes[source] = (first, *others, *kernel)
    return shapes


def convert(
    tensors: Mapping[str, torch.Tensor],
    network: torch.nn.Module,
    architecture: Architecture,
    heads: Mapping[int, int],
    *,
    legacy: bool,
) -> dict[str, torch.Tensor]:
    """Return the network's parameters in float32, out of a checkpoint's tensors.

    The rows of ``qkv`` are queries, keys and values, each of them head by head; in the legacy order they are heads, each of
    them with its queries, keys and values.

    Parameters
    ----------
    tensors : mapping of str to tensor
        The checkpoint's, checked before.
    network : torch.nn.Module
        Its parameters give names and shapes.
    architecture : Architecture
        Of both.
    heads : mapping of int to int
        Number of attention heads, by channels of the level.
    legacy : bool
        The order of the rows of ``qkv``.
    """
    import torch

    found = {}
    for name, source in source_names(network, architecture).items():
        tensor, shape = tensors[source], network.get_parameter(name).shape
        if ".qkv." in source:
            which = ("to_q", "to_k", "to_v").index(name.split(".")[-2])
            split = (heads[shape[0]], 3, -1) if legacy else (3, heads[shape[0]], -1)
            tensor = tensor.reshape(*split, *tensor.shape[1:]).select(1 if legacy else 0, which)
        found[name] = tensor.reshape(shape).to(torch.float32, copy=True)
    return found


def source_names(network: torch.nn.Module, architecture: Architecture) -> dict[str, str]:
    """Return by parameter of the network the name of the checkpoint's tensor that it comes from."""
    names = {}
    for prefix, place in _places(architecture).items():
        for name, _ in network.get_submodule(prefix).named_parameters():
            part, _, kind = name.rpartition(".")
            names[f"{prefix}.{name}"] = ".".join(filter(None, (place, _PARTS.get(part, part), kind)))
    return names


def _places(architecture: Architecture) -> dict[str, str]:
    """Return by module of the network its place in guided-diffusion's: blocks are counted through all levels there."""
    places = {
        "time_embedding": "time_embed",
        "conv_in": "input_blocks.0.0",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    if architecture.classes is not None:
        places["class_embedding"] = "label_emb"
    levels, step = len(architecture.block_channels), architecture.residual_blocks + 1
    residual = architecture.residual_resampling
    for b in range(levels):
        with_attention = b in architecture.attention_levels, levels - 1 - b in architecture.attention_levels
        for i in range(step):
            encoder, decoder = f"input_blocks.{1 + b * step + i}", f"output_blocks.{b * step + i}"
            if i < architecture.residual_blocks:
                places[f"down_blocks.{b}.resnets.{i}"] = f"{encoder}.0"
                if with_attention[0]:
                    places[f"down_blocks.{b}.attentions.{i}"] = f"{encoder}.1"
            elif b < levels - 1:
                name = f"down_blocks.{b}.downsamplers.0"
                places[name if residual else f"{name}.conv"] = f"{encoder}.0" if residual else f"{encoder}.0.op"
            places[f"up_blocks.{b}.resnets.{i}"] = f"{decoder}.0"
            if with_attention[1]:
                places[f"up_blocks.{b}.attentions.{i}"] = f"{decoder}.1"
        if b < levels - 1:
            places[f"up_blocks.{b}.upsamplers.0"] = (
                f"output_blocks.{(b + 1) * step - 1}.{2 if with_attention[1] else 1}"
            )
    return places
