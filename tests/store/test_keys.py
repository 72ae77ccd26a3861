"""Keys of a store's files: those that hsifeat writes are recognised, all others are foreign."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from hsifeat.errors import StoreError
from hsifeat.store.keys import is_store_file, plane_of, record_key, shard_key
from hsifeat.store.plane_layout import PlaneSpec, Unit
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from hsifeat.types import PlaneId, Window
from tests.helpers.small_stores import LAYOUTS, manifest_of, values_of, write_units


def test_every_file_of_a_store_is_recognised(store_path):
    keys = [file.relative_to(store_path).as_posix() for file in store_path.rglob("*") if file.is_file()]
    assert len(keys) > 50 and all(map(is_store_file, keys))
    planes = {str(plane_of(key)) for key in keys if plane_of(key)}
    assert planes == {
        f"t{t}/{layer}" for t in (0, 300) for layer in ("mid_block", *(f"up_blocks.{i}" for i in range(3)))
    }


def test_shards_and_records_are_where_zarr_puts_chunks(store_path):
    plane, unit = PlaneId(300, "up_blocks.2"), Unit((0, 0), Window(0, 0, 75, 53))
    assert (store_path / shard_key(plane, unit)).is_file() and (store_path / record_key(plane, unit)).is_file()


def test_a_layer_can_have_the_name_of_a_folder_of_chunks(small_store):
    """A network can call a module ``c``, and zarr puts chunks into a folder ``c``."""
    plane = PlaneSpec(PlaneId(7, "c"), 2, 3, "float16")
    small_store.add_planes([plane])
    values = values_of(small_store, plane)
    write_units(small_store, plane, values, small_store.units)
    small_store.write_record_checksums()
    store = Store.open(small_store.location)
    assert store.planes == [plane] and store.is_complete(plane.id)
    assert verify(store.location).damages == ()
    np.testing.assert_array_equal(zarr.open_array(store.location.path / "planes/t0007/c", mode="r")[:], values)
    np.testing.assert_array_equal(store.plane(plane.id)[:], values)
    (store.location.path / "planes/t0007/c/c/0/0/0").unlink()
    with pytest.raises(StoreError, match="planes/t0007/c/c/0/0/0 is missing"):
        Store.open(store.location).plane(plane.id)[:]


@pytest.mark.parametrize(
    "key", [".checksums.json.0a1b.part", "planes/t0000/mid_block/c/0/0/.0.ab12.part", "scene/valid/c/0/0.1.partial"]
)
def test_temporary_files_of_interrupted_writes_are_recognised(key):
    assert is_store_file(key)


def test_temporary_files_of_a_new_store_are_recognised(arrays, tmp_path, monkeypatch):
    """After a kill while zarr wrote ``scene/zarr.json``, the store could not be created again."""
    names, replace = [], Path.replace
    monkeypatch.setattr(Path, "replace", lambda file, target: names.append(file) or replace(file, target))
    Store.create(tmp_path / "s.zarr", manifest_of(LAYOUTS["scene"]), arrays)
    keys = [file.relative_to(tmp_path / "s.zarr").as_posix() for file in names]
    assert {"scene", "scene/cube"} <= {key.rpartition("/")[0] for key in keys if key.endswith(".partial")}
    assert [key for key in keys if not is_store_file(key)] == []


@pytest.mark.parametrize(
    "key", ["thesis.txt", ".git/config", "planes/notes.md", "scene/photo.jpg", "zarr.json.bak", "c/0"]
)
def test_other_files_are_foreign(key):
    assert not is_store_file(key)
