"""Tags of shards: CRC-32C by google_crc32c is the oracle, and no reading way returns values of another unit or timestep."""

import pickle
import shutil

import google_crc32c
import numpy as np
import pytest

from hsifeat import Window, open_features
from hsifeat.errors import StoreError
from hsifeat.store.location import as_location
from hsifeat.store.plane_layout import PlaneSpec, inner_chunks
from hsifeat.store.shard_tags import shard_tags
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from hsifeat.types import PlaneId
from tests.helpers.small_stores import values_of, write_units

PLANE = "t300/up_blocks.2"
SHARD = "planes/t0300/up_blocks.2/c/0/0/0"
WAYS = {
    "sample": lambda f: f.sample([1, 2], [3, 4], planes=[PLANE]),
    "read": lambda f: f.read(Window(0, 0, 8, 8), [PLANE]),
    "patches": lambda f: f.patches([20], [20], 5, planes=[PLANE]),
    "to_dask": lambda f: f.to_dask(PLANE)[:3, :3].compute(),
    "to_dask-whole": lambda f: f.to_dask(PLANE).compute(),
    "to_dask-pickled": lambda f: pickle.loads(pickle.dumps(f.to_dask(PLANE))).compute(),  # noqa: S301  # of this test
    "to_xarray": lambda f: f.to_xarray()["t300_up_blocks_2"][5:9, 5:9].to_numpy(),
}
DAMAGES = {
    "empty": lambda path: (path / SHARD).write_bytes(b""),
    "truncated": lambda path: (path / SHARD).write_bytes((path / SHARD).read_bytes()[:-3000]),
    "short": lambda path: (path / SHARD).write_bytes((path / SHARD).read_bytes()[:2]),
    "zeros": lambda path: (path / SHARD).write_bytes(bytes((path / SHARD).stat().st_size)),
    "missing": lambda path: (path / SHARD).unlink(),
    "other-timestep": lambda path: shutil.copy(path / SHARD.replace("t0300", "t0000"), path / SHARD),
    "flipped": lambda path: flip(path / SHARD),
}


def flip(file):
    content = bytearray(file.read_bytes())
    content[5::100] = bytes(byte ^ 1 for byte in content[5::100])
    file.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_reading_way_notices_and_names_the_damage(store_path, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "cache"))
    shutil.copytree(store_path, tmp_path / "s.zarr")
    DAMAGES[damage](tmp_path / "s.zarr")
    for name, use in WAYS.items():
        with pytest.raises(StoreError, match=r"s\.zarr.*planes/t0300/up_blocks.2"):
            print(name, use(open_features(tmp_path / "s.zarr")))
    assert [damage.key for damage in verify(as_location(tmp_path / "s.zarr")).damages] == [SHARD]


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("values", ["different", "constant"])
def test_a_shard_of_another_unit_is_noticed(small_store, stride, values):
    plane = PlaneSpec(PlaneId(7, "mid"), stride, 3, "float16")
    content = values_of(small_store, plane)
    if values == "constant":  # All chunks then have the same size, so the indices of all shards are equal.
        content[:] = 1
        for number, unit in enumerate(small_store.units):
            content[small_store.layout.slices(unit, stride)] = number
    small_store.add_planes([plane])
    write_units(small_store, plane, content, small_store.units)
    path = small_store.location.path / "planes" / plane.id.path / "c"
    first, second = (path / str(unit.index[0]) / str(unit.index[1]) / "0" for unit in small_store.units[:2])
    shutil.copy(second, first)
    array = Store.open(small_store.location).plane(plane.id)
    with pytest.raises(StoreError, match=r"mid/c/0/0/0 is truncated or belongs to another unit"):
        array[small_store.layout.slices(small_store.units[0], stride)]
    with pytest.raises(StoreError, match="belongs to another unit"):
        array[:1, :1]
    index = small_store.layout.slices(small_store.units[1], stride)
    np.testing.assert_array_equal(array[index], content[index])


def test_tags_are_the_checksums_at_the_ends_of_the_chunks(small_store):
    plane = PlaneSpec(PlaneId(7, "mid"), 1, 3, "float16")
    small_store.add_planes([plane])
    write_units(small_store, plane, values_of(small_store, plane), small_store.units)
    chunks = inner_chunks(small_store.layout, plane)
    for unit in small_store.units:
        shard = (small_store.location.path / f"planes/t0007/mid/c/{unit.index[0]}/{unit.index[1]}/0").read_bytes()
        index = shard[-16 * chunks - 4 : -4]
        expected = [google_crc32c.value(index)]
        for offset, length in np.frombuffer(index, "<u8").reshape(-1, 2).tolist():
            absent = length == 2**64 - 1
            expected.append(0 if absent else google_crc32c.value(shard[offset : offset + length - 4]))
        tags = shard_tags(shard, chunks)
        assert np.frombuffer(b"".join(tags), "<u4").tolist() == expected
        assert small_store.progress.tags(plane.id, unit) == tags
    assert shard_tags(b"x" * 10, 1) is None and shard_tags(b"\x7f" * 100, 4) is None
