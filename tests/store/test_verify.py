"""Verification: any changed, missing or extra byte is found, and repair brings back what was there, bit for bit."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsifeat.errors import HsifeatError, StoreError
from hsifeat.extraction.extract import extract
from hsifeat.extraction.repair import repair
from hsifeat.features.features import open_features
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify


def guarded_files(path):
    """All files below planes/ and scene/, the manifest, the checksums, and the records of progress; not the timings."""
    return sorted(p for p in path.rglob("*") if p.is_file() and p.name != "timings.json")


@pytest.fixture(scope="module")
def copy(store_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "s.zarr"
    shutil.copytree(store_path, path)
    return path


def damages(path):
    """What verify finds, as (kind, key); a manifest or checksums that were changed raise."""
    try:
        return [(d.kind, d.key) for d in verify(as_location(path)).damages]
    except StoreError as error:
        return [("raised", str(error))]


def test_a_whole_store_has_no_damage(copy):
    found = verify(as_location(copy))
    assert found.damages == () and found.unfinished == ()
    files = [*guarded_files(copy), copy / "timings.json"]
    assert found.files == len(files)
    assert found.size_bytes == sum(p.stat().st_size for p in files)


def test_a_flipped_byte_is_found_in_every_file(copy):
    """One byte of each file in turn, at a random place."""
    random = np.random.default_rng(0)
    files = guarded_files(copy)
    assert {p.relative_to(copy).parts[0] for p in files} == {
        "planes", "progress", "scene", "checksums.copy.json", "checksums.json", "zarr.copy.json", "zarr.json",
    }  # fmt: skip
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
        pytest.param(["zarr.json"], id="manifest"),
        pytest.param(["checksums.json", "zarr.copy.json"], id="checksums"),
        pytest.param(["checksums.copy.json", "planes/t0300/up_blocks.2/zarr.json"], id="copy"),
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
    location = as_location(path)
    found = verify(location)
    # A digest and a shard that differ don't tell which of them was changed.
    assert sorted(d.key.replace("planes/", "progress/") for d in found.damages) == sorted(
        key.replace("planes/", "progress/") for key in keys
    )
    after = repair(location, found)
    assert after.damages == () and after.unfinished == ()
    assert {p.relative_to(path): p.read_bytes() for p in guarded_files(path)} == before
    assert len(forwards) == sum("/c/" in key for key in keys), "only what was lost is computed"


def test_nothing_is_lost_when_repair_finds_no_backbone(store_path, backbone_folder, tmp_path):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    for key in ("planes/t0000/up_blocks.1/zarr.json", "planes/t0000/mid_block/c/0/0/0"):
        (path / key).write_bytes(b"x" + (path / key).read_bytes()[1:])
    before = {p: p.read_bytes() for p in guarded_files(path)}
    location = as_location(path)
    with pytest.raises(HsifeatError, match="no such file or folder"):
        repair(location, verify(location), backbone=tmp_path / "gone")
    with pytest.raises(StoreError, match="another recipe"):
        repair(location, verify(location), backbone=f"untrained:{backbone_folder}")
    assert {p: p.read_bytes() for p in guarded_files(path)} == before


def test_verify_and_repair_beside_a_writer(store_path, scene, backbone_folder, tmp_path):
    """What another thread writes meanwhile is no damage, and is not taken away."""
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    (path / "planes/t0000/mid_block/c/0/0/0").write_bytes(b"x")
    location, timesteps = as_location(path), [0, 300, *range(10, 60)]
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(extract, scene, backbone=backbone_folder, timesteps=timesteps, tile=32, halo=8, out=path)
        seen, repaired = [], False
        while not writer.done():
            found = verify(location)
            seen.append({d.key for d in found.damages})
            if found.damages and len(seen) > 3 and not repaired:
                repaired = repair(location, found).damages == ()
        writer.result()
    assert len(seen) > 1 and set().union(*seen) == {"planes/t0000/mid_block/c/0/0/0"}
    found = verify(location)
    assert repaired and found.damages == found.unfinished == ()
    assert len(Store.open(path).planes) == 4 * len(timesteps)


def test_a_damaged_scene_is_not_repaired(store_path, tmp_path):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    shard = next(p for p in (path / "scene" / "cube" / "c").rglob("*") if p.is_file())
    shard.write_bytes(b"x" + shard.read_bytes()[1:])
    location = as_location(path)
    with pytest.raises(StoreError, match="can't be computed from the rest of the store"):
        repair(location, verify(location))


def test_a_damaged_label_map_is_written_anew_by_its_extraction(store_path, scene, backbone_folder, tmp_path):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    chunk = next(p for p in (path / "scene" / "labels").rglob("*") if p.is_file() and p.name.isdigit())
    chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    (path / "planes/t0000/mid_block/c/0/0/0").unlink()
    location = as_location(path)
    with pytest.raises(StoreError, match="with the same labels"):
        repair(location, verify(location))
    assert [d.key for d in verify(location).damages] == [chunk.relative_to(path).as_posix()], "the plane is mended"
    with pytest.raises(StoreError, match="was changed"):
        open_features(path).labels()
    extract(scene, backbone=backbone_folder, timesteps=[0, 300], tile=32, halo=8, out=path)
    assert verify(location).damages == ()


@pytest.mark.parametrize("name", ["zarr", "checksums"])
def test_manifest_or_checksums_lost_with_their_copy_are_told(store_path, tmp_path, name):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    for file in (path / f"{name}.json", path / f"{name}.copy.json"):
        assert Store.open(path).planes, "one of them is enough"
        file.write_bytes(file.read_bytes().replace(b"a", b"b", 3))
    with pytest.raises(StoreError, match=rf"{name}.json was changed"):
        verify(as_location(path))


@pytest.mark.parametrize(
    "key", ["scene/cube/c/0/0/0", "scene/valid/c/0/0", "scene/labels/fields/c/0/0", "planes/t0000/mid_block/c/0/0/0"]
)
@pytest.mark.parametrize("how", ["flip", "delete"])
def test_no_reader_takes_what_is_lost_for_zeros(store_path, tmp_path, key, how):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    content = (path / key).read_bytes()
    (path / key).write_bytes(bytes([content[0] ^ 4]) + content[1:]) if how == "flip" else (path / key).unlink()
    with pytest.raises((HsifeatError, RuntimeError, ValueError)) as raised:
        open_features(path).to_xarray().load()
    if how == "delete" or not key.startswith(("planes", "scene/cube")):
        assert isinstance(raised.value, StoreError) and "hsifeat cache verify" in str(raised.value)
