"""Fixtures of tests and of the examples in docstrings: a small scene, a small U-Net in a folder, and a store of both."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.remembered import remember_entry_points, remember_taps, remember_weights
from tests.helpers.small import save_unet, small_cube, small_labels

# Set before torch is imported: workers run side by side, one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
remember_entry_points()
remember_taps()
remember_weights()
_NUMBERS = itertools.count()
_TESTS = Path(__file__).parent / "tests"
# Modules and tests stay to the end: no garbage is sought among them, neither while they are imported nor later.
gc.disable()


def pytest_configure(config):
    """Start the server of forked processes for the workers of a run of all tests."""
    if config.getoption("numprocesses", None) and config.args == config.getini("testpaths"):
        from tests.helpers.forked_commands import share_server

        share_server()


def pytest_ignore_collect(collection_path):
    """Look for examples only in modules that have any: the search imports a module and visits all that it defines."""
    if collection_path.suffix != ".py" or collection_path.is_relative_to(_TESTS):
        return None
    return True if ">>> " not in collection_path.read_text(encoding="utf-8") else None


def pytest_collection_finish():
    """Seek garbage only in what the tests make, and seldom: with a threshold of 20,000, the search takes two percent of the time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_shared_fixtures(tmp_path_factory):
    """Keep fixtures away from the user's cache that are made before the cache folder of a test is known."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSIFEAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _own_cache(request, tmp_path_factory, monkeypatch):
    """Keep tests away from the user's cache. A test without a folder gets no folder for it: thousands need none."""
    if "tmp_path" in request.fixturenames:
        folder = request.getfixturevalue("tmp_path")
    else:
        folder = tmp_path_factory.getbasetemp() / f"without-{next(_NUMBERS)}"
    monkeypatch.setenv("HSIFEAT_CACHE", str(folder / "cache"))


@pytest.fixture(scope="session")
def scene():
    """A synthetic scene of 75 x 53 pixels and 12 bands, with four classes in square fields."""
    from hsifeat.scenes import Labels, Scene

    labels = Labels("fields", small_labels(), {1: "corn", 2: "wheat", 3: "woods", 4: "grass"})
    return Scene("small", small_cube(), np.linspace(450, 900, 12), {"fields": labels})


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory):
    """A folder with a small U-Net of random weights, as diffusers writes it."""
    folder = tmp_path_factory.mktemp("backbones") / "tiny"
    save_unet(folder, seed=7)
    return folder


@pytest.fixture(scope="session")
def store_path(scene, backbone_folder, tmp_path_factory):
    """A complete store of the small scene: two timesteps, layers with strides 4, 2 and 1."""
    from hsifeat.cache import catalogue
    from hsifeat.extraction.run import run
    from tests.helpers.extraction import prepare

    path = tmp_path_factory.mktemp("stores") / "small.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        run(prepare(scene, backbone=backbone_folder, timesteps=[0, 300], tile=32, halo=8, out=path))
    return path


@pytest.fixture(scope="session")
def model_folder(store_path, tmp_path_factory):
    """The folder of a model that is fitted on half of the pixels of that store."""
    from hsifeat import fit_model, open_features

    folder = tmp_path_factory.mktemp("models") / "model"
    fit_model(open_features(store_path), "lda", split="random:0.5").save(folder)
    return folder


# What examples name, relative to the working directory, and the fixture that makes it.
EXAMPLE_PATHS = {"fields.zarr": "store_path", "backbone": "backbone_folder", "model": "model_folder"}


@pytest.fixture(autouse=True)
def _folder_of_example(request, monkeypatch):
    """Run an example of a docstring in an empty folder, with copies of the stores and models that it names."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    tmp_path = request.getfixturevalue("tmp_path")
    monkeypatch.chdir(tmp_path)
    source = "".join(example.source for example in request.node.dtest.examples)
    for name, fixture in EXAMPLE_PATHS.items():
        if f'"{name}"' in source:
            shutil.copytree(request.getfixturevalue(fixture), tmp_path / name)
