"""The noise field: Gaussian noise tied to the scene's coordinates, so that tiling can't change it.

The value at a pixel and channel depends on seed and draw alone: not on the tile grid, the batch, the device, the order of
work, the timestep or the number of channels. The field goes on beyond the scene, where padding lies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import Window

_BLOCK_PX = 64


def noise_field(window: Window, channels: int, seed: int, draw: int = 0) -> NDArray[np.float32]:
    """Read a window of a field.

    Parameters
    ----------
    window : Window
        In cells of what is noised, pixels of the scene in pixel space; may lie partly or wholly outside the scene.
    channels : int
        Channels of what is noised.
    seed : int
        From 0 to 2**64 - 1.
    draw : int
        Which of the seed's independent fields, from 0.

    Returns
    -------
    (channels, rows, cols) float32 array
        Independent standard normal values.

    Notes
    -----
    Blocks of 64 x 64 pixels are drawn from NumPy's Philox generator (Salmon et al. 2011) with (seed, draw) as key and
    (channel, block row, block column) in the counter, above the words that drawing counts up.
    """
    field = np.empty((channels, window.rows, window.cols), dtype=np.float32)
    bottom, right = window.row + window.rows, window.col + window.cols
    for block_row in range(window.row // _BLOCK_PX, -(-bottom // _BLOCK_PX)):
        for block_col in range(window.col // _BLOCK_PX, -(-right // _BLOCK_PX)):
            top, left = block_row * _BLOCK_PX, block_col * _BLOCK_PX
            part = Window(max(top, window.row), max(left, window.col), 0, 0)
            rows = slice(part.row - top, min(bottom - top, _BLOCK_PX))
            cols = slice(part.col - left, min(right - left, _BLOCK_PX))
            height, width = rows.stop - rows.start, cols.stop - cols.start
            to_rows = slice(part.row - window.row, part.row - window.row + height)
            to_cols = slice(part.col - window.col, part.col - window.col + width)
            for channel in range(channels):
                field[channel, to_rows, to_cols] = _block((seed, draw), channel, block_row, block_col)[rows, cols]
    return field


def _block(key: tuple[int, int], channel: int, block_row: int, block_col: int) -> NDArray[np.float32]:
    # Blocks above and left of the scene have negative numbers: two's complement makes them distinct counters.
    counter = np.array([0, channel, block_row, block_col], dtype=np.int64).view(np.uint64)
    generator = np.random.Generator(np.random.Philox(counter=counter, key=np.array(key, dtype=np.uint64)))
    return generator.standard_normal((_BLOCK_PX, _BLOCK_PX), dtype=np.float32)
