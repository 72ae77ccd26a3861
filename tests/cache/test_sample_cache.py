"""Cached tables equal the values in the store and are never outdated. A damaged table is read from the store."""

import shutil

import numpy as np
import pytest
import zarr

import hsifeat
from hsifeat.cache import catalogue
from hsifeat.store.read_cache import samples_folder
from hsifeat.store.store import Store

ROWS, COLS = np.arange(0, 75, 3), np.arange(0, 50, 2)
PLANE = "t0/up_blocks.2"


@pytest.fixture
def copied(store_path, tmp_path):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def files(key):
    return sorted(samples_folder(key).glob("*"))


def test_the_second_read_touches_no_plane(copied, monkeypatch):
    raw = zarr.open_group(copied, mode="r")["planes/t0000/up_blocks.2"][:]
    features = hsifeat.open_features(copied)
    first = features.sample(ROWS, COLS, [PLANE], keep=True)
    np.testing.assert_array_equal(first, raw[ROWS, COLS].astype(np.float32))
    monkeypatch.setattr(Store, "read", lambda *_: pytest.fail("the plane was read"))
    np.testing.assert_array_equal(hsifeat.open_features(copied).sample(ROWS, COLS, [PLANE], keep=True), first)
    assert len(files(features.key)) == 1


def test_other_pixels_planes_and_windows_have_tables_of_their_own(copied):
    features = hsifeat.open_features(copied)
    features.sample(ROWS, COLS, [PLANE], keep=True)
    features.sample(ROWS[::-1], COLS, [PLANE], keep=True)
    features.sample(ROWS, COLS, ["t300/up_blocks.2"], keep=True)
    features.sample(ROWS, COLS, [PLANE], pool=3, keep=True)
    assert len(files(features.key)) == 4
    np.testing.assert_array_equal(
        features.sample(ROWS, COLS, [PLANE], pool=3, keep=True), features.sample(ROWS, COLS, [PLANE], pool=3)
    )


def test_a_plane_with_other_values_gets_another_table(copied):
    features = hsifeat.open_features(copied)
    before = features.sample(ROWS, COLS, [PLANE], keep=True)
    store = Store.open(copied, writable=True)
    plane = next(p for p in store.planes if str(p.id) == PLANE)
    values = np.asarray(store.plane(plane.id)[:])
    store.write(plane.id, store.units[0], values + np.float16(1))
    after = hsifeat.open_features(copied).sample(ROWS, COLS, [PLANE], keep=True)
    np.testing.assert_array_equal(after, (values + np.float16(1))[ROWS, COLS].astype(np.float32))
    assert not np.array_equal(before, after)


@pytest.mark.parametrize("how", ["flip", "cut", "longer", "empty"])
def test_a_damaged_table_is_read_anew(copied, how):
    features = hsifeat.open_features(copied)
    before = features.sample(ROWS, COLS, [PLANE], keep=True)
    (file,) = files(features.key)
    whole = file.read_bytes()
    file.write_bytes(
        {"flip": bytes([whole[0] ^ 1]) + whole[1:], "cut": whole[:-9], "longer": whole + b"x", "empty": b""}[how]
    )
    np.testing.assert_array_equal(features.sample(ROWS, COLS, [PLANE], keep=True), before)
    assert file.read_bytes() == whole


def test_a_cache_folder_that_cannot_be_written_does_no_harm(copied, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "file" / "cache"))
    features = hsifeat.open_features(copied)
    assert features.sample(ROWS, COLS, [PLANE], keep=True).shape == (25, 8)
    assert catalogue.entries() == []


def test_a_flipped_byte_is_caught_on_any_read(copied):
    shard = copied / "planes/t0000/up_blocks.2/c/0/0/0"
    content = shard.read_bytes()
    shard.write_bytes(content[:40] + bytes([content[40] ^ 8]) + content[41:])
    with pytest.raises(
        hsifeat.HsifeatError, match=r"planes/t0000/up_blocks.2 is damaged .*hsifeat cache verify .* --repair"
    ):
        hsifeat.open_features(copied).sample(ROWS, COLS, [PLANE])
    shard.unlink()
    with pytest.raises(hsifeat.HsifeatError, match="planes/t0000/up_blocks.2/c/0/0/0 is missing"):
        hsifeat.open_features(copied).sample(ROWS, COLS, [PLANE])


def test_two_exchanged_tables_are_read_anew(copied):
    """Their checksums fit their values, but not their names."""
    names = [PLANE, "t300/up_blocks.2"]
    features = hsifeat.open_features(copied)
    first, second = (features.sample(ROWS, COLS, [name], keep=True) for name in names)
    one, other = files(features.key)
    kept = one.read_bytes(), other.read_bytes()
    one.write_bytes(kept[1]), other.write_bytes(kept[0])
    again = hsifeat.open_features(copied)
    for name, expected in zip(names, (first, second), strict=True):
        np.testing.assert_array_equal(again.sample(ROWS, COLS, [name], keep=True), expected)
    assert (one.read_bytes(), other.read_bytes()) == kept, "written anew"
