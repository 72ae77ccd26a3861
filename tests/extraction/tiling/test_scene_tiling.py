"""Tiles over a scene: every pixel is kept exactly once, and units list the tiles that a brute-force search lists."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.errors import HsifeatError
from hsifeat.extraction.tiling.scene_tiling import tile_scene
from hsifeat.types import Window, windows


def tiling_of(rows, cols, core, halo, **options):
    """Tiles of a core and a halo on each side."""
    return tile_scene((rows, cols), tile_px=core + 2 * halo, halo_px=halo, multiple=1, **options)


@given(st.integers(1, 40), st.integers(0, 20), st.integers(1, 150), st.integers(1, 150))
def test_cores_of_all_units_cover_every_pixel_once(core, halo, rows, cols):
    tiling = tiling_of(rows, cols, core, halo)
    covered = np.zeros((rows, cols), int)
    for unit in windows(rows, cols, tiling.layout.unit_px):
        for tile in tiling.tiles(unit):
            kept = tiling.core(tile)
            covered[kept.clip(rows, cols).slices] += 1
            assert unit.row <= kept.row < unit.row + unit.rows, "no core begins outside its unit"
    assert (covered == 1).all()


@given(
    st.sampled_from(["core", "mean", "hann"]), st.integers(1, 20), st.integers(0, 12), st.integers(1, 60),
    st.integers(1, 60), st.integers(1, 64), st.data(),
)  # fmt: skip
def test_tiles_of_a_unit_are_the_tiles_of_the_scene_that_touch_it(stitch, core, halo, rows, cols, unit_px, data):
    """Brute force: lay tiles until the last pixel is kept, and keep those whose kept part overlaps the unit."""
    margin, side = (halo if stitch == "core" else 0), core + 2 * halo
    first = tuple(data.draw(st.integers(margin - side + 1, -margin)) for _ in range(2))
    tiling = tiling_of(rows, cols, core, halo, stitch=stitch, origin=first)

    def starts(begin, length):
        positions = [begin]
        while positions[-1] + side - margin < length:
            positions.append(positions[-1] + core)
        return positions

    grid = [(row, col) for row in starts(first[0], rows) for col in starts(first[1], cols)]
    whole = np.zeros((rows, cols), int)
    for row, col in grid:
        whole[max(row + margin, 0) : row + side - margin, max(col + margin, 0) : col + side - margin] += 1
    assert whole.min() >= 1, "the scene is covered"
    assert [(t.row, t.col) for t in tiling.tiles(Window(0, 0, rows, cols))] == grid
    for unit in windows(rows, cols, unit_px):
        touching = [
            (row, col)
            for row, col in grid
            if row + margin < unit.row + unit.rows and row + side - margin > unit.row
            if col + margin < unit.col + unit.cols and col + side - margin > unit.col
        ]
        assert [(t.row, t.col) for t in tiling.tiles(unit)] == touching


@pytest.mark.parametrize(("shape", "origin", "tiles"), [((332, 485), (-20, -26), 150), ((1723, 476), (-5, -4), 742)])
def test_the_published_windows_of_geodiffnet(shape, origin, tiles):
    """Windows of 64 px at a stride of 32, zeros above and left: (floor((side - 64) / 32) + 1) * 32 + 64 px in all."""
    tiling = tile_scene(shape, tile_px=64, halo_px=16, multiple=2, stitch="mean", origin=origin)
    padded = [((side - 64) // 32 + 1) * 32 + 64 for side in shape]
    assert tiles == (padded[0] // 32 - 1) * (padded[1] // 32 - 1)
    assert len(tiling.valid_tiles(Window(0, 0, *shape), np.ones(shape, bool))) == tiles
    # At stride 2 windows begin an even number of pixels before the scene.
    assert [begin - (side - wide) for side, wide, begin in zip(shape, padded, origin, strict=True)] in ([0, 1], [0, 0])


def test_the_whole_scene_is_one_tile():
    tiling = tile_scene((75, 53), tile_px=64, halo_px=16, multiple=4, stitch="whole")
    assert list(tiling.tiles(Window(0, 0, 75, 53))) == [Window(0, 0, 76, 56)]
    assert tiling.layout.unit_px == 76


@pytest.mark.parametrize(
    ("tile", "halo", "message"),
    [
        (30, 8, "multiples of 4"),
        (32, 6, "multiples of 4"),
        (32, 16, "no core left: give a halo below 16"),
        (0, 0, "multiples of 4"),
        (32, -4, "multiples of 4"),
    ],
)
def test_wrong_tilings(tile, halo, message):
    with pytest.raises(HsifeatError, match=message):
        tile_scene((75, 53), tile_px=tile, halo_px=halo, multiple=4)
