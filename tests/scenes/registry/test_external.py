"""Scenes from rs-fusion-datasets and torchgeo, with stand-ins for the packages."""

import types

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from hsifeat import open_scene
from hsifeat.errors import SceneError, StoreError
from hsifeat.scenes.registry import external as others
from hsifeat.scenes.registry.external import from_torchgeo


def fake_package(**functions):
    module = types.ModuleType("rs_fusion_datasets")
    module.__dict__.update(functions)
    return module


@pytest.fixture
def installed(monkeypatch):
    def install(**functions):
        monkeypatch.setitem(__import__("sys").modules, "rs_fusion_datasets", fake_package(**functions))
        monkeypatch.setattr(others, "find_spec", lambda name: name == "rs_fusion_datasets")

    return install


def fused(maps):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (6, 4))
    info = {"label_name": {1: "trees", 2: np.str_("roads")}, "wavelength": np.linspace(400, 900, 5), "license": "MIT"}
    cube, height = rng.random((5, 6, 4)), rng.random((1, 6, 4))
    return truth, cube, (cube, height, *[scipy.sparse.coo_array(truth)] * maps, info)


@pytest.mark.parametrize(
    ("name", "maps", "names", "known"),
    [
        ("muufl", 1, ["ground-truth"], True),
        ("trento", 1, ["ground-truth"], False),
        ("houston2013", 2, ["train", "test"], True),
        ("berlin_ouc", 3, ["train", "test", "ground-truth"], False),
    ],
)
def test_a_scene_of_rs_fusion_datasets(installed, name, maps, names, known):
    truth, cube, given = fused(maps)
    installed(**{f"fetch_{name}": lambda: given})
    scene = open_scene(f"rs-fusion-datasets:{name}")
    np.testing.assert_array_equal(scene.cube, cube.transpose(1, 2, 0))
    assert scene.companion.shape == (6, 4, 1) and scene.licence == "MIT" and list(scene.labels) == names
    np.testing.assert_array_equal(scene.labels[names[0]].classes, truth)
    assert scene.labels[names[0]].class_names == {1: "trees", 2: "roads"}
    assert (scene.wavelengths_nm is not None) is known, "evenly spaced numbers are no wavelengths"


def test_failures_of_rs_fusion_datasets(installed):
    with pytest.raises(SceneError, match="pip install rs-fusion-datasets"):
        open_scene("rs-fusion-datasets:trento")
    with pytest.raises(SceneError, match="no scene 'trent'; nearest: trento"):
        open_scene("rs-fusion-datasets:trent")

    def offline():
        raise OSError("no network")

    installed(fetch_trento=offline)
    with pytest.raises(SceneError, match="failed to load trento: OSError: no network"):
        open_scene("rs-fusion-datasets:trento")

    def locked():
        raise PermissionError(13, "Permission denied", "trento.mat")

    installed(fetch_trento=locked)
    with pytest.raises(StoreError, match="permission denied: trento.mat"):
        open_scene("rs-fusion-datasets:trento")


def test_a_sample_of_torchgeo():
    import torch

    image = torch.rand(4, 6, 5)
    sample = {"image": image, "wavelength": torch.tensor([0.45, 0.55, 0.65, 0.8]), "mask": torch.ones(1, 6, 5).long()}
    scene = from_torchgeo(sample, "patch")
    np.testing.assert_array_equal(scene.cube, image.permute(1, 2, 0).numpy())
    np.testing.assert_allclose(scene.wavelengths_nm, [450, 550, 650, 800], rtol=1e-6)
    assert scene.labels["mask"].counts == {1: 30}
    with pytest.raises(SceneError, match="must have an image; found mask"):
        from_torchgeo({"mask": 1}, "x")
