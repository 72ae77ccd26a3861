"""Files that hsifeat writes: their modes follow the umask, and a denied permission is said."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import save_file

from hsifeat import compare, export_features, files
from hsifeat.errors import StoreError
from hsifeat.files import atomic_write, check_output, disk_errors, write_file
from hsifeat.projection import Projection
from hsifeat.scenes.maps.formats import check_map_path


def write_private(path):
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(b"x")


def write_safetensors(path):
    with atomic_write(path) as part:
        save_file({"a": np.zeros(3)}, part)


def write_atomically(path):
    with atomic_write(path) as part:
        write_private(part)


def save_projection(path):
    Projection("bands:1", np.ones((1, 1), np.float32), np.zeros(1, np.float32), clip=False).save(path)


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027])
@pytest.mark.parametrize(
    "write", [write_safetensors, write_atomically, lambda path: write_file(path, "x"), save_projection]
)
def test_modes_follow_the_umask(tmp_path, mask, write):
    before = os.umask(mask)
    try:
        (tmp_path / "plain").write_text("x")
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert {file.name for file in tmp_path.iterdir()} == {"file", "plain"}


def test_a_denied_permission_is_said():
    with (
        pytest.raises(StoreError, match="permission denied: /secret/file: ask the owner of the file for access"),
        disk_errors(Path("/x")),
    ):
        raise PermissionError(13, "Permission denied", "/secret/file")


def save_torch(file):
    torch.save({"a": torch.zeros(9)}, file)


def save_safetensors(_):
    # What safetensors raises. It would replace /dev/full by a file.
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    "write",
    [
        save_safetensors,
        lambda file: np.save(file, np.zeros(9999)),
        np.zeros(9999).tofile,
        save_torch,
        lambda file: os.write(file.fileno(), b"x"),
    ],
    ids=["safetensors", "np.save", "tofile", "torch.save", "os.write"],
)
def test_a_full_disk_is_told_as_such_by_every_library(write):
    with (
        pytest.raises(StoreError, match="the disk of /x is full: free some space and run the command again$"),
        disk_errors(Path("/x")),
        Path("/dev/full").open("r+b", buffering=0) as full,
    ):
        write(full)


DEAD = 2**22 + 7  # larger than any process number


def leftover(path, suffix, process, monkeypatch, machine=None):
    """Create what a process leaves if it is killed while it writes `path`."""
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: process)
        if machine is not None:
            patch.setattr(files, "_machine", lambda: machine)
        left = files.temporary_path(path, suffix)
    if suffix == "part":
        left.write_text("half")
    else:
        left.mkdir()
        (left / "a").write_text("half")
    return left


@pytest.mark.parametrize("suffix", ["part", "new", "old", "removed"])
def test_leftovers_of_killed_processes_are_deleted_by_the_next_write(tmp_path, monkeypatch, suffix):
    path = tmp_path / "map.tif"
    path.touch()
    left = leftover(path, suffix, DEAD, monkeypatch)
    running = leftover(path, suffix, os.getppid(), monkeypatch)
    elsewhere = leftover(path, suffix, DEAD, monkeypatch, machine="0123abcd")
    others = [tmp_path / ".notes.part", tmp_path / f".x.{DEAD}.part"]
    for other in others:
        other.write_text("mine")
    files.write_file(tmp_path / "b.txt", "b")
    assert not left.exists()
    assert {path, running, elsewhere, *others, tmp_path / "b.txt"} == set(tmp_path.iterdir())


def test_a_kill_while_the_mode_of_a_file_is_set_leaves_nothing_behind(tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: DEAD)
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(tmp_path / "file")
    assert len(list(tmp_path.iterdir())) == 2  # the file and the probe of its mode
    files._sweep.cache_clear()
    files.write_file(tmp_path / "file", "x")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_path_that_is_not_utf8_is_refused_before_the_work(store_path, tmp_path):
    """GDAL, Arrow and JSON can't hold it, so that a benchmark ended in an error of pydantic after all fits."""
    for call in (
        lambda: export_features(store_path, tmp_path / "t\udcfc.parquet"),
        lambda: compare(store_path, heads=["lda"], out=tmp_path / "r\udcfc"),
        lambda: check_map_path(tmp_path / "m\udcfc.tif"),
    ):
        with pytest.raises(StoreError, match=r"\\udcfc.* has bytes that are not UTF-8"):
            call()
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_outputs_are_checked_at_the_place_where_they_are_written(store_path, tmp_path, monkeypatch):
    """``..`` leads out of a store, and a link to a folder leads into one."""
    shutil.copytree(store_path, tmp_path / "s.zarr")
    (tmp_path / "into").symlink_to("s.zarr/scene", target_is_directory=True)
    (tmp_path / "map.tif").symlink_to("s.zarr/zarr.json")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path / "s.zarr")
    for out in ("../a.tif", "scene/../../a.tif", "../map.tif", "../s.zarr/../a/b"):
        check_output(Path(out))
    for out in (
        "a.tif",
        "../s.zarr/a.tif",
        "../into/a.tif",
        "../into",
        "../into/deep/a.tif",
        ".",
        str(tmp_path / "into" / ".." / "a.tif"),
    ):
        with pytest.raises(StoreError, match="a store, where nothing else may be written"):
            check_output(Path(out))
    check_output(Path(".."))
    check_output(Path("/"))
    check_output(tmp_path / "loop")
