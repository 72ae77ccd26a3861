"""Verification: any changed, missing or extra byte is found, and repair restores what was there, bit for bit."""

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
    """All files that a checksum or digest guards: everything but the timings."""
    return sorted(p for p in path.rglob("*") if p.is_file() and p.name != "timings.json")


def flip(file, at=-1, bits=1):
    content = bytearray(file.read_bytes())
    content[at] ^= bits
    file.write_bytes(content)


@pytest.fixture(scope="module")
def copy(store_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "s.zarr"
    shutil.copytree(store_path, path)
    return path


def damages(path):
    """Return what verify finds, as (kind, key); a damaged manifest may raise."""
    try:
        return [(d.kind, d.key) for d in verify(as_location(path)).damages]
    except StoreError as error:
        return [("raised", str(error))]


def test_an_intact_store_has_no_damage(copy):
    result = verify(as_location(copy))
    assert result.damages == () and result.unfinished == ()
    files = [*guarded_files(copy), copy / "timings.json"]
    assert result.files == len(files)
    assert result.size_bytes == sum(p.stat().st_size for p in files)


def test_a_flipped_byte_is_found_in_every_file(copy):
    """A random byte of each file: of all files of a kind at once, since each is reported by its name."""
    random = np.random.default_rng(0)
    kinds = {"shards": [], "records": [], "scene": [], "metadata": []}
    alone = []
    for file in guarded_files(copy):
        key = file.relative_to(copy).as_posix()
        if "/" not in key:
            alone.append(file)
        elif file.name == "zarr.json":
            kinds["metadata"].append(file)
        else:
            kinds[{"planes": "shards", "progress": "records"}.get(key.split("/")[0], "scene")].append(file)
    assert len(alone) == 4 and all(len(files) > 4 for files in kinds.values())
    for files in [*kinds.values(), *([file] for file in alone)]:
        before = {file: file.read_bytes() for file in files}
        for file, content in before.items():
            flip(file, random.integers(len(content)), 1 << int(random.integers(8)))
        found = {key.replace("planes/", "progress/") for _, key in damages(copy)}
        # A damaged record is reported by its shard: the two differ, and nothing tells which of them changed.
        expected = {file.relative_to(copy).as_posix().replace("planes/", "progress/") for file in files}
        assert found >= expected or (len(files) == 1 and found), files
        for file, content in before.items():
            file.write_bytes(content)
    assert damages(copy) == []


@settings(max_examples=25)
@given(st.data())
def test_any_flip_cut_or_extra_byte_is_found(copy, data):
    file = data.draw(st.sampled_from(guarded_files(copy)))
    content = file.read_bytes()
    how = data.draw(st.sampled_from(["flip", "cut", "append", "prepend", "delete", "empty"]))
    at = data.draw(st.integers(0, len(content) - 1))
    bits = data.draw(st.integers(1, 255))
    changed = {
        "flip": content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :],
        "cut": content[:at],
        "append": content + bytes([bits]),
        "prepend": bytes([bits]) + content,
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
        file.write_bytes(content)


def test_extra_files_are_found(copy):
    keys = ["mine.txt", "planes/t0000/mid_block/c/7/7/0", "planes/t0000/x", "scene/cube/c/9/9/9"]
    for key in keys:
        (copy / key).parent.mkdir(parents=True, exist_ok=True)
        (copy / key).write_bytes(b"x")
    assert damages(copy) == [("extra", key) for key in keys]
    for key in keys:
        (copy / key).unlink()


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(["planes/t0300/up_blocks.2/c/0/0/0", "progress/t0000/mid_block/c/0/0/0"], id="units"),
        pytest.param(["planes/t0000/up_blocks.1/zarr.json"], id="metadata"),
        pytest.param(["planes/t0000/zarr.json", "planes/zarr.json", "zarr.json"], id="groups"),
        pytest.param(["checksums.json", "zarr.copy.json"], id="checksums"),
        pytest.param(
            [
                "checksums.copy.json", "planes/t0300/up_blocks.2/zarr.json", "planes/t0000/mid_block/zarr.json",
                "planes/t0300/mid_block/c/0/0/0", "progress/zarr.json",
            ],
            id="several",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["flip", "delete"])
def test_repair_restores_every_byte(store_path, backbone_folder, tmp_path, monkeypatch, keys, how):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    before = {p.relative_to(path): p.read_bytes() for p in guarded_files(path)}
    written = []
    plain = Store.write

    def counting(self, plane, unit, values):
        written.append((str(plane), unit.index))
        return plain(self, plane, unit, values)

    monkeypatch.setattr(Store, "write", counting)
    for key in keys:
        flip(path / key) if how == "flip" else (path / key).unlink()
    location = as_location(path)
    result = verify(location)
    # A digest and a shard that differ don't tell which of them was changed.
    assert sorted(d.key.replace("planes/", "progress/") for d in result.damages) == sorted(
        key.replace("planes/", "progress/") for key in keys
    )
    after = repair(location, result)
    assert after.damages == () and after.unfinished == ()
    assert {p.relative_to(path): p.read_bytes() for p in guarded_files(path)} == before
    assert len(written) == sum("/c/" in key for key in keys), "only what was lost is computed"


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
    location, timesteps = as_location(path), [0, 300, *range(10, 26)]
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(extract, scene, backbone=backbone_folder, timesteps=timesteps, tile=32, halo=8, out=path)
        reported, repaired = [], False
        while not writer.done() or not repaired:
            result = verify(location)
            reported.append({d.key for d in result.damages})
            if result.damages and len(reported) > 1:
                repaired = repair(location, result).damages == ()
        writer.result()
    assert len(reported) > 1 and set().union(*reported) == {"planes/t0000/mid_block/c/0/0/0"}
    result = verify(location)
    assert repaired and result.damages == result.unfinished == ()
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
def test_a_manifest_or_checksums_damaged_with_their_copy_are_an_error(store_path, tmp_path, name):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    for file in (path / f"{name}.json", path / f"{name}.copy.json"):
        assert Store.open(path).planes, "one of them is enough"
        file.write_bytes(file.read_bytes().replace(b"a", b"b", 3))
    with pytest.raises(StoreError, match=rf"{name}.json was changed"):
        verify(as_location(path))


@pytest.mark.parametrize("how", ["flip", "delete"])
def test_no_reader_takes_a_lost_file_for_zeros(copy, how):
    for key in (
        "scene/cube/c/0/0/0",
        "scene/valid/c/0/0",
        "scene/labels/fields/c/0/0",
        "planes/t0000/mid_block/c/0/0/0",
    ):
        content = (copy / key).read_bytes()
        flip(copy / key, 0, 4) if how == "flip" else (copy / key).unlink()
        with pytest.raises((HsifeatError, RuntimeError, ValueError)) as raised:
            open_features(copy).to_xarray().load()
        if how == "delete" or not key.startswith(("planes", "scene/cube")):
            assert isinstance(raised.value, StoreError) and "hsifeat cache verify" in str(raised.value)
        (copy / key).write_bytes(content)
