"""Keys of a store's files: those that hsifeat writes are recognised, all others are foreign."""

import pytest

from hsifeat.store.keys import is_store_file, plane_of, record_key, shard_key
from hsifeat.store.plane_layout import Unit
from hsifeat.types import PlaneId, Window


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


@pytest.mark.parametrize(
    "key", [".checksums.json.0a1b.part", "planes/t0000/mid_block/c/0/0/.0.ab12.part", "scene/valid/c/0/0.1.partial"]
)
def test_temporary_files_of_interrupted_writes_are_recognised(key):
    assert is_store_file(key)


@pytest.mark.parametrize(
    "key", ["thesis.txt", ".git/config", "planes/notes.md", "scene/photo.jpg", "zarr.json.bak", "c/0"]
)
def test_other_files_are_foreign(key):
    assert not is_store_file(key)
