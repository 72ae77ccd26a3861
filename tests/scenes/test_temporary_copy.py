"""Chunks that lie across the walk over a scene, in files by h5py, netCDF4, xarray and zarr."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import tempfile
from types import SimpleNamespace

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr

from hsifeat import open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes import scene_blocks, temporary_copy
from hsifeat.scenes.readers import backend_arrays, hdf5_files

CUBE = np.random.default_rng(0).integers(1, 9000, (60, 40, 8)).astype(np.int16)
NAMES = ["x.h5", "x.nc", "x.mat", "x.zarr", "named.zarr"]


def written(path, cube=CUBE, chunks=(1, 60, 40)):
    """Bands first, as GDAL and MATLAB lay them on disk, chunked band by band."""
    first = cube.transpose(2, 0, 1)
    if path.suffix == ".nc":
        with netCDF4.Dataset(path, "w") as file:
            for name, size in zip(("band", "y", "x"), first.shape, strict=True):
                file.createDimension(name, size)
            file.createVariable("cube", "i2", ("band", "y", "x"), zlib=True, chunksizes=chunks)[:] = first
    elif path.name == "x.zarr":
        zarr.create_array(path, shape=first.shape, chunks=chunks, dtype="i2")[:] = first
    elif path.suffix == ".zarr":
        encoding = {"cube": {"chunks": chunks}}
        xr.Dataset({"cube": (("band", "y", "x"), first)}).to_zarr(path, encoding=encoding, consolidated=False)
    else:
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("cube", data=first, chunks=chunks, compression="gzip")
            if path.suffix == ".mat":  # MATLAB's axes go the other way round
                dataset.attrs["MATLAB_class"] = np.bytes_("int16")
    return path


def options(path):
    return {"x.h5": {"axes": "bands,rows,cols"}, "x.zarr": {"axes": "bands,rows,cols"}, "x.mat": {"axes": "cols,rows,bands"}}.get(
        path.name, {}
    )  # fmt: skip


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """Values read from disk, in blocks of two rows; temporary files go into a folder of their own."""
    monkeypatch.setattr(scene_blocks, "VALUES_AT_A_TIME", 2 * 40 * 8)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    values = []
    for kind in (hdf5_files.Hdf5Array, backend_arrays.BackendArray):
        own = kind._read

        def read(self, parts, own=own):
            result = own(self, parts)
            values.append(result.size)
            return result

        monkeypatch.setattr(kind, "_read", read)
    return values


@pytest.mark.parametrize("name", NAMES)
def test_unsuitable_chunks_are_unpacked_once(tmp_path, reads, name):
    scene = open_scene(written(tmp_path / name), **options(tmp_path / name))
    (note,) = [note for note in scene.notes if "chunks" in note]
    assert f"{name}: each of its chunks of 60 x 40 x 1 values would be unpacked 30 times" in note
    assert "copied to a temporary file" in note and not list((tmp_path / "tmp").iterdir())
    reads.clear()
    assert scene.valid.all() and scene.digest
    assert len(reads) == 8 and sum(reads) == CUBE.size
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_array_equal(scene.cube[3:50:7, 5, ::3], CUBE[3:50:7, 5, ::3])
    assert not list((tmp_path / "tmp").iterdir()), "the file has no name, so that a kill leaves nothing"


@pytest.mark.parametrize("chunks", [(8, 2, 40), (8, 8, 40), (1, 4, 4)])
def test_suitable_chunks_are_not_copied(tmp_path, reads, chunks):
    scene = open_scene(written(tmp_path / "x.nc", chunks=chunks))
    assert not [note for note in scene.notes if "chunks" in note]
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    assert scene.valid.all() and not list((tmp_path / "tmp").iterdir())


def test_without_disk_space_no_copy_is_made(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(temporary_copy.shutil, "disk_usage", lambda _: SimpleNamespace(free=CUBE.nbytes))
    scene = open_scene(written(tmp_path / "x.nc"))
    assert "reading is slow; set TMPDIR to a folder on a larger disk" in scene.notes[-1]
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    assert scene.valid.all() and not list((tmp_path / "tmp").iterdir())


def test_unpickled_cubes_make_their_own_copy(tmp_path, reads):
    cube = open_scene(written(tmp_path / "x.h5"), axes="bands,rows,cols").cube
    cube[0, 0]
    other = pickle.loads(pickle.dumps(cube))  # noqa: S301  # our own
    del cube
    gc.collect()
    np.testing.assert_array_equal(np.asarray(other), CUBE)
    assert sum(reads) == 2 * CUBE.size


def test_a_disk_that_fills_up_gives_a_clear_error(tmp_path, reads, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    scene = open_scene(written(tmp_path / "x.nc"))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SceneError, match="No space left on device"):
        scene.cube[0, 0]
    assert not list((tmp_path / "tmp").iterdir())
