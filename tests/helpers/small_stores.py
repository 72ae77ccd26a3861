"""A small store that is written without a model. It has a scene of integers, and planes of random values."""

import numpy as np

from hsifeat.scene_facts import SceneFacts
from hsifeat.store.create import SceneArrays
from hsifeat.store.manifest import Manifest
from hsifeat.store.plane_layout import PixelListLayout, SceneLayout
from hsifeat.store.recipe import key_of

RECIPE = {
    "algorithm": 1,
    "scene": "aa",
    "projection": {"spec": "all", "digest": "bb"},
    "backbone": {"weights": "cc"},
    "precision": {"compute": "float32", "stored": "float16"},
    "tiling": {"tile_px": 64, "halo_px": 16, "stitch": "core", "padding": "reflect", "masked": "computed"},
    "noise": {"policy": "none"},
}
ROWS, COLS, BANDS = 40, 25, 6
PIXELS = tuple(np.array(list(np.ndindex(ROWS, COLS))[::13]).T)
LAYOUTS = {"scene": SceneLayout(ROWS, COLS, 16), "pixels": PixelListLayout(len(PIXELS[0]), 8, 32)}


def manifest_of(layout):
    facts = SceneFacts(name="x", rows=ROWS, cols=COLS, bands=BANDS)
    return Manifest(key=key_of(RECIPE), recipe=RECIPE, layout=layout, batch=4, scene=facts)


def scene_arrays(pixels=None):
    cube = np.random.default_rng(0).integers(0, 9999, (ROWS, COLS, BANDS), np.uint16)
    projection = {"weights": np.eye(BANDS, 3, dtype=np.float32)}
    return SceneArrays(cube, np.ones((ROWS, COLS), bool), projection, pixels)


def values_of(store, plane):
    shape = store.layout.cells(plane, store.layout.extent)
    return np.random.default_rng(plane.id.t).normal(size=shape).astype(plane.dtype)


def write_units(store, plane, values, units):
    for unit in units:
        store.write(plane.id, unit, values[store.layout.slices(unit, plane.stride)])
