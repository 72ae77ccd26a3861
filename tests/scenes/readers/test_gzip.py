"""Files that are unpacked when they are opened leave nothing in the folder for temporary files."""

import gc
import gzip
import os
import signal
import tempfile

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from hsifeat import open_scene
from hsifeat.errors import SceneError
from tests.helpers.forked_commands import ForkedFunction
from tests.helpers.scene_formats import CUBE, FORMATS
from tests.helpers.small_disk import small_disk


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def written(folder, name, cube=CUBE):
    file, write = FORMATS[name]
    write(folder / file, cube)
    return folder / file


@pytest.mark.parametrize("name", ["mat.gz", "npz"])
def test_temporary_files_are_deleted_with_their_arrays(tmp_path, temporary, name):
    scene = open_scene(written(tmp_path, name))
    assert scene.name == "x" and len(list(temporary.iterdir())) == (name == "mat.gz")
    del scene
    gc.collect()
    assert not list(temporary.iterdir())


def test_a_damaged_file_leaves_nothing(tmp_path, temporary):
    path = written(tmp_path, "mat.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SceneError, match=r"x\.mat\.gz can't be read"):
        open_scene(path)
    assert not list(temporary.iterdir())


def open_until_killed(path, temporary):
    tempfile.tempdir = str(temporary)
    scene = open_scene(path)
    assert scene.valid.all()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("name", ["mat.gz", "npz"])
def test_the_file_of_a_killed_process_is_deleted(tmp_path, monkeypatch, name):
    path, temporary = written(tmp_path, name), tmp_path / "tmp"
    temporary.mkdir()
    assert ForkedFunction(open_until_killed, path, temporary).wait().returncode == -signal.SIGKILL
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    scene = open_scene(path)
    assert scene.valid.all() and len(list(temporary.iterdir())) == (name == "mat.gz")


@pytest.mark.parametrize("name", ["mat.gz", "npz"])
def test_a_full_disk_is_told_with_advice(tmp_path, monkeypatch, name):
    path = written(tmp_path, name, np.random.default_rng(0).random((100, 50, 40)))
    with small_disk(tmp_path / "tmp", 1) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
        with pytest.raises(SceneError, match=rf"x\.{name} does not fit into {disk.path} when unpacked: .*set TMPDIR"):
            open_scene(path)
        assert not list(disk.path.iterdir())


def test_notes_name_the_compressed_file(tmp_path):
    with rasterio.open(written(tmp_path, "tif"), "r+") as file:
        file.scales = [1e-4] * file.count
    (tmp_path / "x.tif.gz").write_bytes(gzip.compress((tmp_path / "x.tif").read_bytes()))
    expected = "x.tif.gz: a stored 10000 is read as reflectance 1, because of its scale factor 0.0001"
    assert open_scene(tmp_path / "x.tif.gz").notes == (expected,)


def test_other_formats_are_not_read_while_compressed(tmp_path):
    (tmp_path / "x.img.gz").write_bytes(b"")
    with pytest.raises(
        SceneError, match=r"can't be read while compressed: unpack it, or give one of \.mat\.gz, \.npy\.gz"
    ):
        open_scene(tmp_path / "x.img.gz")


@pytest.mark.parametrize("beside", ["scene.tif.aux.xml", "scene.tif.gz.aux.xml", "scene.tfw"])
def test_metadata_beside_a_compressed_file_are_noted(tmp_path, temporary, beside):
    """GDAL reads them beside the unpacked file, so that the no-data value or the position was lost without a note."""
    with rasterio.open(
        tmp_path / "scene.tif",
        "w",
        driver="GTiff",
        height=4,
        width=5,
        count=3,
        dtype="int16",
        transform=Affine(2, 0, 0, 0, -2, 0),
    ) as file:
        file.write(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    path = tmp_path / "scene.tif.gz"
    path.write_bytes(gzip.compress((tmp_path / "scene.tif").read_bytes()))
    assert not any("unpack" in note for note in open_scene(path).notes)
    (tmp_path / beside).write_text("10\n0\n0\n-10\n500005\n3999995\n" if beside.endswith("tfw") else "<PAMDataset/>")
    assert (
        f"scene.tif.gz: {beside} beside it not read, because the file is compressed: unpack it"
        in open_scene(path).notes
    )
