"""Temporary files of compressed scenes are deleted together with their arrays."""

import gc
import tempfile

import pytest

from hsifeat import open_scene
from hsifeat.errors import SceneError
from tests.helpers.scene_formats import CUBE, FORMATS


def test_temporary_files_are_deleted_with_their_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    for name in ("mat.gz", "npz"):
        file, write = FORMATS[name]
        write(tmp_path / file, CUBE)
        scene = open_scene(tmp_path / file)
        assert scene.name == "x"
        del scene
    gc.collect()
    assert not list((tmp_path / "tmp").iterdir())
    (tmp_path / "x.img.gz").write_bytes(b"")
    with pytest.raises(
        SceneError, match=r"can't be read while compressed: unpack it, or give one of \.mat\.gz, \.npy\.gz"
    ):
        open_scene(tmp_path / "x.img.gz")
