"""Repair: every damaged byte comes back, and nothing is changed where the backbone is missing or the scene is damaged."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import zarr

from hsifeat.errors import HsifeatError, StoreError
from hsifeat.extraction.extract import extract
from hsifeat.extraction.repair import repair
from hsifeat.extraction.repair import verify as verify_store
from hsifeat.features.open_features import open_features
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.helpers.damaged_stores import edit_attributes, flip, guarded_files
from tests.helpers.fuzz_subjects import reseal_store


@pytest.fixture(scope="module")
def copy(store_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "s.zarr"
    shutil.copytree(store_path, path)
    return path


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(["planes/t0300/up_blocks.2/c/0/0/0", "progress/t0000/mid_block/c/0/0/0"], id="units"),
        pytest.param(["planes/t0000/zarr.json", "planes/zarr.json", "zarr.json"], id="groups"),
        pytest.param(["checksums.json", "zarr.copy.json", "planes/t0000/mid_block/c/0/0/0"], id="checksums"),
        pytest.param(
            [
                "checksums.copy.json", "planes/t0300/up_blocks.2/zarr.json", "planes/t0000/mid_block/zarr.json",
                "planes/t0300/mid_block/c/0/0/0", "progress/t0000/mid_block/zarr.json",
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
    location, timesteps = as_location(path), [0, 300, *range(10, 13)]
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


def test_a_repair_deletes_no_files_that_hsifeat_did_not_write(store_path, backbone_folder, tmp_path):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    shard = "planes/t0000/mid_block/c/0/0/0"
    (path / "planes/t0000/mid_block/c/7/7").mkdir(parents=True)
    shutil.copy(path / shard, path / "planes/t0000/mid_block/c/7/7/0")
    flip(path / shard)
    (path / "notes.txt").write_text("notes")
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    location = as_location(path)
    with pytest.raises(
        StoreError, match=r"contains 1 file that hsifeat did not write, such as notes.txt: move such files"
    ):
        repair(location, verify(location))
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    (path / "notes.txt").rename(tmp_path / "notes.txt")
    assert not repair(location, verify(location)).damages


def test_a_damaged_scene_is_not_repaired(store_path, tmp_path):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    shard = next(p for p in (path / "scene" / "cube" / "c").rglob("*") if p.is_file())
    shard.write_bytes(b"x" + shard.read_bytes()[1:])
    location = as_location(path)
    with pytest.raises(StoreError, match="these can.t be restored from the other data of the store"):
        repair(location, verify(location))


@pytest.mark.parametrize("file", ["valid/zarr.json", "projection/weights/c/0/0", "cube/zarr.json"])
def test_the_advice_for_a_damaged_scene_and_plane_is_not_another_repair(store_path, tmp_path, file):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    flip(path / "scene" / file)
    (path / "planes/t0000/mid_block/c/0/0/0").unlink()
    location = as_location(path)
    with pytest.raises(StoreError, match="these can.t be restored from the other data of the store") as refused:
        repair(location, verify(location))
    assert "--repair" not in str(refused.value)


def test_a_damaged_label_map_is_written_anew_by_its_extraction(store_path, scene, backbone_folder, tmp_path):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    chunk = next(p for p in (path / "scene" / "labels").rglob("*") if p.is_file() and p.name.isdigit())
    chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    (path / "planes/t0000/mid_block/c/0/0/0").unlink()
    location = as_location(path)
    with pytest.raises(StoreError, match="with the same `labels`"):
        repair(location, verify(location))
    assert [d.key for d in verify(location).damages] == [chunk.relative_to(path).as_posix()], "the plane is mended"
    with pytest.raises(StoreError, match="was changed"):
        open_features(path).labels()
    extract(scene, backbone=backbone_folder, timesteps=[0, 300], tile=32, halo=8, out=path)
    assert verify(location).damages == ()


class Killed(BaseException):
    """Stands for the end of the process. Only the test catches this exception."""


@pytest.mark.parametrize("point", ["after-restore", "in-write", "after-write", "before-seal", "in-recreate"])
def test_a_killed_repair_is_resumed(store_path, backbone_folder, tmp_path, monkeypatch, point):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    before = {p.relative_to(path): p.read_bytes() for p in guarded_files(path)}
    for key in ("planes/t0300/up_blocks.2/c/0/0/0", "planes/t0000/mid_block/c/0/0/0"):
        (path / key).unlink()
    flip(path / "planes/t0000/up_blocks.0/zarr.json")

    def killed(*arguments, **options):
        raise Killed

    with monkeypatch.context() as patch:
        if point == "after-restore":
            patch.setattr("hsifeat.extraction.repair.run", killed)
        elif point == "in-write":
            patch.setattr("hsifeat.store.progress.ProgressRecords.record", killed)
        elif point == "after-write":
            patch.setattr(Store, "add_timings", killed)
        elif point == "before-seal":
            patch.setattr(Store, "write_record_checksums", killed)
        else:
            patch.setattr(Store, "restore_plane", lambda *_: False)
            patch.setattr("hsifeat.store.store_files.StoreFiles.save_checksums", killed)
        with pytest.raises(Killed):
            repair(as_location(path), verify(as_location(path)))
    location = as_location(path)
    after = repair(location, verify(location))
    assert after.damages == after.unfinished == ()
    assert {p.relative_to(path): p.read_bytes() for p in guarded_files(path)} == before


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        (
            "scene/labels/fields",
            {"class_colours": {"1": "#12"}},
            "a colour of the label map fields is text such as #1f77b4; found {'1': '#12'}",
        ),
        ("scene/labels/fields", {"class_names": [1]}, "class_names of the label map fields must be texts"),
    ],
)
def test_a_store_that_readers_refuse_is_not_told_to_be_intact(store_path, tmp_path, key, change, message):
    path = shutil.copytree(store_path, tmp_path / "s.zarr")
    edit_attributes(path / key / "zarr.json", **change)
    reseal_store(path)
    with pytest.raises(HsifeatError, match=message):
        _ = open_features(path).scene
    with pytest.raises(StoreError, match=f"all files have their checksums, but the store can't be used: .*{message}"):
        verify_store(as_location(path))


def test_another_scene_under_right_checksums_is_found(store_path, tmp_path):
    path = shutil.copytree(store_path, tmp_path / "s.zarr")
    cube = zarr.open_array(path / "scene" / "cube")
    cube[3, 4, 5] += 1
    reseal_store(path)
    with pytest.raises(StoreError, match="the scene in the store is not the one that the planes were computed from"):
        verify_store(as_location(path))


def test_an_older_copy_of_the_checksums_is_replaced(store_path, tmp_path):
    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    before = (path / "checksums.copy.json").read_bytes()
    older = json.loads(before)["files"]
    older.pop("progress/t0000/mid_block/c")
    files = json.dumps(older, sort_keys=True, indent=0)
    content = {"files": older, "checksum": hashlib.sha256(files.encode()).hexdigest()}
    (path / "checksums.copy.json").write_text(json.dumps(content, indent=0))
    location = as_location(path)
    found = verify(location)
    assert [str(damage.key) for damage in found.damages] == ["checksums.copy.json"]
    assert not repair(location, found).damages and (path / "checksums.copy.json").read_bytes() == before
