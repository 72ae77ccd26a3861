"""Scenes and weights that change after they were opened: no store has other values than its key states."""

import shutil

import numpy as np
import pytest
import xarray as xr

from hsifeat import (
    Labels,
    Scene,
    extract,
    fit_projection,
    import_planes,
    open_backbone,
    open_features,
    open_scene,
    pretrain,
    rank_timesteps,
)
from hsifeat.errors import BackboneError, SceneError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.prepare import prepare
from hsifeat.extraction.run import run
from hsifeat.scenes import Georeference
from hsifeat.store import create
from tests.helpers.backbone_kinds import nudge
from tests.helpers.label_files import NORTH_UP

CHANGED = "the values of the scene have changed since it was opened"
# Scenes that show the values of an array in memory.
SCENES = {
    "array": lambda cube: Scene("m", cube),
    "view": lambda cube: Scene("m", cube[:, ::-1]),
    "DataArray": lambda cube: Scene("m", xr.DataArray(cube, dims=("y", "x", "band"))),
    "calculated": lambda cube: Scene("m", as_calculated(cube)),
    "repeated": lambda cube: Scene("m", np.broadcast_to(cube[3:4], cube.shape)),
    "field": lambda cube: Scene("m", as_field(cube)),
    "selected bands": lambda cube: Scene("m", cube).with_bands([5, 4, 3, 2, 1, 0]),
}


def as_calculated(cube):
    """Return the array with the class of a memory map, but without a file, as results of calculations with memory maps have it."""
    return cube.view(np.memmap)


def as_field(cube):
    """Return a field of a structured array that shares the memory of a cube."""
    return cube.view([("spectra", "<f4", (cube.shape[2],))])["spectra"].reshape(cube.shape)


@pytest.fixture
def cube():
    return np.random.default_rng(0).integers(1, 200, (20, 16, 6)).astype(np.float32)


@pytest.fixture
def options(cube):
    return {"backbone": "context", "layers": ["mean-3"], "projection": fit_projection("pca:2", Scene("m", cube.copy()))}


@pytest.mark.parametrize("rows_bytes", [2**27, 1], ids=["whole rows", "wide scene"])
def test_a_changed_array_is_not_written_under_the_former_key(cube, options, tmp_path, monkeypatch, rows_bytes):
    monkeypatch.setattr(create, "_ROWS_BYTES", rows_bytes)
    scene = Scene("m", cube)
    key = open_features(extract(scene, out=tmp_path / "before.zarr", **options)).key
    np.testing.assert_array_equal(open_features(tmp_path / "before.zarr").scene.cube[:], cube)
    cube /= 2
    with pytest.raises(SceneError, match=f"^m: {CHANGED}"):
        extract(scene, out=tmp_path / "s.zarr", **options)
    assert not (tmp_path / "s.zarr").exists()
    features = open_features(extract(Scene("m", cube), out=tmp_path / "s.zarr", **options))
    assert features.key != key
    np.testing.assert_array_equal(features.scene.cube[:], cube)


@pytest.mark.parametrize("layers", [["mean-3"], ["mean-3", "mean-5"]], ids=["complete", "more planes"])
@pytest.mark.parametrize("as_scene", SCENES.values(), ids=SCENES)
def test_a_store_is_not_taken_for_the_store_of_a_changed_array(cube, options, tmp_path, layers, as_scene):
    scene = as_scene(cube)
    extract(scene, out=tmp_path / "s.zarr", **options)
    extract(scene, out=tmp_path / "s.zarr", **options)
    cube[3, 3] = 999
    with pytest.raises(SceneError, match=CHANGED):
        extract(scene, out=tmp_path / "s.zarr", **{**options, "layers": layers})
    assert [str(plane.id) for plane in open_features(tmp_path / "s.zarr").planes] == ["t0/mean-3"]


@pytest.mark.parametrize("value", [0, np.nan], ids=["blank", "NaN"])
@pytest.mark.parametrize("read", ["valid", "digest", "validity_notes"])
def test_an_array_that_changed_after_its_valid_pixels_were_read_is_refused(cube, tmp_path, read, value):
    """The store had the former valid pixels and the new values, or the fit of the projection ended in an error of NumPy."""
    scene = Scene("m", cube)
    getattr(scene, read)
    cube[3, 3] = value
    with pytest.raises(SceneError, match=f"^m: {CHANGED}"):
        extract(scene, backbone="context", layers=["mean-3"], out=tmp_path / "s.zarr")
    with pytest.raises(SceneError, match=f"^m: {CHANGED}"):
        import_planes(scene, {"e": np.ones((20, 16, 2))}, out=tmp_path / "i.zarr")
    with pytest.raises(SceneError, match=f"^m: {CHANGED}"):
        fit_projection("pca:2", scene)
    with pytest.raises(SceneError, match=f"^m: {CHANGED}"):
        rank_timesteps(scene, timesteps=[0, 50])
    assert not list(tmp_path.glob("*.zarr"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Labels("gt", np.ones((19, 16), int)), "20 x 16"),
        (Labels("other", np.ones((20, 16), int)), "has the key 'gt'"),
        (
            Labels("gt", np.ones((20, 16), int), georeference=Georeference(None, (10, 0, 0, 0, -10, 0))),
            "another georeference",
        ),
        (np.ones((20, 16), int), "Labels"),
    ],
    ids=["shape", "name", "position", "array"],
)
def test_a_label_map_that_was_added_to_the_dict_is_checked(cube, tmp_path, labels, message):
    scene = Scene("m", cube, georeference=Georeference(None, tuple(NORTH_UP)[:6]))
    scene.labels["gt"] = labels
    with pytest.raises(SceneError, match=message):
        extract(scene, backbone="context", layers=["mean-3"], out=tmp_path / "s.zarr")
    with pytest.raises(SceneError, match=message):
        import_planes(scene, {"e": np.ones((20, 16, 2))}, out=tmp_path / "i.zarr")
    del scene.labels["gt"]
    job = prepare(scene, ExtractionConfig(backbone="context", layers=["mean-3"]), out=tmp_path / "s.zarr")
    scene.labels["gt"] = labels
    with pytest.raises(SceneError, match=message):
        run(job)
    assert not list(tmp_path.glob("*.zarr"))


def test_a_model_is_not_trained_on_other_values_than_its_record_names(cube, tmp_path):
    scene = Scene("m", np.tile(cube, (3, 3, 1)))
    _ = scene.digest
    scene.cube[:] += 1
    with pytest.raises(SceneError, match=CHANGED):
        pretrain(scene, out=tmp_path / "m", network="mtmsd", size="small", steps=1)
    assert not (tmp_path / "m" / "training.json").exists()


def test_a_job_is_shown_in_one_line(cube, options, tmp_path):
    job = prepare(Scene("m", cube), ExtractionConfig(**options), out=tmp_path / "s.zarr")
    assert repr(job) == f"<Job {tmp_path / 's.zarr'}: 1 plane of m>"


def test_a_file_that_changes_after_the_extraction_was_prepared_is_refused(cube, options, tmp_path):
    file = tmp_path / "m.npy"
    np.save(file, cube)
    config = ExtractionConfig(**options)
    job = prepare(open_scene(file), config, out=tmp_path / "s.zarr")
    np.load(file, mmap_mode="r+")[2, 2] = 77
    with pytest.raises(SceneError, match=f"^m: {CHANGED}"):
        run(job)


def test_a_scene_keeps_its_mask_when_the_array_is_changed(cube, options, tmp_path):
    mask = np.ones((20, 16), bool)
    scene = Scene("m", cube, mask=mask)
    mask[0, 0] = False
    assert open_features(extract(scene, out=tmp_path / "s.zarr", **options)).valid.all()


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_companion_image_that_changes_after_the_extraction_was_prepared_is_refused(
    cube, backbone_folder, tmp_path, in_memory
):
    """The store had the key of the former image and the planes of the new one."""
    file = tmp_path / "photograph.npy"
    np.save(file, np.random.default_rng(1).integers(0, 255, (40, 32, 3)).astype(np.uint8))
    image = np.load(file, mmap_mode=None if in_memory else "r")
    config = ExtractionConfig(backbone=backbone_folder, companion=True, timesteps=[200], layers=["mid_block"])
    job = prepare(Scene("m", cube, companion=image), config, out=tmp_path / "s.zarr")
    (image if in_memory else np.load(file, mmap_mode="r+"))[7, 7, 0] += 1
    with pytest.raises(SceneError, match=f"^the companion image of m: {CHANGED}"):
        run(job)
    assert not (tmp_path / "s.zarr").exists()


def test_weights_that_change_after_the_extraction_was_prepared_are_refused(cube, backbone_folder, tmp_path):
    """The store had the key of the former weights and the planes of the new ones, or the other way round."""
    model, weights = tmp_path / "m", tmp_path / "m" / "unet" / "diffusion_pytorch_model.safetensors"
    scene, options = Scene("m", cube), {"timesteps": [200], "layers": ["up_blocks.2"], "tile": 32, "halo": 8}
    former = open_features(extract(scene, backbone=backbone_folder, out=tmp_path / "former.zarr", **options))
    shutil.copytree(backbone_folder, model)
    loaded, opened = open_backbone(model), open_backbone(model)
    loaded.to("cpu")
    jobs = [
        prepare(scene, ExtractionConfig(backbone=source, **options), out=tmp_path / f"{number}.zarr")
        for number, source in enumerate([opened, model])
    ]
    nudge(weights)
    for job in jobs:
        with pytest.raises(
            BackboneError, match="was replaced since the backbone was opened: .* prepare the extraction"
        ):
            run(job)
        assert not job.location.path.exists()
    kept = open_features(extract(scene, backbone=loaded, out=tmp_path / "kept.zarr", **options))
    assert kept.key == former.key
    np.testing.assert_array_equal(kept.sample([3, 9], [4, 7]), former.sample([3, 9], [4, 7]))
    changed = open_features(extract(scene, backbone=model, out=tmp_path / "changed.zarr", **options))
    assert changed.key != former.key
    assert np.abs(changed.sample([3, 9], [4, 7]) - former.sample([3, 9], [4, 7])).max() > 0
