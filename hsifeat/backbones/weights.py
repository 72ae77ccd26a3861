"""Digests of weights: the same numbers give the same digest, whatever file they lie in."""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.errors import BackboneError, error_summary

if TYPE_CHECKING:
    import torch


def digest_tensors(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """Return the sha256 over names, dtypes, shapes and bytes, in the order of the names."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(f"{name},{tensor.dtype},{tuple(tensor.shape)};".encode())
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of the tensors in a ``.safetensors`` file, or in a ``.bin`` that holds tensors only."""
    from safetensors import safe_open

    if path.suffix != ".safetensors":
        return digest_tensors(load_tensors(path).items())
    try:
        with safe_open(path, framework="pt") as file:
            return digest_tensors((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118
    except Exception as error:  # a damaged file makes it raise anything at all
        raise BackboneError(f"{path} can't be read, it may be truncated: {error_summary(error)}") from error


def load_tensors(path: Path, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Read a file of torch's that holds named tensors and nothing else; on the device ``meta`` their shapes alone.

    Raises
    ------
    BackboneError
        It is truncated, or holds more than dense tensors of real numbers by their names. Nothing of it is run.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tells of old pickles, over several lines
            content = torch.load(path, map_location=device, weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise BackboneError(
            f"{path} can't be read, it may be truncated or hold more than tensors, which is never run: save the network's state "
            "dict alone"
        ) from error
    except Exception as error:  # a damaged file makes torch raise anything at all, and at length
        raise BackboneError(
            f"{path} can't be read, it may be truncated or hold more than tensors: {error_summary(error)}"
        ) from error
    if not isinstance(content, dict):
        raise BackboneError(
            f"{path} holds a {type(content).__name__}; the tensors of a network by their names are wanted"
        )
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise BackboneError(
                f"{path} holds more than tensors, {name!r} for one: save the network's state dict alone"
            )
        if value.is_complex() or value.layout != torch.strided:
            raise BackboneError(f"{path}: {name} is no dense tensor of real numbers")
    return content


def load_pretrained(kind: Any, folder: Path | str, file: Path, **options: Any) -> torch.nn.Module:
    """Load a network of diffusers or transformers whose every tensor must be in the file, and no other.

    Parameters
    ----------
    kind : type
        A class with ``from_pretrained``.
    folder : Path or str
        Holds ``config.json`` and the weights under their usual names.
    file : Path
        The weights as the user knows them, for errors; its suffix tells the format.
    **options
        Further ones of ``from_pretrained``.

    Raises
    ------
    BackboneError
        The weights do not fit the configuration.
    """
    try:
        network, found = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=file.suffix == ".safetensors",
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # tensors of another shape, or settings that don't go together
        raise BackboneError(f"{file} does not fit its config.json: {error_summary(error)}") from error
    wrong = {fault: keys for fault, keys in found.items() if keys}
    if wrong:
        fault, keys = next(iter(wrong.items()))
        raise BackboneError(f"{file} does not fit its config.json: {fault.replace('_', ' ')}: {min(map(str, keys))}")
    loaded: torch.nn.Module = network
    return loaded
