"""Bands as images: the values of the scene, read once."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from hsifeat.scenes.scene import Scene
from hsifeat.service.problems import ProblemError
from hsifeat.service.workbench import band_images
from hsifeat.service.workbench.band_images import BandImages, Rendering
from hsifeat.types import Window


class CountingCube:
    """A cube that counts the values that are read from it."""

    def __init__(self, cube):
        self.cube, self.shape, self.dtype, self.count = cube, cube.shape, cube.dtype, 0

    def __getitem__(self, index):
        part = self.cube[index]
        self.count += part.size
        return part


@pytest.fixture
def cube():
    return CountingCube(np.random.default_rng(0).integers(0, 4000, (61, 47, 9), np.uint16))


def decode(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def expected(cube, bands, window, step, sample):
    part = cube[window.slices][::step, ::step][..., list(bands)].astype(float)
    low, high = np.percentile(cube[::sample, ::sample][..., list(bands)].reshape(-1, 3), [2, 98], axis=0)
    return 255 * np.clip((part - low) / (high - low), 0, 1)


@pytest.mark.parametrize("limit", [2**20, 14_000, 3000])
def test_every_part_and_step_has_the_values_of_the_scene(cube, monkeypatch, limit):
    monkeypatch.setattr(band_images, "_OVERVIEW_BYTES", limit)
    images = BandImages(Scene("test", cube, mask=np.ones((61, 47), bool)))
    assert images.overview_step == {2**20: 1, 14_000: 2, 3000: 8}[limit]
    for window, step in ((Window(0, 0, 61, 47), 1), (Window(8, 16, 30, 31), 2), (Window(16, 0, 45, 20), 8)):
        shown = decode(images.png(Rendering((7, 3, 0)), window, step))
        truth = expected(cube.cube, (7, 3, 0), window, step, images.overview_step)
        assert shown.shape == (*truth.shape[:2], 4)
        assert abs(shown[..., :3] - truth).max() <= 0.51


def test_other_bands_are_shown_without_reading_the_scene(cube, monkeypatch):
    monkeypatch.setattr(band_images, "_OVERVIEW_BYTES", 14_000)
    monkeypatch.setattr(band_images, "_PARTS_BYTES", 3000)
    images = BandImages(scene := Scene("test", cube, mask=np.ones((61, 47), bool)))
    _ = scene.valid
    cube.count = 0  # A new scene and its valid pixels have read one pixel each.
    whole = Window(0, 0, 61, 47)
    images.png(Rendering((0, 1, 2)), whole, 2)
    assert cube.count == cube.cube.size
    for bands in ((3, 4, 5), (6, 7, 8), (8, 0, 4)):
        images.png(Rendering(bands, cut=1, gamma=0.5), whole, 4)
    assert cube.count == cube.cube.size
    part = Window(10, 10, 20, 20)
    for _ in range(3):
        images.png(Rendering((3, 4, 5)), part, 1)
    assert cube.count == cube.cube.size + 3 * 400, "a finer part is read once"
    for bands in ((0, 1, 2), (3, 4, 5)):
        images.png(Rendering(bands), part, 1)
    assert sum(one.nbytes for one in images._parts.values()) <= 3000


def test_images_of_a_large_scene_read_and_keep_only_their_pixels(cube, monkeypatch):
    monkeypatch.setattr(band_images, "_OVERVIEW_BYTES", 200)
    monkeypatch.setattr(band_images, "_PARTS_BYTES", 3000)
    images, whole = BandImages(Scene("test", cube, mask=np.ones((61, 47), bool))), Window(0, 0, 61, 47)
    assert images.overview_step == 16, "the coarsest step that a page may ask for"
    images.png(Rendering((0, 1, 2)), whole, 16)
    for step in (4, 8, 2, 1):
        before, truth = cube.count, expected(cube.cube, (3, 4, 5), whole, step, 16)
        shown = decode(images.png(Rendering((3, 4, 5)), whole, step))
        assert abs(shown[..., :3] - truth).max() <= 0.51
        assert cube.count - before == truth.size
        assert sum(one.nbytes for one in images._parts.values()) <= 3000


def test_an_image_waits_a_limited_time_for_the_reading_of_others(cube, monkeypatch):
    images = BandImages(Scene("test", cube, mask=np.ones((61, 47), bool)))
    image, started, go_on = (Rendering((0, 1, 2)), Window(0, 0, 61, 47), 1), threading.Event(), threading.Event()
    read = CountingCube.__getitem__

    def read_slowly(cube, index):
        started.set()
        go_on.wait(10)
        return read(cube, index)

    monkeypatch.setattr(CountingCube, "__getitem__", read_slowly)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(images.png, *image)
        assert started.wait(10)
        monkeypatch.setattr(band_images, "_PATIENCE_S", 0.01)
        with pytest.raises(ProblemError, match="being read for other images: try again") as raised:
            images.png(*image)
        go_on.set()
        assert first.result() == images.png(*image)
    assert raised.value.status == 503


def test_pixels_without_data_are_transparent():
    valid = np.arange(20).reshape(4, 5) % 3 > 0
    scene = Scene("test", np.arange(60, dtype=np.float64).reshape(4, 5, 3), mask=valid)
    shown = decode(BandImages(scene).png(Rendering((0, 1, 2)), Window(0, 0, 4, 5), 1))
    np.testing.assert_array_equal(shown[..., 3] == 255, valid)
    empty = Scene("test", scene.cube, mask=np.zeros_like(valid))
    assert not decode(BandImages(empty).png(Rendering((0, 1, 2)), Window(0, 0, 4, 5), 1)).any()
