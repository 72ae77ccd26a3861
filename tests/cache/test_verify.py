"""Verification: any changed, missing or extra byte is found, and repair brings back what was there, bit for bit."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsifeat.cache.place import place_of
from hsifeat.cache.store import Store
from hsifeat.cache.verify import verify
from hsifeat.errors import StoreError
from hsifeat.extraction.repair import repair


def guarded_files(path):
    """All files below planes/ and scene/, the manifest, the seals, and the records of progress."""
    return sorted(p for p in path.rglob("*") if p.is_file())


@pytest.fixture(scope="module")
def copy(store_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "s.zarr"
    shutil.copytree(store_path, path)
    return path


def damages(path):
    """What verify finds, as (kind, key); a manifest or seals that were changed raise."""
    try:
        return [(d.kind, d.key) for d in verify(place_of(path)).damages]
    except StoreError as error:
        return [("raised", str(error))]


def test_a_whole_store_has_no_damage(copy):
    found = verify(place_of(copy))
    assert found.damages == () and found.unfinished == ()
    assert found.files == len(guarded_files(copy))
    assert found.size_bytes == sum(p.stat().st_size for p in guarded_files(copy))


def test_a_flipped_byte_is_found_in_every_file(copy):
    """One byte of each file in turn, at a random place."""
    random = np.random.default_rng(0)
    files = guarded_files(copy)
    assert {p.relative_to(copy).parts[0] for p in files} == {"planes", "progress", "scene", "seals.json", "zarr.json"}
    for file in files:
        whole = file.read_bytes()
        torn = bytearray(whole)
        torn[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        file.write_bytes(torn)
        assert damages(copy), file
        file.write_bytes(whole)
    assert damages(copy) == []


@settings(max_examples=60)
@given(st.data())
def test_any_flip_cut_or_extra_byte_is_found(copy, data):
    file = data.draw(st.sampled_from(guarded_files(copy)))
    whole = file.read_bytes()
    how = data.draw(st.sampled_from(["flip", "cut", "append", "prepend", "delete", "empty"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = {
        "flip": whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :],
        "cut": whole[:at],
        "append": whole + bytes([flip]),
        "prepend": bytes([flip]) + whole,
        "empty": b"",
    }
    try:
        if how == "delete":
            file.unlink()
        else:
            file.write_bytes(changed[how])
        key = file.relative_to(copy).as_posix()
        if how == "delete" and key.startswith("progress/") and "/c/" in key:
            # Without its record a unit was never done; that is what verify says, and extraction computes it.
            assert verify(place_of(copy)).unfinished
        else:
            assert damages(copy)
    finally:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(whole)


@pytest.mark.parametrize(
    "where", ["mine.txt", "planes/t0000/x", "scene/cube/c/9/9/9", "planes/t0000/mid_block/c/7/7/0"]
)
def test_an_extra_file_is_found(copy, where):
    file = copy / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    assert damages(copy) == [("extra", where)]
    file.unlink()


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(["planes/t0300/up_blocks.2/c/0/0/0"], id="shard"),
        pytest.param(["progress/t0000/mid_block/c/0/0/0"], id="record"),
        pytest.param(["planes/t0000/up_blocks.1/zarr.json"], id="metadata"),
        pytest.param(["planes/t0000/zarr.json", "planes/zarr.json"], id="groups"),
        pytest.param(
            ["planes/t0000/mid_block/zarr.json", "planes/t0300/mid_block/c/0/0/0", "progress/zarr.json"], id="several"
        ),
    ],
)
@pytest.mark.parametrize("how", ["flip", "delete"])
def test_repair_brings_it_back(store_path, backbone_folder, tmp_path, monkeypatch, keys, how):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    before = {p.relative_to(path): p.read_bytes() for p in guarded_files(path)}
    forwards = []
    plain = Store.write

    def counting(self, plane, unit, values):
        forwards.append((str(plane), unit.index))
        return plain(self, plane, unit, values)

    monkeypatch.setattr(Store, "write", counting)
    for key in keys:
        content = (path / key).read_bytes()
        (path / key).write_bytes(content[:-1] + bytes([content[-1] ^ 1])) if how == "flip" else (path / key).unlink()
    place = place_of(path)
    found = verify(place)
    if not (how == "delete" and keys[0].startswith("progress/t")):
        assert len(found.damages) == len(keys)
        after = repair(place, found)
        assert after.damages == () and after.unfinished == ()
        assert {p.relative_to(path): p.read_bytes() for p in guarded_files(path)} == before
        shards = {key.rpartition("/c/")[0] for key in keys if "/c/" in key}
        assert len(forwards) <= len(shards) + 2 * sum(key.endswith("block/zarr.json") for key in keys) + 1
    else:
        assert [str(plane.id) for plane in found.unfinished] == ["t0/mid_block"]


def test_a_damaged_scene_is_not_repaired(store_path, tmp_path):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    shard = next(p for p in (path / "scene" / "cube" / "c").rglob("*") if p.is_file())
    shard.write_bytes(b"x" + shard.read_bytes()[1:])
    place = place_of(path)
    with pytest.raises(StoreError, match="can't be computed from the rest of the store"):
        repair(place, verify(place))


def test_a_changed_manifest_is_told(store_path, tmp_path):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    root = path / "zarr.json"
    root.write_bytes(root.read_bytes().replace(b'"batch": 16', b'"batch": 17'))
    with pytest.raises(StoreError, match=r"its manifest \(zarr.json\) was changed"):
        verify(place_of(path))
