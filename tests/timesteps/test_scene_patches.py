"""Random patches and tiles against plain slices of the projected scene."""

import numpy as np

from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene
from hsifeat.timesteps.scene_patches import sample_patches, sample_tiles
from tests.helpers.small import small_cube


def test_patches_are_cut_from_the_projected_scene():
    cube = small_cube(40, 30, 4).astype(np.float32)
    cube[:, 10:14] = np.nan
    scene = Scene("striped", cube)
    projection = fit_projection("pca:3", scene)
    patches = sample_patches(scene, projection, 4, 10_000, seed=0)
    whole = projection.apply(cube)
    expected = [
        whole[row : row + 4, col : col + 4].ravel()
        for row in range(37)
        for col in range(27)
        if np.isfinite(whole[row : row + 4, col : col + 4]).all()
    ]
    np.testing.assert_allclose(patches, expected, rtol=1e-5, atol=1e-5)
    few = sample_patches(scene, projection, 4, 50, seed=0)
    assert few.shape == (50, 48) and len(np.unique(few, axis=0)) == 50


def test_patches_do_not_depend_on_blocks(monkeypatch):
    scene = Scene("s", small_cube(33, 21, 4))
    projection = fit_projection("pca:2", scene)
    whole = sample_patches(scene, projection, 4, 200, seed=1)
    monkeypatch.setattr("hsifeat.scenes.scene_blocks.VALUES_AT_A_TIME", 4 * 50)
    np.testing.assert_array_equal(sample_patches(scene, projection, 4, 200, seed=1), whole)


def test_tiles_hold_the_values_of_the_scene():
    cube = small_cube(24, 20, 5).astype(np.float32)
    cube[3:9, 2:7] = np.nan
    scene = Scene("masked", cube)
    projection = fit_projection("pca:3", scene)
    (tile,) = sample_tiles(scene, projection, 32, 1, seed=1)
    mirrored = np.pad(np.nan_to_num(scene.cube), ((0, 8), (0, 12), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(tile.spectra, mirrored)
    np.testing.assert_array_equal(tile.valid, np.pad(scene.valid, ((0, 8), (0, 12)), mode="reflect"))
    assert (tile.image[:, ~tile.valid] == 0).all()
    expected = projection.apply(mirrored)[tile.valid]
    np.testing.assert_allclose(tile.image.transpose(1, 2, 0)[tile.valid], expected, rtol=1e-6)
