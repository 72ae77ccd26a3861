"""Checksums: hashlib is the oracle; a changed list is recognised, and no read returns changed bytes."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.errors import StoreError
from hsifeat.store import checksums
from hsifeat.store.checksums import ChecksumReader, ChecksumWriter, has_checksum
from hsifeat.store.location import as_location

KEYS = st.from_regex(r"(scene/labels/[abc.]{3,6}/c(/[0-9]){2})|(planes/t0000/[abc]{1,4}/zarr\.json)", fullmatch=True)
LISTS = st.dictionaries(
    KEYS.filter(lambda key: "/../" not in key), st.binary().map(checksums.checksum), min_size=1, max_size=4
)


@given(LISTS, st.data())
def test_any_changed_byte_of_the_list_is_noticed(listed, data):
    content = checksums.encode(listed)
    assert checksums.decode(content) == listed
    at, flip = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    assert checksums.decode(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]) is None
    assert checksums.decode(content[:at]) is None and checksums.decode(None) is None


def test_a_store_lists_the_sha256_of_its_files(store_path):
    listed = json.loads((store_path / "checksums.json").read_text())["files"]
    files = {
        file.relative_to(store_path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in store_path.rglob("*")
        if file.is_file() and has_checksum(file.relative_to(store_path).as_posix())
    }
    records = {key for key in listed if key.startswith("progress/") and key.endswith("/c")}
    assert {key: value for key, value in listed.items() if key not in records} == files
    assert len(records) == 8, "one per complete plane"


def test_the_copy_stands_in_for_a_damaged_list(store_path, tmp_path):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    location = as_location(tmp_path / "s.zarr")
    expected = checksums.read(location)
    location.put(checksums.FILE, b"{}")
    assert checksums.read(location) == expected
    location.delete(checksums.FILE)
    assert checksums.read(location) == expected
    location.put(checksums.COPY_OF[checksums.FILE], b"{}")
    with pytest.raises(StoreError, match=r"checksums\.json is missing, and its copy is unusable too"):
        checksums.read(location)


def test_what_is_written_is_listed_and_what_is_changed_is_not_read(tmp_path):
    location, listed = as_location(tmp_path), {}
    group = zarr.create_group(ChecksumWriter(location.zarr(writable=True), location, listed))
    group.create_array("scene/valid", data=np.array([1, 2, 3]))
    assert {key for key in listed if "valid" in key} == {"scene/valid/zarr.json", "scene/valid/c/0"}
    reader = ChecksumReader(location.zarr(writable=False), location, listed)
    assert list(zarr.open_group(reader, mode="r")["scene/valid"][:]) == [1, 2, 3]
    content = (tmp_path / "scene/valid/c/0").read_bytes()
    (tmp_path / "scene/valid/c/0").write_bytes(content[:-1] + b"?")
    with pytest.raises(StoreError, match="scene/valid/c/0 was changed"):
        zarr.open_group(reader, mode="r")["scene/valid"][:]
    del zarr.open_group(ChecksumWriter(location.zarr(writable=True), location, listed), mode="r+")["scene/valid"]
    assert not any("valid" in key for key in listed)
