"""Gaussian noise as a function of position, channel, seed and index of the noise draw.

A value of the field depends on nothing else: not on the tiling, the batch, the device, the timestep or the number of
channels. The field continues beyond the scene, so that padding gets noise as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import Window

_BLOCK_PX = 64


def noise_field(window: Window, channels: int, seed: int, draw: int = 0) -> NDArray[np.float32]:
    """Return a window of a Gaussian noise field.

    Parameters
    ----------
    window : Window
        Window on the grid of denoiser cells. A cell is one pixel of the input image in pixel space, and one latent position
        in latent space. The window may reach beyond the scene.
    channels : int
        Number of denoiser channels.
    seed : int
        Seed from 0 to 2**64 - 1.
    draw : int
        Index of the noise draw, starting at 0. Fields of different draws are independent.

    Returns
    -------
    (channels, rows, cols) float32 array
        Independent standard normal values.

    Notes
    -----
    Blocks of 64 x 64 cells are drawn from NumPy's Philox generator (Salmon et al., "Parallel random numbers: as easy as 1,
    2, 3", SC 2011). The key of the generator is (seed, draw). The upper words of the generator's counter are (channel, block
    row, block column).

    Examples
    --------
    >>> whole = noise_field(Window(0, 0, 8, 8), channels=3, seed=0)
    >>> part = noise_field(Window(2, 4, 4, 4), channels=1, seed=0)
    >>> bool((whole[:1, 2:6, 4:8] == part).all())
    True
    """
    field = np.empty((channels, window.rows, window.cols), dtype=np.float32)
    bottom, right = window.row + window.rows, window.col + window.cols
    for block_row in range(window.row // _BLOCK_PX, -(-bottom // _BLOCK_PX)):
        for block_col in range(window.col // _BLOCK_PX, -(-right // _BLOCK_PX)):
            top, left = block_row * _BLOCK_PX, block_col * _BLOCK_PX
            first_row, first_col = max(top, window.row), max(left, window.col)
            rows = slice(first_row - top, min(bottom - top, _BLOCK_PX))
            cols = slice(first_col - left, min(right - left, _BLOCK_PX))
            to_rows = slice(first_row - window.row, first_row - window.row + rows.stop - rows.start)
            to_cols = slice(first_col - window.col, first_col - window.col + cols.stop - cols.start)
            for channel in range(channels):
                field[channel, to_rows, to_cols] = _block((seed, draw), channel, block_row, block_col)[rows, cols]
    return field


def _block(key: tuple[int, int], channel: int, block_row: int, block_col: int) -> NDArray[np.float32]:
    # Blocks above and left of the scene have negative indices. Two's complement maps these to distinct counters.
    counter = np.array([0, channel, block_row, block_col], dtype=np.int64).view(np.uint64)
    generator = np.random.Generator(np.random.Philox(counter=counter, key=np.array(key, dtype=np.uint64)))
    return generator.standard_normal((_BLOCK_PX, _BLOCK_PX), dtype=np.float32)
