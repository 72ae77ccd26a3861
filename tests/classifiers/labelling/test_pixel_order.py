"""Grids of pixels, against slices and loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifiers.labelling.pixel_order import STEPS, GridView, order_pixels
from hsifeat.types import Window


def test_coarse_grids_come_first_in_row_major_order():
    mask = np.random.default_rng(0).random((37, 21)) < 0.7
    order = order_pixels(mask)
    assert sorted(order) == np.flatnonzero(mask).tolist()
    for step in STEPS:
        grid = [row * 21 + col for row in range(0, 37, step) for col in range(0, 21, step) if mask[row, col]]
        assert sorted(order[: len(grid)]) == grid


@given(
    st.integers(0, 30), st.integers(0, 40), st.integers(1, 31), st.integers(1, 41), st.sampled_from(STEPS),
    st.sampled_from([0, 3, 8, None]),
)  # fmt: skip
def test_a_view_has_the_grid_of_its_window_and_a_margin(row, col, rows, cols, step, reach):
    window = Window(row, col, rows, cols).clip(31, 41)
    grid = GridView.of_window(window, (31, 41), step, reach)
    at = np.stack(np.indices((31, 41)), axis=2)
    seen = at[grid.slices]
    inner = {tuple(place) for place in seen[grid.inner].reshape(-1, 2).tolist()}
    margin = 100 if reach is None else reach

    def grid_of(first_row, first_col, last_row, last_col):
        return {
            (r, c)
            for r in range(max(first_row, 0), min(last_row, 31))
            for c in range(max(first_col, 0), min(last_col, 41))
            if r % step == 0 and c % step == 0
        }

    assert inner == grid_of(row, col, row + rows, col + cols)
    around = grid_of(row - margin, col - margin, row + rows + margin, col + cols + margin)
    assert {tuple(place) for place in seen.reshape(-1, 2).tolist()} == around
    assert grid.is_whole == (
        row - margin <= 0 and col - margin <= 0 and row + rows + margin >= 31 and col + cols + margin >= 41
    ) or (len(around) == len(grid_of(0, 0, 31, 41)))
