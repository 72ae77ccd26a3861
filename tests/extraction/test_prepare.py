"""Preparing an extraction writes nothing, is reproducible, and refuses wrong arguments."""

import numpy as np
import pytest

import hsifeat
from hsifeat.errors import HsifeatError
from tests.helpers.extraction import prepare


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"layers": ["up_blocks.7"]}, r"unknown layer 'up_blocks.7'; nearest: up_blocks", id="layer"),
        pytest.param({"timesteps": [1000]}, "timestep 1000 is out of range", id="timestep"),
        pytest.param({"timesteps": []}, "timesteps: expected one whole number or more", id="no-timestep"),
        pytest.param({"layers": []}, "layers: expected one name or more", id="no-layer"),
        pytest.param({"seed": 2**64}, "seed: expected a whole number of at most 18 digits", id="seed"),
        pytest.param({"projection": "pca:4"}, "gives 4 channels, but tiny takes 3", id="channels"),
        pytest.param({"dtype": "int8"}, "float16 or float32; found 'int8'", id="dtype"),
        pytest.param({"tile": 30}, "multiples of 4", id="tile"),
        pytest.param({"batch": 0}, "batch: expected at least 1", id="batch"),
        pytest.param({"device": "tpu9"}, "device 'tpu9' can't be used here", id="device"),
        pytest.param({"class_label": 3}, "takes no class label", id="label"),
        pytest.param({"backbone": "nowhere"}, "no such file or folder: nowhere", id="backbone"),
    ],
)
def test_wrong_requests_leave_nothing(scene, backbone_folder, tmp_path, options, message):
    wanted = {"backbone": backbone_folder, "tile": 32, "halo": 8, "out": tmp_path / "s.zarr", **options}
    with pytest.raises(HsifeatError, match=message):
        hsifeat.extract(scene, **wanted)
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == []


@pytest.mark.parametrize("options", [{"class_label": 3}, {"prompt": "corn"}, {"upsample": 4}], ids=str)
def test_options_of_a_backbone_are_refused_for_an_opened_one(scene, backbone_folder, tmp_path, options):
    """They were ignored, so that all values of the option gave one store."""
    (name,) = options
    opened = hsifeat.open_backbone(backbone_folder)
    with pytest.raises(HsifeatError, match=f"no effect with an opened `backbone`: `{name}`"):
        hsifeat.extract(scene, backbone=opened, tile=32, halo=8, out=tmp_path / "s.zarr", **options)
    (outcome,) = hsifeat.extract_scenes([scene], backbone=opened, tile=32, halo=8, out=tmp_path, **options)
    assert f"`{name}`" in str(outcome.error)
    assert not list(tmp_path.glob("*.zarr"))


def test_the_same_arguments_give_the_same_job_and_nothing_is_written(scene, backbone_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "cache"))
    options = {"backbone": backbone_folder, "timesteps": [9, 0, 9], "projection": "pca:3", "tile": 32, "halo": 8}
    first, second = (prepare(scene, **options) for _ in range(2))
    assert (first.recipe, first.planes, first.location.identity) == (
        second.recipe, second.planes, second.location.identity
    )  # fmt: skip
    assert first.config.timesteps == (0, 9) and [plane.id.t for plane in first.planes] == sorted([0, 9] * 4)
    assert (
        first.location.identity.startswith(str(tmp_path / "cache")) and first.recipe.key[:12] in first.location.identity
    )
    assert not list(tmp_path.iterdir())


def test_a_scene_is_opened_by_name_and_the_backbone_of_the_package_is_the_default(tmp_path):
    np.save(tmp_path / "s.npy", np.random.default_rng(0).random((8, 8, 4), np.float32))
    assert prepare(tmp_path / "s.npy").extractor.backbone.source == "natural32"
