"""Tiling: every pixel is kept exactly once, padding is NumPy's reflection, tiles see what they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.errors import HsifeatError
from hsifeat.extraction.plan import unit_side
from hsifeat.extraction.tiles import Tiling, read_tile, reflect
from hsifeat.projection import fit_projection
from hsifeat.types import Window, windows

tilings = st.builds(lambda core, context: Tiling(core + 2 * context, context), st.integers(1, 40), st.integers(0, 20))


@given(tilings, st.integers(1, 300), st.integers(1, 300))
def test_cores_of_all_units_cover_every_pixel_once(tiling, rows, cols):
    covered = np.zeros((rows, cols), int)
    for unit in windows(rows, cols, unit_side(tiling)):
        for core in tiling.cores(unit):
            covered[core.clip(rows, cols).slices] += 1
            assert unit.row <= core.row < unit.row + unit.rows, "no core begins outside its unit"
    assert (covered == 1).all()


@given(st.integers(-60, 60), st.integers(1, 90), st.integers(1, 50))
def test_reflection_is_numpys(start, count, length):
    before, after = max(-start, 0), max(start + count - length, 0)
    padded = np.pad(np.arange(length), (before, after), mode="reflect")
    np.testing.assert_array_equal(reflect(start, count, length), padded[start + before : start + before + count])


@pytest.mark.parametrize("tile", [Window(-8, -8, 32, 32), Window(60, 40, 32, 32), Window(20, 10, 16, 16)])
def test_a_tile_is_a_cut_of_the_padded_projected_scene(scene, tile):
    projection = fit_projection("pca:4", scene)
    whole = np.pad(projection.apply(scene.cube), ((40, 40), (40, 40), (0, 0)), mode="reflect")
    wanted = whole[tile.row + 40 : tile.row + 40 + tile.rows, tile.col + 40 : tile.col + 40 + tile.cols]
    np.testing.assert_allclose(read_tile(scene, projection, tile), wanted.transpose(2, 0, 1), atol=2e-6)


def test_only_the_tile_is_read(scene):
    class Spy:
        shape, dtype = scene.cube.shape, scene.cube.dtype
        read = 0

        def __getitem__(self, key):
            block = scene.cube[key]
            self.read = max(self.read, block.shape[0] * block.shape[1])
            return block

    from hsifeat.scenes import Scene

    spy = Spy()
    spied = Scene("spied", spy)
    projection = fit_projection("bands:1,2,3", spied)
    _ = spied.valid
    spy.read = 0
    read_tile(spied, projection, Window(-8, 30, 24, 24))
    assert 0 < spy.read <= 24 * 24


def test_invalid_pixels_are_zero(scene):
    from hsifeat.scenes import Scene

    cube = scene.cube.astype(np.float32)
    cube[5, 6] = np.nan
    holed = Scene("holed", cube)
    tile = read_tile(holed, fit_projection("pca:3", holed), Window(0, 0, 16, 16))
    assert np.isfinite(tile).all() and not tile[:, 5, 6].any()


@pytest.mark.parametrize(
    ("tile", "context", "message"),
    [
        (30, 8, "multiples of 4"),
        (32, 6, "multiples of 4"),
        (32, 16, "no core left: give a context below 16"),
        (0, 0, "multiples of 4"),
        (32, -4, "multiples of 4"),
    ],
)
def test_wrong_tilings(tile, context, message):
    with pytest.raises(HsifeatError, match=message):
        Tiling(tile, context).check(4)
