"""Context planes against filters of the whole scene, for any division into units."""

import subprocess
import sys

import numpy as np
import pytest

import hsifeat
from hsifeat.context.filters import reconstruction_profile
from hsifeat.extraction import context_extractor
from hsifeat.extraction.repair import repair, verify
from hsifeat.extraction.run import run
from hsifeat.runtime.processes import ProcessExecutor
from hsifeat.scenes import Scene
from hsifeat.store.location import as_location
from tests.helpers.extraction import plan, prepare
from tests.helpers.forked_commands import fork_workers
from tests.helpers.small import small_cube

LAYERS = ["mean-5", "mean-45", "deviation-7", "profile-3", "profile-17", "profile-5-mean-9"]
RECONSTRUCTIONS = ["reconstruction-5", "reconstruction-5-mean-9"]


@pytest.fixture(scope="module")
def masked():
    """A scene with NaN at a corner and nodata in a band of pixels."""
    cube = small_cube(seed=3).astype(np.float32)
    cube[:9, :13] = np.nan
    cube[40:44, 5:30] = -1
    return Scene("masked", cube, nodata=(-1.0,))


def windows_of(values, valid, size, function):
    result, half = np.zeros(values.shape), size // 2
    for row, col in zip(*np.nonzero(valid), strict=True):
        part = slice(max(row - half, 0), row + half + 1), slice(max(col - half, 0), col + half + 1)
        result[row, col] = function(values[part][valid[part]].astype(np.float64), axis=0)
    return result


def opening_closing(values, valid, size):
    opening = windows_of(windows_of(values, valid, size, np.min), valid, size, np.max)
    closing = windows_of(windows_of(values, valid, size, np.max), valid, size, np.min)
    return np.stack([opening, closing], axis=-1).reshape(*valid.shape, -1)


def planes_of(store):
    return {plane.id.layer: store.plane(plane.id)[:] for plane in store.planes}


def test_planes_of_each_division_are_those_of_the_whole_scene(masked, tmp_path, monkeypatch):
    stores = []
    for side in (16, 48, 128):
        monkeypatch.setattr(context_extractor, "UNIT_PX", side)
        stores.append(
            hsifeat.extract(
                masked,
                backbone="context",
                layers=LAYERS + RECONSTRUCTIONS,
                projection="pca:5",
                out=tmp_path / f"{side}",
            )
        )
    monkeypatch.setattr(context_extractor, "UNIT_PX", 16)  # other than that of the last store
    more = prepare(masked, backbone="context", layers=["mean-9"], projection="pca:5", out=tmp_path / "128")
    assert plan(more).passes == len(stores[-1].units) == 1
    assert len({store.key for store in stores}) == 1
    first, *others = map(planes_of, stores)
    for other in others:
        for name, values in first.items():
            np.testing.assert_array_equal(other[name], values)

    valid = masked.valid
    projection = hsifeat.fit_projection("pca:5", masked)
    components = np.where(valid[..., None], projection.apply(np.where(valid[..., None], masked.cube, 0)), 0)
    job = prepare(masked, backbone="context", layers=LAYERS, projection="pca:5", out=tmp_path / "other")
    read = job.extractor.read_components(hsifeat.Window(0, 0, masked.rows, masked.cols))
    np.testing.assert_allclose(read, components, rtol=1e-4, atol=1e-4)
    profile = opening_closing(read[..., :4], valid, 5)
    reconstruction = reconstruction_profile(read[..., :4], valid, 5)
    expected = {
        "mean-5": windows_of(read, valid, 5, np.mean),
        "mean-45": windows_of(read, valid, 45, np.mean),
        "profile-3": opening_closing(read[..., :4], valid, 3),
        "profile-17": opening_closing(read[..., :4], valid, 17),
        "profile-5-mean-9": windows_of(profile, valid, 9, np.mean),
        "reconstruction-5": reconstruction,
        "reconstruction-5-mean-9": windows_of(reconstruction, valid, 9, np.mean),
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(first[name], values.astype(np.float16), err_msg=name)
    deviation = windows_of(read, valid, 7, np.std)
    np.testing.assert_allclose(first["deviation-7"], deviation.astype(np.float16), rtol=2**-10, atol=1e-5)
    assert not any(values[~valid].any() for values in first.values())


def test_resume_processes_and_repair_give_the_same_bits(masked, tmp_path, monkeypatch):
    monkeypatch.setattr(context_extractor, "UNIT_PX", 32)
    options = {"backbone": "context", "layers": ["mean-5", *RECONSTRUCTIONS]}
    whole = planes_of(hsifeat.extract(masked, **options, out=tmp_path / "whole.zarr"))
    hsifeat.extract(masked, backbone="context", layers=["mean-5"], out=tmp_path / "s.zarr")
    job = prepare(masked, **options, out=tmp_path / "s.zarr")
    assert {plane.id.layer for step in plan(job).steps for plane in step.planes} == set(RECONSTRUCTIONS)
    fork_workers(monkeypatch.setattr)
    executor = ProcessExecutor(1)
    try:
        store = run(job, executor=executor)
    finally:
        executor.kill()
    location = as_location(tmp_path / "s.zarr")
    next((tmp_path / "s.zarr" / "planes").glob("**/mean-5/c/0/1/0")).unlink()
    assert repair(location, verify(location)).damages == ()
    for name, values in planes_of(store).items():
        np.testing.assert_array_equal(values, whole[name])
    like = prepare(Scene("other", small_cube(seed=8)), like=store, out=tmp_path / "like.zarr")
    assert like.recipe.projection.digest == job.recipe.projection.digest
    assert {plane.id.layer for plane in like.planes} == set(whole)


def test_no_torch(tmp_path):
    np.save(tmp_path / "s.npy", small_cube(rows=20, cols=20))
    code = (
        "import sys, hsifeat; hsifeat.extract('s.npy', backbone='context', out='s.zarr'); "
        "assert not {'torch', 'diffusers', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
