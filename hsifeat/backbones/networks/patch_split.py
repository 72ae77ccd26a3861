"""Splitting of feature maps into square patches, and joining of patches into feature maps."""

from __future__ import annotations

import torch
from torch.nn.functional import pad


def split_into_patches(maps: torch.Tensor, side: int) -> torch.Tensor:
    """Split feature maps into patches in row-major order, after padding the lower and right edges with zeros.

    Parameters
    ----------
    maps : (n, C, rows, cols) tensor
        Feature maps of any size and dtype.
    side : int
        P, the side of a patch, in cells of the feature maps.

    Returns
    -------
    (n * ceil(rows / P) * ceil(cols / P), C, P, P) tensor
        The patches.
    """
    n, channels, rows, cols = maps.shape
    patch_rows, patch_cols = -(-rows // side), -(-cols // side)
    padded = pad(maps, (0, patch_cols * side - cols, 0, patch_rows * side - rows))
    patch_grid = padded.reshape(n, channels, patch_rows, side, patch_cols, side)
    return patch_grid.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, side, side)


def join_patches(patches: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    """Join patches into feature maps, and remove the padding.

    Parameters
    ----------
    patches : (n * ceil(rows / P) * ceil(cols / P), C, P, P) tensor
        Patches of P x P cells, in the order of `split_into_patches`.
    rows, cols : int
        Height and width of the feature maps without the padding.

    Returns
    -------
    (n, C, rows, cols) tensor
        The feature maps.
    """
    channels, side = patches.shape[1:3]
    patch_rows, patch_cols = -(-rows // side), -(-cols // side)
    patch_grid = patches.reshape(-1, patch_rows, patch_cols, channels, side, side)
    padded = patch_grid.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, patch_rows * side, patch_cols * side)
    return padded[:, :, :rows, :cols]
