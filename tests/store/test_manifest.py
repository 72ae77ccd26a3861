"""Manifests: what is read back is what was written, and anything else is refused with the reason."""

import json
import math

import pytest

from hsifeat.errors import StoreError
from hsifeat.scene_facts import SceneFacts
from hsifeat.store.manifest import SCHEMA_VERSION, Manifest
from hsifeat.store.plane_layout import PixelListLayout, SceneLayout
from hsifeat.store.recipe import key_of
from tests.store.test_recipe import RECIPE, changed

MANIFEST = {
    "schema_version": SCHEMA_VERSION, "key": key_of(RECIPE), "recipe": RECIPE, "batch": 16,
    "layout": {"kind": "scene", "rows": 5, "cols": 6, "unit_px": 128},
    "scene": {"name": "x", "rows": 5, "cols": 6, "bands": 7},
}  # fmt: skip


@pytest.mark.parametrize("layout", [SceneLayout(5, 6, 128), PixelListLayout(9, 48, 512)], ids=["scene", "pixels"])
def test_a_manifest_survives_json(layout):
    scene = SceneFacts(name="x", rows=5, cols=6, bands=7)
    manifest = Manifest(key=key_of(RECIPE), recipe=RECIPE, layout=layout, batch=16, scene=scene)
    parsed = Manifest.parse(json.loads(json.dumps(manifest.model_dump(mode="json"))), "here")
    assert parsed == manifest
    assert parsed.layout == layout


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (None, "is not a feature store"),
        ({}, "is not a feature store: key"),
        ({**MANIFEST, "schema_version": SCHEMA_VERSION + 1}, "install a newer hsifeat"),
        ({**MANIFEST, "schema_version": 0}, "extract the scene again"),
        ({**MANIFEST, "recipe": changed(("noise", "seed"), math.nan)}, "is not a feature store: recipe: "),
        ({**MANIFEST, "recipe": changed(("noise", "seed"), math.inf)}, "is not a feature store: recipe: "),
        ({**MANIFEST, "recipe": changed(("noise", "seed"), 5)}, "the manifest was edited"),
        ({**MANIFEST, "batch": "many"}, "is not a feature store: batch"),
        ({**MANIFEST, "layout": {"kind": "hexagons"}}, "is not a feature store: layout"),
    ],
)
def test_anything_else_is_refused(attribute, message):
    assert Manifest.parse(MANIFEST, "here").layout == SceneLayout(5, 6, 128)
    with pytest.raises(StoreError, match=f"here.*{message}"):
        Manifest.parse(attribute, "here")


@pytest.mark.parametrize(
    ("path", "value"),
    [(("backbone",), "x"), (("projection",), {}), (("tiling", "tile_px"), "64"), (("scene",), 5), (("tiling",), None)],
    ids=str,
)
def test_a_recipe_with_fields_of_other_types_is_refused(path, value):
    """A stranger can write any recipe with its key."""
    recipe = changed(path, value)
    with pytest.raises(StoreError, match=f"here is not a feature store: recipe.{path[0]}"):
        Manifest.parse({**MANIFEST, "recipe": recipe, "key": key_of(recipe)}, "here")


@pytest.mark.parametrize(
    "change",
    [
        {"scene.rows": 10**6, "scene.cols": 10**6, "layout.rows": 10**6, "layout.cols": 10**6, "layout.unit_px": 1},
        {"scene.rows": 0, "layout.rows": 0},
        {"scene.rows": -5},
        {"scene.rows": 10**30},
        {"scene.bands": 0},
        {"layout.rows": 7},
        {"layout.unit_px": 0},
        {"layout.unit_px": -3},
        {"batch": 0},
    ],
    ids=str,
)
def test_absurd_facts_are_refused_at_once(change):
    content = json.loads(json.dumps(MANIFEST))
    Manifest.parse(content, "s.zarr")
    for name, value in change.items():
        section, _, field = name.rpartition(".")
        (content[section] if section else content)[field] = value
    with pytest.raises(StoreError, match=r"s.zarr is not a feature store: "):
        Manifest.parse(content, "s.zarr")
