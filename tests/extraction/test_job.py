"""A prepared job and the store at its location: what is left to do, and which stores are refused."""

import shutil

import pytest

import hsifeat
from hsifeat.errors import RecipeMismatchError, StoreError
from hsifeat.extraction.run import run
from hsifeat.scenes import Scene
from tests.helpers.extraction import plan, prepare


def test_a_store_of_another_recipe_is_refused_with_the_fields(scene, backbone_folder, store_path):
    with pytest.raises(RecipeMismatchError, match=r"tiling.halo_px: 8 -> 4\n.*`out`"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=4, out=store_path)
    with pytest.raises(RecipeMismatchError, match=r"noise.seed: 0 -> 1"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, seed=1, out=store_path)
    other = Scene("small", scene.cube + 1, scene.wavelengths_nm)
    with pytest.raises(RecipeMismatchError, match=r"scene: \w+…"):
        hsifeat.extract(other, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out=store_path)


def test_another_batch_size_is_refused(scene, backbone_folder, store_path):
    with pytest.raises(StoreError, match=r"begun with batches of 16 tiles, .*: leave out `batch`"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, batch=3, out=store_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine.txt", "precious"),
        (".git/config", "precious"),
        ("scene/photo.jpg", "precious"),
        ("zarr.json", '{"zarr_format": 3, "node_type": "group", "attr'),
        ("zarr.json", '{"zarr_format": 3, "node_type": "group", "attributes": {"mine": 1}}'),
    ],
)
def test_what_is_no_store_is_left_alone(scene, backbone_folder, tmp_path, name, content):
    file = tmp_path / "x.zarr" / name
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(StoreError):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out=tmp_path / "x.zarr")
    assert [p for p in (tmp_path / "x.zarr").rglob("*") if p.is_file()] == [file] and file.read_text() == content


def test_a_file_is_no_place_for_a_store(scene, backbone_folder, tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(StoreError, match="is a file: name another place"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out=tmp_path / "file")


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(scene, backbone_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**3))
    with pytest.raises(StoreError, match=r"writes up to .* but only 1.0 kB are free there"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out=tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


def test_dry_run_numbers(scene, backbone_folder, tmp_path):
    job = prepare(scene, backbone=backbone_folder, timesteps=[0, 9], tile=32, halo=8, out=tmp_path / "s.zarr")
    assert plan(job).passes == plan(job).total_passes == 2 * 5 * 4
    cells = 19 * 14 * 16 + 38 * 27 * 16 + 75 * 53 * 16 + 75 * 53 * 8
    assert plan(job).missing_bytes == 2 * 2 * cells
    assert job.extractor.seconds_per_pass(plan(job)) > 0
    assert not (tmp_path / "s.zarr").exists()
    run(job)
    again = prepare(scene, backbone=backbone_folder, timesteps=[0, 9], tile=32, halo=8, out=tmp_path / "s.zarr")
    assert plan(again).passes == 0 and again.remaining(again.find_store()).needed_bytes == 0
