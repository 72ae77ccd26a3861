"""Cutting feature maps into square patches, and joining them again."""

from __future__ import annotations

import torch
from torch.nn.functional import pad


def cut(maps: torch.Tensor, side: int) -> torch.Tensor:
    """Cut maps into patches in row-major order; beyond the lower and right edge lie zeros.

    Parameters
    ----------
    maps : (n, C, rows, cols) tensor
        Of any size.
    side : int
        P.

    Returns
    -------
    (n * ceil(rows / P) * ceil(cols / P), C, P, P) tensor
    """
    n, channels, rows, cols = maps.shape
    down, across = -(-rows // side), -(-cols // side)
    whole = pad(maps, (0, across * side - cols, 0, down * side - rows))
    grid = whole.reshape(n, channels, down, side, across, side)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, side, side)


def join(patches: torch.Tensor, rows: int, cols: int) -> torch.Tensor:
    """Join the patches of maps of `rows` x `cols`, and cut off what lies beyond them.

    Parameters
    ----------
    patches : (n * ceil(rows / P) * ceil(cols / P), C, P, P) tensor
        As `cut` gives them.
    rows, cols : int
        Of the maps.

    Returns
    -------
    (n, C, rows, cols) tensor
    """
    channels, side = patches.shape[1:3]
    down, across = -(-rows // side), -(-cols // side)
    grid = patches.reshape(-1, down, across, channels, side, side)
    whole = grid.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, down * side, across * side)
    return whole[:, :, :rows, :cols]
