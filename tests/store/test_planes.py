"""Planes: written and read unit by unit, whatever an interrupted writer left."""

import shutil

import numpy as np
import pytest

from hsifeat.errors import StoreError
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.types import PlaneId, Window
from tests.helpers.small_stores import values_of, write_units


def test_a_torn_shard_is_written_again_and_not_merged(small_store, tmp_path):
    plane = PlaneSpec(PlaneId(7, "mid"), 1, 3, "float16")
    small_store.add_plane(plane)
    values = values_of(small_store, plane)
    write_units(small_store, plane, values, small_store.units)
    shard = next(p for p in (tmp_path / "s.zarr/planes/t0007/mid/c").rglob("*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:20])
    write_units(small_store, plane, values, small_store.units)
    np.testing.assert_array_equal(small_store.plane(plane.id)[:], values)
    shutil.rmtree(tmp_path / "s.zarr/planes/t0007/mid/c")
    with pytest.raises(StoreError, match="is missing"):
        small_store.read(plane.id, Window(0, 0, 1, 1))
