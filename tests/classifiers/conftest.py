"""Shared fixtures: stores of the small scene and of others, and a comparison with all its files."""

import numpy as np
import pytest

import hsifeat
from classifiers import compare
from classifiers.comparison.report.write import write_report
from hsifeat.cache import catalogue
from hsifeat.features.open_features import open_features
from hsifeat.scenes import Labels, Scene
from tests.helpers.small import small_cube, small_labels

SPLITS = ("random:0.3", "blocks:9+1:0.3")
PLANES = ("t0/mid_block", "t0/up_blocks.2", "t300/mid_block")


@pytest.fixture(scope="session")
def report(store_path, tmp_path_factory):
    """A comparison, its folder and its options."""
    out = tmp_path_factory.mktemp("report")
    options = {"heads": ["lda", "logistic"], "splits": SPLITS, "seeds": 2, "inputs": ["spectra", "planes"]}
    options["planes"] = PLANES
    found = compare(store_path, curve=[5], sweep=True, out=out, **options)
    assert write_report(found, out)
    return found, out, options


@pytest.fixture(scope="session")
def stores(scene, store_path, backbone_folder, tmp_path_factory):
    """Stores that differ from the small store: in the recipe, in the number of planes, in the scene, and by a list of pixels."""
    folder = tmp_path_factory.mktemp("stores")
    tiny = {"backbone": backbone_folder, "timesteps": [0]}
    other = Scene("other", scene.cube[:40, :40] + 1, scene.wavelengths_nm, {})
    listed = {"layers": ["mid_block"], "tile": 8, "pixels": "fields"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        hsifeat.extract(scene, **tiny, layers=["mid_block"], tile=16, halo=4, out=folder / "tiles.zarr")
        hsifeat.extract(scene, like=store_path, timesteps=[0], layers=["mid_block"], out=folder / "fewer.zarr")
        hsifeat.extract(other, like=store_path, timesteps=[0, 300], out=folder / "other.zarr")
        hsifeat.extract(scene, **tiny, **listed, out=folder / "listed.zarr")
    return folder


@pytest.fixture(scope="session")
def opened(stores, store_path):
    return {location.stem: open_features(location) for location in stores.glob("*.zarr")} | {
        "small": open_features(store_path)
    }


@pytest.fixture(scope="session")
def other_recipe(scene, backbone_folder, tmp_path_factory):
    """A store of the small scene with different tiles."""
    location = tmp_path_factory.mktemp("other") / "other.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        options = {"timesteps": [0], "layers": ["mid_block"], "tile": 16, "halo": 4}
        hsifeat.extract(scene, backbone=backbone_folder, **options, out=location)
    return location


@pytest.fixture(scope="session")
def other_scene(store_path, tmp_path_factory):
    """A store of another scene with the same recipe. The classes of the scene have other numbers."""
    location = tmp_path_factory.mktemp("scene") / "second.zarr"
    labels = Labels("fields", small_labels(40, 30, 3), {1: "woods", 2: "soil", 3: "corn"})
    second = Scene("second", small_cube(40, 30, seed=5), np.linspace(450, 900, 12), {"fields": labels})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        hsifeat.extract(second, like=store_path, timesteps=[0, 300], out=location)
    return location
