"""The model's input against np.pad: padding is NumPy's reflection, a tile is a cut of the padded, projected scene."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.extraction.model_input import ModelInput, make_model_input, mirror_indices
from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene
from hsifeat.types import Window


@given(st.integers(-60, 60), st.integers(1, 90), st.integers(1, 50))
def test_reflection_is_numpys(start, count, length):
    before, after = max(-start, 0), max(start + count - length, 0)
    padded = np.pad(np.arange(length), (before, after), mode="reflect")
    np.testing.assert_array_equal(mirror_indices(start, count, length), padded[start + before : start + before + count])


@pytest.mark.parametrize("tile", [Window(-8, -8, 32, 32), Window(60, 40, 32, 32), Window(20, 10, 16, 16)])
def test_a_tile_is_part_of_the_padded_projected_scene(scene, tile):
    projection = fit_projection("pca:4", scene)
    whole = np.pad(projection.apply(scene.cube), ((40, 40), (40, 40), (0, 0)), mode="reflect")
    wanted = whole[tile.row + 40 : tile.row + 40 + tile.rows, tile.col + 40 : tile.col + 40 + tile.cols]
    np.testing.assert_allclose(
        ModelInput(scene.cube, projection, scene.valid).read(tile), wanted.transpose(2, 0, 1), atol=2e-6
    )


@pytest.mark.parametrize(("spec", "black"), [("rgb", -1), ("pca:4", 0)])
def test_zero_padding_is_black(scene, spec, black):
    projection = fit_projection(spec, scene)
    image = projection.apply(scene.cube)
    whole = np.pad(image, ((40, 40), (40, 40), (0, 0)), constant_values=black)
    channels = ModelInput(scene.cube, projection, scene.valid, "zero").read(Window(-20, 30, 48, 60))
    np.testing.assert_allclose(channels, whole[20:68, 70:130].transpose(2, 0, 1), atol=2e-6)


def test_only_the_tile_is_read(scene):
    class Spy:
        shape, dtype = scene.cube.shape, scene.cube.dtype
        read = 0

        def __getitem__(self, key):
            block = scene.cube[key]
            self.read = max(self.read, block.shape[0] * block.shape[1])
            return block

    spy = Spy()
    spied = Scene("spied", spy)
    projection = fit_projection("bands:1,2,3", spied)
    _ = spied.valid
    spy.read = 0
    ModelInput(spy, projection, spied.valid).read(Window(-8, 30, 24, 24))
    assert 0 < spy.read <= 24 * 24


def test_invalid_pixels_are_zero(scene):
    cube = scene.cube.astype(np.float32)
    cube[5, 6] = np.nan
    holed = Scene("holed", cube)
    tile = ModelInput(cube, fit_projection("pca:3", holed), holed.valid).read(Window(0, 0, 16, 16))
    assert np.isfinite(tile).all() and not tile[:, 5, 6].any()


def test_pixels_without_data_in_a_companion_image_are_zero_and_in_the_recipe(scene):
    companion = np.random.default_rng(0).integers(1, 255, (2 * scene.rows, 2 * scene.cols, 3)).astype(np.uint8)
    companion[4:6, 8:10] = 255
    plain = replace(scene, companion=companion)
    declared = replace(plain, companion_nodata=(255.0,))
    backbone = SimpleNamespace(name="net", channels=3, projection_file=None)
    inputs = [make_model_input(one, backbone, None, companion=True, padding="reflect") for one in (plain, declared)]
    tiles = [one.read(Window(0, 0, 16, 16)) for one in inputs]
    assert tiles[0][:, 4:6, 8:10].all() and not tiles[1][:, 4:6, 8:10].any()
    assert inputs[0].companion_part().digest != inputs[1].companion_part().digest


@pytest.mark.parametrize("projection", [None, "rgb", "all"])
def test_8_bit_companion_images_are_scaled_as_the_page_on_extraction_says(scene, projection):
    image = np.random.default_rng(0).integers(1, 255, (2 * scene.rows, 2 * scene.cols, 3)).astype(np.uint8)
    backbone = SimpleNamespace(name="net", channels=3, projection_file=None)
    photo = replace(scene, companion=image)
    tile = make_model_input(photo, backbone, projection, companion=True, padding="reflect").read(Window(0, 0, 16, 16))
    standardised = np.clip((image - image.mean((0, 1))) / image.std((0, 1)) / 2.5, -1, 1)
    wanted = standardised if projection == "all" else image / 255 * 2 - 1
    np.testing.assert_allclose(tile, wanted[:32, :32].transpose(2, 0, 1), atol=1e-6)
