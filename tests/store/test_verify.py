"""Verification and repair: `verify` reports any changed, missing or extra byte, and `repair` restores the original bits."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsifeat.errors import HsifeatError, StoreError
from hsifeat.features.open_features import open_features
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.helpers.damaged_stores import damages, flip, guarded_files


@pytest.fixture(scope="module")
def copy(store_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "s.zarr"
    shutil.copytree(store_path, path)
    return path


def test_an_intact_store_has_no_damage(copy):
    result = verify(as_location(copy))
    assert result.damages == () and result.unfinished == ()
    files = [*guarded_files(copy), copy / "timings.json"]
    assert result.files == len(files)
    assert result.size_bytes == sum(p.stat().st_size for p in files)


def test_a_flipped_byte_is_found_in_every_file(copy):
    """A random byte of each file is flipped.

    All files of the same kind are damaged at once, because each file is reported by its name.
    """
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
        damaged_records = {key.replace("planes/", "progress/") for _, key in damages(copy)}
        # A damaged record is reported by its shard: the two differ, and nothing tells which of them changed.
        expected = {file.relative_to(copy).as_posix().replace("planes/", "progress/") for file in files}
        assert damaged_records >= expected or (len(files) == 1 and damaged_records), files
        for file, content in before.items():
            file.write_bytes(content)
    assert damages(copy) == []


@settings(max_examples=12)
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
