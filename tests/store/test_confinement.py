"""Stores from a stranger: no name in them makes hsifeat read, write or delete a file outside the store."""

import hashlib
import json
import os
import shutil
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.cache.gc import remove_store
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.extraction.extract import extract
from hsifeat.extraction.repair import repair
from hsifeat.store import confinement
from hsifeat.store.confinement import ConfinedFolder, check_key
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.helpers.damaged_stores import edit_attributes


@pytest.fixture
def copy(store_path, tmp_path):
    shutil.copytree(store_path, tmp_path / "place" / "s.zarr")
    (tmp_path / "place" / "victim").mkdir()
    (tmp_path / "place" / "victim" / "notes.txt").write_text("mine")
    return tmp_path / "place" / "s.zarr"


def outside(path):
    """Content of all files beside a store, except its lock."""
    files = (file for file in path.parent.rglob("*") if file.is_file() and not file.is_relative_to(path))
    return {file: file.read_bytes() for file in files if not file.name.endswith(".lock")}


def seal(path, change):
    """Change the list of checksums, and write it with a right checksum, as an attacker would."""
    files = json.loads((path / "checksums.json").read_bytes())["files"]
    change(files)
    text = json.dumps(files, sort_keys=True, indent=0)
    document = {"files": dict(sorted(files.items())), "checksum": hashlib.sha256(text.encode()).hexdigest()}
    for name in ("checksums.json", "checksums.copy.json"):
        (path / name).write_bytes(json.dumps(document, indent=0).encode())


def try_everything(path, scene, backbone_folder):
    """Run all commands that write to or delete from a store, and return their errors."""
    location, errors = as_location(path), []
    for action in (
        lambda: repair(location, verify(location)),
        lambda: extract(scene, backbone=backbone_folder, timesteps=[0, 7], tile=32, halo=8, out=path),
        lambda: remove_store(location),
    ):
        try:
            action()
        except HsifeatError as error:
            errors.append(str(error))
    return errors


@pytest.mark.parametrize(
    "key",
    ["../victim/notes.txt", "planes/../../victim/new.txt", "scene/labels/../../../victim/zarr.json", "{absolute}",
     "./zarr.json", "planes//t0000/zarr.json", "progress/t0000/../../../victim/c", "scene/labels/a\x1b/zarr.json"],
)  # fmt: skip
def test_keys_in_the_checksums_do_not_leave_the_store(copy, key):
    key = key.format(absolute=copy.parent / "victim" / "new.txt")
    before = outside(copy)
    # The content of an existing file under the new key: repair would copy it there.
    seal(copy, lambda files: files.update({key: files["planes/zarr.json"]}))
    with pytest.raises(StoreError, match=r"checksums.json lists .*, which no store contains"):
        repair(as_location(copy), verify(as_location(copy)))
    with pytest.raises(StoreError, match="no store contains"):
        Store.open(copy, writable=True)
    assert outside(copy) == before


@pytest.mark.parametrize("layer", ["../../../victim", "up_blocks.2", "..", "a/b", 3])
def test_a_layer_in_the_attributes_names_no_path(copy, layer):
    file = copy / "planes/t0000/mid_block/zarr.json"
    edit_attributes(file, layer=layer)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    seal(copy, lambda files: files.update({"planes/t0000/mid_block/zarr.json": digest}))
    before = outside(copy)
    with pytest.raises(StoreError, match="the metadata of planes/t0000/mid_block are wrong"):
        verify(as_location(copy))
    assert outside(copy) == before


@pytest.mark.parametrize("key", ["planes", "planes/t0007", "planes/t0000/mid_block/c", "progress", "scene/cube/c"])
def test_linked_folders_are_not_followed(copy, key, scene, backbone_folder):
    target = copy.parent / "victim" / "folder"
    target.mkdir()
    if (copy / key).exists():
        shutil.rmtree(target)
        (copy / key).rename(target)
    (copy / key).symlink_to(target)
    before = outside(copy)
    errors = try_everything(copy, scene, backbone_folder)
    # An extraction doesn't need the shards of other planes or of the scene.
    assert len(errors) >= 2 and all("leads out of the store" in error for error in errors), errors
    assert outside(copy) == before


@pytest.mark.parametrize("key", ["planes/t0000/mid_block/c/0/0/0", "timings.json", "checksums.copy.json"])
def test_linked_files_are_not_followed(copy, key, scene, backbone_folder):
    (copy / key).unlink()
    (copy / key).symlink_to(copy.parent / "victim" / "notes.txt")
    before = outside(copy)
    try_everything(copy, scene, backbone_folder)
    assert outside(copy) == before


def test_a_link_in_an_empty_place_is_seen(tmp_path, scene, backbone_folder):
    (tmp_path / "victim").mkdir()
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "s.zarr" / "planes").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError, match="leads out of the store"):
        extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out=tmp_path / "s.zarr")
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_pipe_does_not_wait_for_ever(copy):
    (copy / "timings.json").unlink()
    os.mkfifo(copy / "timings.json")
    with pytest.raises(StoreError, match="is no regular file"):
        verify(as_location(copy))


def test_the_folder_of_a_store_may_be_a_link(copy, tmp_path):
    (tmp_path / "link.zarr").symlink_to(copy)
    assert verify(as_location(tmp_path / "link.zarr")).damages == ()


def test_few_folders_are_remembered_and_links_are_seen_beyond_them(tmp_path, monkeypatch):
    """The memory does not grow with the number of shards, each of which has its own folder."""
    monkeypatch.setattr(confinement, "_MAX_CHECKED", 100)
    store = tmp_path / "s.zarr"
    for row in range(400):
        (store / "c" / str(row)).mkdir(parents=True)
    (store / "c" / "link").symlink_to(tmp_path)
    folder = ConfinedFolder(store)
    tracemalloc.start()
    try:
        for row in range(400):
            assert folder.path(f"c/{row}/0") == store / "c" / str(row) / "0"
            if row == 200:
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
        assert tracemalloc.get_traced_memory()[1] - before < 30_000
    finally:
        tracemalloc.stop()
    with pytest.raises(StoreError, match="leads out of the store"):
        folder.path("c/link/x")


@given(st.lists(st.sampled_from(["a", "..", ".", "", "b.c", "..x", "\\", "c\n"]), min_size=1, max_size=5).map("/".join))
def test_accepted_keys_stay_below_the_root(key):
    try:
        path = ConfinedFolder(_root()).entry(check_key(key))
    except StoreError:
        assert {"", ".", ".."} & set(key.split("/")) or "\\" in key or "\n" in key
    else:
        assert os.path.normpath(path).startswith(f"{_root()}/") and os.path.normpath(path) == str(path)


def _root():
    from pathlib import Path

    return Path("/nonexistent/s.zarr")
