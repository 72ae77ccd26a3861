"""Conversion of guided-diffusion checkpoints to the parameters of diffusers networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hsifeat.backbones.adm.architecture import Architecture
from hsifeat.backbones.weights import load_tensors
from hsifeat.errors import BackboneError, suggest_names

if TYPE_CHECKING:
    import torch

# Maps diffusers' names of parts of residual blocks, attention layers and embeddings to guided-diffusion's names.
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
    """Return the tensors of a checkpoint by name, in their stored shape and dtype.

    On the device ``meta``, the tensors have no values, and no values are read from the file.

    Raises
    ------
    BackboneError
        If `path` is a folder or does not exist. If the file is truncated, or contains anything other than named tensors.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise BackboneError(f"{path} {found}; a guided-diffusion checkpoint is a file")
    return load_tensors(path, device)


def check_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `BackboneError` if the tensors of a checkpoint differ from the expected tensors in name or shape.

    Parameters
    ----------
    path : Path
        The checkpoint, for error messages.
    shapes, expected : mapping of str to tuple of int
        Shapes of the tensors in the file, and shapes of the tensors that the network needs. Both use guided-diffusion's
        tensor names as keys.
    """
    for problem, names in (
        ("lacks the tensor", sorted(set(expected) - set(shapes))),
        ("contains a tensor that such a network does not have,", sorted(set(shapes) - set(expected))),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise BackboneError(
                f"{path} {problem} {names[0]}{more}; {suggest_names(names[0], set(expected) | set(shapes))}"
            )
    for name, shape in expected.items():
        if tuple(shapes[name]) != shape:
            raise BackboneError(f"{path}: {name} has the shape {tuple(shapes[name])}; expected {shape}")


def expected_shapes(network: torch.nn.Module, architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a checkpoint of `network`. The keys are guided-diffusion's names of tensors."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, source in source_names(network, architecture).items():
        first, *others = network.get_parameter(name).shape
        if ".qkv." in source:
            first *= 3
        # In attention layers, guided-diffusion has one-dimensional convolutions, and diffusers has matrices.
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
    """Convert the tensors of a guided-diffusion checkpoint to the parameters of a diffusers network.

    The rows of the tensors ``qkv`` of attention layers have one of two orders, see `CheckpointFlags`.

    Parameters
    ----------
    tensors : mapping of str to tensor
        Tensors of the checkpoint, which `check_tensors` has accepted. The keys are guided-diffusion's names. Any
        floating-point dtype is allowed.
    network : torch.nn.Module
        The diffusers network. It determines the names and shapes of the parameters.
    architecture : Architecture
        Architecture of the checkpoint and the network.
    heads : mapping of int to int
        Maps the number of channels of an attention layer to the number of its attention heads.
    legacy : bool
        Whether the rows of ``qkv`` are in the legacy order.

    Returns
    -------
    dict of str to float32 tensor
        The parameters. The keys are diffusers' names.
    """
    import torch

    parameters = {}
    for name, source in source_names(network, architecture).items():
        tensor, shape = tensors[source], network.get_parameter(name).shape
        if ".qkv." in source:
            index = ("to_q", "to_k", "to_v").index(name.split(".")[-2])
            split = (heads[shape[0]], 3, -1) if legacy else (3, heads[shape[0]], -1)
            tensor = tensor.reshape(*split, *tensor.shape[1:]).select(1 if legacy else 0, index)
        parameters[name] = tensor.reshape(shape).to(torch.float32, copy=True)
    return parameters


def source_names(network: torch.nn.Module, architecture: Architecture) -> dict[str, str]:
    """Map the diffusers name of each parameter of `network` to its guided-diffusion name."""
    names = {}
    for prefix, counterpart in _counterparts(architecture).items():
        for name, _ in network.get_submodule(prefix).named_parameters():
            part, _, kind = name.rpartition(".")
            names[f"{prefix}.{name}"] = ".".join(filter(None, (counterpart, _PARTS.get(part, part), kind)))
    return names


def _counterparts(architecture: Architecture) -> dict[str, str]:
    """Map the diffusers name of each module to its guided-diffusion name.

    Guided-diffusion numbers the blocks of all levels in one sequence. Diffusers starts again at 0 in each level.
    """
    modules = {
        "time_embedding": "time_embed",
        "conv_in": "input_blocks.0.0",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    if architecture.classes is not None:
        modules["class_embedding"] = "label_emb"
    levels, step = len(architecture.block_channels), architecture.residual_blocks + 1
    residual = architecture.residual_resampling
    for b in range(levels):
        with_attention = b in architecture.attention_levels, levels - 1 - b in architecture.attention_levels
        for i in range(step):
            encoder, decoder = f"input_blocks.{1 + b * step + i}", f"output_blocks.{b * step + i}"
            if i < architecture.residual_blocks:
                modules[f"down_blocks.{b}.resnets.{i}"] = f"{encoder}.0"
                if with_attention[0]:
                    modules[f"down_blocks.{b}.attentions.{i}"] = f"{encoder}.1"
            elif b < levels - 1:
                name = f"down_blocks.{b}.downsamplers.0"
                modules[name if residual else f"{name}.conv"] = f"{encoder}.0" if residual else f"{encoder}.0.op"
            modules[f"up_blocks.{b}.resnets.{i}"] = f"{decoder}.0"
            if with_attention[1]:
                modules[f"up_blocks.{b}.attentions.{i}"] = f"{decoder}.1"
        if b < levels - 1:
            modules[f"up_blocks.{b}.upsamplers.0"] = (
                f"output_blocks.{(b + 1) * step - 1}.{2 if with_attention[1] else 1}"
            )
    return modules
