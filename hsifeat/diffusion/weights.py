"""Digests of weights: the same numbers give the same digest, whatever file they lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hsifeat.errors import BackboneError, in_one_line

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
    import torch
    from safetensors import safe_open

    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return digest_tensors((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118
        return digest_tensors(torch.load(path, map_location="cpu", weights_only=True).items())
    except Exception as error:  # a damaged file makes torch raise anything at all, and at length
        raise BackboneError(
            f"{path} can't be read, it may be truncated or hold more than tensors: {in_one_line(error)}"
        ) from error
