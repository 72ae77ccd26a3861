"""Planes: written and read unit by unit, whatever an interrupted writer left."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from hsifeat.errors import StoreError
from hsifeat.store.location import LocalLocation
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from hsifeat.types import PlaneId, Window
from tests.helpers.damaged_stores import edit_attributes
from tests.helpers.fuzz_subjects import reseal_store
from tests.helpers.small_stores import values_of, write_units


def test_a_torn_shard_is_written_again_and_not_merged(small_store, tmp_path):
    plane = PlaneSpec(PlaneId(7, "mid"), 1, 3, "float16")
    small_store.add_planes([plane])
    values = values_of(small_store, plane)
    write_units(small_store, plane, values, small_store.units)
    shard = next(p for p in (tmp_path / "s.zarr/planes/t0007/mid/c").rglob("*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:20])
    write_units(small_store, plane, values, small_store.units)
    np.testing.assert_array_equal(small_store.plane(plane.id)[:], values)
    shutil.rmtree(tmp_path / "s.zarr/planes/t0007/mid/c")
    with pytest.raises(StoreError, match="is missing"):
        small_store.read(plane.id, Window(0, 0, 1, 1))


def test_the_checksums_are_written_once_for_all_new_planes(small_store, monkeypatch):
    """In an object store, each plane would take three more requests."""
    put, written = LocalLocation.put, []
    monkeypatch.setattr(
        LocalLocation, "put", lambda place, key, content: written.append(key) or put(place, key, content)
    )
    planes = [PlaneSpec(PlaneId(7, f"up.{number}"), 2, 3, "float16") for number in range(3)]
    for added in (planes[:1], planes, planes):
        small_store.prepare_planes(added)
    assert written == ["checksums.json", "checksums.copy.json"] * 2
    assert Store.open(small_store.location).planes == planes and verify(small_store.location).damages == ()


@pytest.mark.parametrize(
    ("name", "value"), [*(("stride", value) for value in (0, -4, 2**40, "4", None, 4.5)), ("t", 7), ("layer", "../x")]
)
def test_attributes_of_a_stranger_s_plane_are_refused(store_path, tmp_path, name, value):
    path = Path(shutil.copytree(store_path, tmp_path / "s.zarr"))
    file = path / "planes" / "t0000" / "mid_block" / "zarr.json"
    edit_attributes(file, **{name: value})
    reseal_store(path)
    with pytest.raises(StoreError, match="the metadata of planes/t0000/mid_block are wrong"):
        _ = Store.open(path).planes
