"""The choice between tiles over a scene and windows around pixels."""

import numpy as np

from hsifeat.extraction.tiling.pixel_list import PixelList
from hsifeat.extraction.tiling.pixel_windows import PixelWindows
from hsifeat.extraction.tiling.scene_tiling import SceneTiling
from hsifeat.extraction.tiling.tiling import make_tiling
from hsifeat.store.plane_layout import PixelListLayout, SceneLayout

OPTIONS = {"tile_px": 16, "halo_px": 4, "multiple": 4, "stitch": "core", "origin": None}


def test_a_scene_is_tiled_without_a_list_of_pixels():
    tiling = make_tiling((40, 24), None, **OPTIONS)
    assert isinstance(tiling, SceneTiling)
    assert isinstance(tiling.layout, SceneLayout)
    assert tiling.tile == (16, 16)
    assert tiling.pixels is None
    assert not tiling.blends


def test_a_list_of_pixels_gets_a_window_around_each():
    pixels = PixelList(np.array([3, 8]), np.array([5, 2]))
    tiling = make_tiling((40, 24), pixels, **OPTIONS)
    assert isinstance(tiling, PixelWindows)
    assert isinstance(tiling.layout, PixelListLayout)
    assert tiling.layout.window_px == 16
    assert tiling.pixels is pixels


def test_blending_follows_the_stitching():
    assert make_tiling((40, 24), None, **{**OPTIONS, "stitch": "hann"}).blends
