"""Keys: canonical JSON by hand as the oracle; every field changes the key, what is not in the recipe can't."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hsifeat.store.recipe import Recipe, differences, flat, key_of

RECIPE = {
    "algorithm": 1,
    "scene": "aa",
    "projection": {"spec": "pca:8", "digest": "bb"},
    "backbone": {
        "weights": "cc",
        "architecture": {"layers": [1, 2]},
        "schedule": "dd",
        "prediction": "epsilon",
        "conditioning": {"class_label": 3},
    },
    "tiling": {"tile_px": 64, "halo_px": 16, "stitch": "core", "padding": "reflect"},
    "noise": {"policy": "field", "seed": 0},
    "precision": {"compute": "float32", "stored": "float16"},
}
leaves = [
    ("algorithm",), ("scene",), ("projection", "spec"), ("projection", "digest"), ("backbone", "weights"),
    ("tiling", "tile_px"), ("tiling", "halo_px"), ("noise", "seed"),
]  # fmt: skip


def changed(path, value):
    tree = json.loads(json.dumps(RECIPE))
    branch = tree
    for name in path[:-1]:
        branch = branch[name]
    branch[path[-1]] = value
    return tree


def test_the_key_is_the_sha256_of_sorted_json():
    text = json.dumps(RECIPE, sort_keys=True, separators=(",", ":"))
    assert Recipe.model_validate(RECIPE).key == hashlib.sha256(text.encode()).hexdigest()


@given(st.sampled_from(leaves), st.integers(2, 10**6))
def test_every_field_changes_the_key(path, number):
    old = RECIPE
    for name in path:
        old = old[name]
    value = number if isinstance(old, int) else str(number)
    if value == old:
        return
    other = Recipe.model_validate(changed(path, value))
    assert other.key != Recipe.model_validate(RECIPE).key
    assert differences(RECIPE, other.canonical()) == [(".".join(path), old, value)]


@given(st.sampled_from(sorted(flat(RECIPE))), st.text() | st.integers() | st.lists(st.integers()))
def test_no_leaf_is_left_out_of_the_key(name, value):
    """Fields that have only one allowed value count too, because a newer version may write other values."""
    assert Recipe.model_validate(RECIPE).canonical() == RECIPE
    if value != flat(RECIPE)[name]:
        assert key_of(changed(name.split("."), value)) != key_of(RECIPE)


@given(st.permutations(list(RECIPE)))
def test_order_plays_no_part(order):
    assert key_of({name: RECIPE[name] for name in order}) == key_of(RECIPE)


def test_the_key_survives_a_round_trip():
    recipe = Recipe.model_validate(RECIPE)
    assert Recipe.model_validate(json.loads(json.dumps(recipe.canonical()))).key == recipe.key


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError, match="name"):
        Recipe.model_validate({**RECIPE, "name": "mine"})
