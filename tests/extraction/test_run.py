"""Running a job keeps existing planes, adds labels, and sends consistent events. After an error, the store can be resumed."""

import errno
import hashlib
import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import hsifeat
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.extraction.extract import extract
from hsifeat.extraction.run import run
from hsifeat.runtime.events import Advanced, Finished, Started
from hsifeat.scenes import Labels
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.helpers.extraction import plan, prepare
from tests.helpers.small import save_unet


def planes_of(store):
    return {str(plane.id): np.asarray(store.plane(plane.id)[:]) for plane in store.planes}


def test_asking_again_computes_nothing_and_loads_no_weights(scene, backbone_folder, store_path, tmp_path, monkeypatch):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    monkeypatch.setattr("hsifeat.backbones.unet2d.UNet2DBackbone.to", lambda *_: pytest.fail("the model was loaded"))
    store = hsifeat.extract(
        scene, backbone=backbone_folder, timesteps=[300, 0], tile=32, halo=8, out=tmp_path / "s.zarr"
    )
    assert len(store.planes) == 8


def test_labels_are_added_without_computing(scene, backbone_folder, store_path, tmp_path):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    more = scene.with_labels(Labels("more", np.eye(75, 53, dtype=np.uint8), {1: "line"}))
    store = hsifeat.extract(more, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out=tmp_path / "s.zarr")
    assert store.labels == ["fields", "more"]
    labels = hsifeat.open_features(tmp_path / "s.zarr").labels("more")
    np.testing.assert_array_equal(labels.classes, np.eye(75, 53))
    assert labels.class_names == {1: "line"}


def test_events_add_up(scene, backbone_folder, tmp_path):
    events = []
    hsifeat.extract(
        scene, backbone=backbone_folder, timesteps=[0, 9], layers=["mid_block"], tile=32, halo=8,
        out=tmp_path / "s.zarr", listen=events.append,
    )  # fmt: skip
    started = next(e for e in events if isinstance(e, Started))
    assert (started.total, started.done) == (2 * 5 * 4, 0)
    assert [e.done for e in events if isinstance(e, Advanced)][-1] == 40
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("writes", [1, 5, 30, 60])
def test_a_disk_that_fills_up_keeps_what_is_done(scene, backbone_folder, store_path, tmp_path, monkeypatch, writes):
    """The disk is full after some writes; with space again, the run goes on to the same bits."""
    import zarr.storage._local as local

    from hsifeat.store import location

    put, whole, count = local._put, location.write_file, []

    def full(write, path, *arguments, **options):
        count.append(path)
        if len(count) > writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *arguments, **options)

    options = {"backbone": backbone_folder, "timesteps": [0, 300], "tile": 32, "halo": 8, "out": tmp_path / "s.zarr"}
    with monkeypatch.context() as patch:
        patch.setattr(local, "_put", partial(full, put))
        patch.setattr(location, "write_file", partial(full, whole))
        with pytest.raises(StoreError, match="is full: free some space .*; finished work is kept$"):
            hsifeat.extract(scene, **options)
    left = [p.name for p in tmp_path.iterdir() if p.name not in {"cache", ".s.zarr.lock"}]
    assert left in ([], ["s.zarr"]), "no store, or one that can be gone on with"
    there = planes_of(Store.open(store_path))
    for name, values in planes_of(hsifeat.extract(scene, **options)).items():
        np.testing.assert_array_equal(values, there[name])


def test_overflow_is_refused(scene, tmp_path):
    network = save_unet(tmp_path / "b")
    with torch.no_grad():
        network.mid_block.resnets[1].conv2.bias += 1e6
    network.save_pretrained(tmp_path / "b" / "unet")
    options = {"backbone": tmp_path / "b", "timesteps": [0], "layers": ["mid_block"], "tile": 32, "halo": 8}
    with pytest.raises(StoreError, match=r"values of t0/mid_block are not finite in float16: store float32"):
        hsifeat.extract(scene, out=tmp_path / "s.zarr", **options)
    store = hsifeat.extract(scene, out=tmp_path / "t.zarr", dtype="float32", **options)
    assert planes_of(store)["t0/mid_block"].max() > 65504


def test_a_store_keeps_the_units_that_it_was_begun_with(scene, backbone_folder, store_path, tmp_path, monkeypatch):
    options = {"backbone": backbone_folder, "timesteps": [0], "tile": 32, "halo": 8, "out": tmp_path / "s.zarr"}
    with monkeypatch.context() as patch:
        patch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 16)
        job = prepare(scene, **options)
        patch.setattr(
            job.extractor.__class__, "run", lambda _self, plan, store, *_, **__: store.add_planes(plan.planes[:1])
        )
        assert run(job).layout.unit_px == 16
    job = prepare(scene, **options)
    assert plan(job).passes == 20, "planned over the units of the store, none of which is done"
    store = run(job)
    for name, values in planes_of(store).items():
        # Units of another size make other batches, in which a tile moves by some 1e-6 before it is rounded.
        np.testing.assert_allclose(values, planes_of(Store.open(store_path))[name], rtol=2**-10, atol=1e-4)


def test_weights_that_do_not_load_are_told_before_anything_is_written(scene, backbone_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(backbone_folder, tmp_path / "backbone")
    file = tmp_path / "backbone" / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors.pop("conv_in.weight")
    save_file(tensors, file)
    with pytest.raises(HsifeatError, match=r"conv_in\.weight") as raised:
        hsifeat.extract(scene, backbone=tmp_path / "backbone", timesteps=[0], tile=32, halo=8, out=tmp_path / "s.zarr")
    assert "\n" not in str(raised.value) and not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize("labelled", [True, False])
def test_records_are_sealed_after_a_kill_before_completion(scene, backbone_folder, tmp_path, monkeypatch, labelled):
    # Without label maps, nothing but the checksums of the records is missing after the kill.
    scene = scene if labelled else replace(scene, labels={})
    arguments = {"backbone": backbone_folder, "timesteps": [0], "layers": ["mid_block"], "tile": 32, "halo": 8}

    def killed(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("hsifeat.store.store.Store.write_record_checksums", killed)
        extract(scene, out=tmp_path / "s.zarr", **arguments)
    extract(scene, out=tmp_path / "s.zarr", **arguments)
    listed = json.loads((tmp_path / "s.zarr" / "checksums.json").read_text())["files"]
    record = (tmp_path / "s.zarr" / "progress/t0000/mid_block/c/0/0/0").read_bytes()
    assert listed["progress/t0000/mid_block/c"] == hashlib.sha256(record).hexdigest()
    (tmp_path / "s.zarr" / "progress/t0000/mid_block/c/0/0/0").unlink()
    damages = verify(as_location(tmp_path / "s.zarr")).damages
    assert [damage.key for damage in damages] == ["progress/t0000/mid_block/c/0/0/0"]


def test_nothing_to_do_needs_no_lock(store_path, scene, backbone_folder, monkeypatch):
    """A store that another user has made is often in a folder where a lock file can't be written."""
    before = {file: file.stat().st_mtime_ns for file in store_path.parent.rglob("*") if file.is_file()}

    def denied(*arguments):
        raise PermissionError

    monkeypatch.setattr("hsifeat.extraction.store_run.write_lock", denied)
    extract(scene, backbone=backbone_folder, timesteps=[0, 300], tile=32, halo=8, out=store_path)
    assert {file: file.stat().st_mtime_ns for file in store_path.parent.rglob("*") if file.is_file()} == before


def test_a_cache_folder_that_cannot_be_written_costs_only_the_entry_in_the_list(
    scene, backbone_folder, store_path, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "file" / "cache"))
    notes = []
    options = {"backbone": backbone_folder, "timesteps": [0, 300], "tile": 32, "halo": 8, "out": tmp_path / "s.zarr"}
    for _ in range(2):  # a new store, and a complete one
        store = hsifeat.extract(scene, listen=notes.append, **options)
        assert "the list of stores can't be updated, so name the store by its path" in str(notes)
        notes.clear()
    there = planes_of(Store.open(store_path))
    for name, values in planes_of(store).items():
        np.testing.assert_array_equal(values, there[name])
