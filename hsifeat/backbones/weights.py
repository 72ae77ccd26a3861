"""Reading of weight files without unpickling objects, and digests that do not depend on the file format."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.errors import BackboneError, error_summary, raise_resource_error
from hsifeat.files import open_regular, open_safetensors
from hsifeat.quiet_warnings import ignored_warnings
from hsifeat.torch_state import own_random_state

if TYPE_CHECKING:
    import torch


def digest_tensors(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """Return the hexadecimal sha256 of named tensors of any shape and dtype.

    The digest covers the name, dtype, shape and bytes of each tensor. It does not depend on the order of `tensors`.
    """
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(f"{name},{tensor.dtype},{tuple(tensor.shape)};".encode())
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of the tensors in a ``.safetensors`` file, or in a torch file that contains only tensors."""
    return digest_files([path])


def digest_files(paths: Iterable[Path]) -> str:
    """Return the digest of the tensors of several files.

    A single file with all of these tensors has the same digest.

    Raises
    ------
    BackboneError
        If a file is damaged, or contains objects other than tensors. If two files have a tensor of the same name.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in paths:
        content = _read_safetensors(path) if path.suffix == ".safetensors" else load_tensors(path)
        if twice := tensors.keys() & content.keys():
            raise BackboneError(f"{path} holds the tensor {min(twice)}, which another shard holds too")
        tensors |= content
    return digest_tensors(tensors.items())


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        with open_safetensors(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # damaged files raise errors of many classes
        raise_resource_error(error)
        raise BackboneError(f"{path} can't be read and may be truncated: {error_summary(error)}") from error


def load_tensors(path: Path, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Read a torch file that contains only named tensors, without executing code in the file.

    Parameters
    ----------
    path : Path
        File written by ``torch.save``.
    device : str
        Device of the returned tensors. On ``meta``, only shapes and dtypes are read.

    Returns
    -------
    dict of str to tensor
        Maps names to tensors, which have their stored shape and dtype.

    Raises
    ------
    BackboneError
        If the file is truncated. If the file contains anything other than named, dense, real tensors.
    """
    import torch

    try:
        with ignored_warnings():  # torch shows long warnings about old pickles
            open_regular(path).close()  # torch waits for pipes, and reports a denied permission as a missing file
            content = torch.load(path, map_location=device, weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise BackboneError(
            f"{path} can't be read: it may be truncated, or contain objects other than tensors, which hsifeat never unpickles. Save "
            "only the network's state dict"
        ) from error
    except Exception as error:  # damaged files raise long errors of many classes
        raise_resource_error(error)
        raise BackboneError(
            f"{path} can't be read and may be truncated or contain more than tensors: {error_summary(error)}"
        ) from error
    if not isinstance(content, dict):
        raise BackboneError(
            f"{path} holds a {type(content).__name__}; allowed is a state dict, the tensors of a network by name"
        )
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise BackboneError(
                f"{path} holds more than tensors, {name!r} for one: save the network's state dict alone"
            )
        if value.is_complex() or value.layout != torch.strided:
            raise BackboneError(f"{path}: {name} is not a dense tensor of real numbers")
    return content


def build_network(network_class: Any, config: Mapping[str, Any], file: Path) -> torch.nn.Module:
    """Build a diffusers network with random weights from a configuration.

    Parameters
    ----------
    network_class : type
        A network class of diffusers.
    config : mapping
        The content of ``config.json``.
    file : Path
        Path of ``config.json``, for error messages.

    Raises
    ------
    BackboneError
        If the configuration is inconsistent.
    """
    try:
        network: torch.nn.Module = network_class.from_config(config)
    except Exception as error:  # inconsistent settings raise errors of many classes
        raise_resource_error(error)
        raise BackboneError(f"{file} does not describe a {network_class.__name__}: {error_summary(error)}") from error
    return network


def load_pretrained(network_class: Any, folder: Path | str, file: Path, suffix: str, **options: Any) -> torch.nn.Module:
    """Load a network of diffusers or transformers. The weight file must contain exactly the tensors of the network.

    Parameters
    ----------
    network_class : type
        A class with ``from_pretrained``.
    folder : Path or str
        Folder with ``config.json`` and the weights under their standard names.
    file : Path
        Path of the weights as the user named it, for error messages.
    suffix : str
        Format of the weights, ``.safetensors`` or ``.bin``.
    **options
        Further arguments of ``from_pretrained``.

    Raises
    ------
    BackboneError
        If the file can't be loaded. If the tensors in the file differ in name or shape from the tensors of the network
        that ``config.json`` describes.
    """
    try:
        # A network may draw initial weights before it loads others. During loading, diffusers disables initialisation in all threads.
        with own_random_state():
            network, loading = network_class.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=suffix == ".safetensors",
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # tensors of other shapes, or inconsistent settings
        raise_resource_error(error)
        raise BackboneError(f"{file} does not fit its config.json: {error_summary(error)}") from error
    faults = {fault: keys for fault, keys in loading.items() if keys}
    if faults:
        fault, keys = next(iter(faults.items()))
        raise BackboneError(f"{file} does not fit its config.json: {fault.replace('_', ' ')}: {min(map(str, keys))}")
    module: torch.nn.Module = network
    return module
