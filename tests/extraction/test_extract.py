"""Planes against the plain way: pad, noise by diffusers, run whole forwards, cut, paste. And what a run refuses."""

import errno
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

import hsifeat
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.errors import HsifeatError, RecipeMismatchError, StoreError
from hsifeat.extraction.estimates import seconds_per_pass
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.extraction.run import run
from hsifeat.projection import fit_projection
from hsifeat.runtime.events import Advanced, Finished, Started
from hsifeat.scenes import Labels, Scene
from hsifeat.store.store import Store
from hsifeat.types import PlaneId, Window
from tests.helpers.extraction import plan, prepare
from tests.helpers.small import save_unet


def planes_of(store):
    return {str(plane.id): np.asarray(store.plane(plane.id)[:]) for plane in store.planes}


def plainly(scene, folder, t, layer, stride, tile, halo):
    """The oracle: one tile after the other, nothing of ours but the projection and the noise field."""
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).eval()
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    taken = {}
    network.get_submodule(layer).register_forward_hook(
        lambda _m, _i, out: taken.update(out=out[0] if isinstance(out, tuple) else out)
    )
    pad = tile
    channels = fit_projection("rgb", scene).apply(scene.cube) * (scene.cube != 0).any(axis=2, keepdims=True)
    image = np.pad(channels, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    core = tile - 2 * halo
    down, across = -(-scene.rows // core), -(-scene.cols // core)
    plane = None
    for i in range(down):
        for j in range(across):
            row, col = i * core - halo, j * core - halo
            clean = image[row + pad : row + pad + tile, col + pad : col + pad + tile].transpose(2, 0, 1)[None]
            noise = noise_field(Window(row, col, tile, tile), 3, 0)[None]
            noised = scheduler.add_noise(*map(torch.tensor, (clean, noise)), torch.tensor([t]))
            with torch.no_grad():
                network(noised, t)
            cells = taken["out"][0].permute(1, 2, 0).numpy()
            edge, side = halo // stride, core // stride
            if plane is None:
                plane = np.empty((down * side, across * side, cells.shape[2]), np.float32)
            plane[i * side : (i + 1) * side, j * side : (j + 1) * side] = cells[edge : edge + side, edge : edge + side]
    return plane[: -(-scene.rows // stride), : -(-scene.cols // stride)]


@pytest.fixture
def forwards(monkeypatch):
    """Count the tiles of each forward."""
    counted = []
    plain = UNet2DBackbone.forward_to

    def counting(self, images, t, layers):
        counted.append(len(images))
        return plain(self, images, t, layers)

    monkeypatch.setattr(UNet2DBackbone, "forward_to", counting)
    return counted


def test_masked_areas_cost_no_forward_and_hold_zeros(scene, backbone_folder, tmp_path, forwards):
    """Cores of 16 px: 20 of them; of the upper left one on no pixel is valid in 2 x 2, in another but one is."""
    cube = scene.cube.copy()
    cube[:32, :32] = 0
    cube[20, 20] = scene.cube[20, 20]
    holed = Scene("holed", cube, scene.wavelengths_nm)
    options = {"backbone": backbone_folder, "timesteps": [0, 300], "layers": ["up_blocks.0"], "tile": 32, "halo": 8}
    store = hsifeat.extract(holed, **options, out=tmp_path / "s.zarr")
    assert sum(forwards) == 2 * (20 - 3), "5 x 4 cores at two timesteps, without three"
    assert store.manifest.recipe["tiling"]["masked"] == "zero"
    for t in (0, 300):
        found = np.asarray(store.plane(PlaneId(t, "up_blocks.0"))[:]).astype(np.float32)
        wanted = plainly(holed, backbone_folder, t, "up_blocks.0", 2, 32, 8)
        wanted[:16, :16] *= np.kron(np.array([[0, 0], [0, 1]]), np.ones((8, 8)))[..., None]
        np.testing.assert_allclose(found, wanted, atol=2e-3, rtol=2e-3)
    whole = hsifeat.extract(scene, **options, out=tmp_path / "whole.zarr")
    assert whole.manifest.recipe["tiling"]["masked"] == "computed"
    dark = Scene("dark", np.zeros_like(cube), mask=np.zeros(cube.shape[:2], bool))
    with pytest.raises(HsifeatError, match="no valid pixel"):
        hsifeat.extract(dark, **options, out=tmp_path / "dark.zarr")


@pytest.mark.parametrize(("layer", "stride"), [("mid_block", 4), ("up_blocks.0", 2), ("up_blocks.2", 1)])
@pytest.mark.parametrize("t", [0, 300])
def test_planes_equal_the_plain_way(scene, backbone_folder, store_path, t, layer, stride):
    wanted = plainly(scene, backbone_folder, t, layer, stride, 32, 8)
    found = np.asarray(Store.open(store_path).plane(PlaneId(t, layer))[:])
    assert found.shape == wanted.shape and found.dtype == np.float16
    # float16 keeps 11 bits; a tile in another batch size moves by some 1e-6 before it is rounded.
    np.testing.assert_allclose(found, wanted, rtol=2**-10, atol=1e-4)


def test_values_are_the_taps_rounded_once(scene, backbone_folder, store_path, tmp_path):
    precise = hsifeat.extract(
        scene, backbone=backbone_folder, timesteps=[300], tile=32, halo=8, dtype="float32", out=tmp_path / "f32.zarr"
    )
    for name, values in planes_of(precise).items():
        assert values.dtype == np.float32
        found = np.asarray(Store.open(store_path).plane(PlaneId.parse(name))[:])
        np.testing.assert_array_equal(found, values.astype(np.float16))


def test_a_plane_does_not_depend_on_what_else_was_asked_for(scene, backbone_folder, store_path, tmp_path):
    options = {"backbone": backbone_folder, "tile": 32, "halo": 8, "out": tmp_path / "s.zarr"}
    hsifeat.extract(scene, timesteps=[300], layers=["up_blocks.0"], **options)
    store = hsifeat.extract(scene, timesteps=[0, 300], layers=["mid_block", "up_blocks.0"], **options)
    there = planes_of(Store.open(store_path))
    assert sorted(planes_of(store)) == ["t0/mid_block", "t0/up_blocks.0", "t300/mid_block", "t300/up_blocks.0"]
    for name, values in planes_of(store).items():
        np.testing.assert_array_equal(values, there[name])


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


def test_the_store_holds_the_scene(scene, store_path):
    kept = hsifeat.open_features(store_path).scene
    np.testing.assert_array_equal(np.asarray(kept.cube[:]), scene.cube)
    np.testing.assert_array_equal(kept.labels["fields"].classes, scene.labels["fields"].classes)
    assert kept.labels["fields"].class_names == scene.labels["fields"].class_names
    assert kept.digest == scene.digest
    np.testing.assert_array_equal(kept.wavelengths_nm, scene.wavelengths_nm)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"layers": ["up_blocks.7"]}, r"unknown layer 'up_blocks.7'; nearest: up_blocks", id="layer"),
        pytest.param({"timesteps": [1000]}, "timestep 1000 is out of range", id="timestep"),
        pytest.param({"timesteps": []}, "timesteps: expected one whole number or more", id="no-timestep"),
        pytest.param({"layers": []}, "layers: expected one name or more", id="no-layer"),
        pytest.param({"seed": 2**64}, "seed: expected at most", id="seed"),
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


def test_a_store_of_another_recipe_is_refused_with_the_fields(scene, backbone_folder, store_path):
    with pytest.raises(RecipeMismatchError, match=r"tiling.halo_px: 8 -> 4\n.*--out"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=4, out=store_path)
    with pytest.raises(RecipeMismatchError, match=r"noise.seed: 0 -> 1"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, seed=1, out=store_path)
    other = Scene("small", scene.cube + 1, scene.wavelengths_nm)
    with pytest.raises(RecipeMismatchError, match=r"scene: \w+…"):
        hsifeat.extract(other, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out=store_path)


def test_another_batch_size_is_refused(scene, backbone_folder, store_path):
    with pytest.raises(StoreError, match=r"begun with batches of 16 tiles, .*: leave out --batch"):
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
    with pytest.raises(StoreError, match=r"writes up to .* but only 1e-06 GB are free there"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out=tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


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
        with pytest.raises(StoreError, match="is full; finished work is kept: free some space"):
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


def test_a_backbone_brings_its_projection(scene, tmp_path):
    save_unet(tmp_path / "b", channels=4)
    fitted = fit_projection("pca:4", Scene("part", scene.cube[:30]))
    fitted.save(tmp_path / "b" / "projection.safetensors")
    job = prepare(scene, backbone=tmp_path / "b", tile=32, halo=8, out=tmp_path / "s.zarr")
    assert job.recipe.projection.digest == fitted.digest
    assert (
        prepare(scene, backbone=tmp_path / "b", projection="pca:4", tile=32, halo=8).recipe.projection.digest
        != fitted.digest
    )
    with pytest.raises(HsifeatError, match="fitted for 12 bands; fewer has 9"):
        prepare(Scene("fewer", scene.cube[:, :, :9]), backbone=tmp_path / "b", tile=32, halo=8)


def test_dry_run_numbers(scene, backbone_folder, tmp_path):
    job = prepare(scene, backbone=backbone_folder, timesteps=[0, 9], tile=32, halo=8, out=tmp_path / "s.zarr")
    assert plan(job).passes == plan(job).total_passes == 2 * 5 * 4
    cells = 19 * 14 * 16 + 38 * 27 * 16 + 75 * 53 * 16 + 75 * 53 * 8
    assert plan(job).missing_bytes == 2 * 2 * cells
    assert seconds_per_pass(job.extractor, plan(job)) > 0
    assert not (tmp_path / "s.zarr").exists()
    run(job)
    again = prepare(scene, backbone=backbone_folder, timesteps=[0, 9], tile=32, halo=8, out=tmp_path / "s.zarr")
    assert plan(again).passes == 0 and again.remaining(again.find_store()).needed_bytes == 0


def test_a_store_keeps_the_units_that_it_was_begun_with(scene, backbone_folder, store_path, tmp_path, monkeypatch):
    options = {"backbone": backbone_folder, "timesteps": [0], "tile": 32, "halo": 8, "out": tmp_path / "s.zarr"}
    with monkeypatch.context() as patch:
        patch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 16)
        job = prepare(scene, **options)
        patch.setattr(job.extractor.__class__, "run", lambda _self, plan, store, *_: store.add_plane(plan.planes[0]))
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


@pytest.mark.parametrize("timesteps", [[0.0], [True], ["0"]])
def test_timesteps_are_whole_numbers(scene, backbone_folder, tmp_path, timesteps):
    with pytest.raises(HsifeatError, match="timesteps: expected one whole number or more; found"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=timesteps, out=tmp_path / "s.zarr")


def test_whole_numbers_of_numpy_are_taken(scene, backbone_folder, tmp_path):
    store = hsifeat.extract(
        scene, backbone=backbone_folder, timesteps=np.array([0, 50]), layers="mid_block", tile=32, halo=8,
        out=tmp_path / "s.zarr",
    )  # fmt: skip
    assert [str(plane.id) for plane in store.planes] == ["t0/mid_block", "t50/mid_block"]
