"""The Zarr store of a location: every method that takes a key refuses keys outside the store."""

import pytest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from hsifeat.errors import StoreError
from hsifeat.store.location import as_location

PROTOTYPE = default_buffer_prototype()
VALUE = PROTOTYPE.buffer.from_bytes(b"new")


async def collect(keys):
    return [key async for key in keys]


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda store, key: store.get(key, PROTOTYPE), id="get"),
        pytest.param(lambda store, key: store.get_partial_values(PROTOTYPE, [(key, None)]), id="partial"),
        pytest.param(lambda store, key: collect(store._get_many([(key, PROTOTYPE, None)])), id="many"),
        pytest.param(lambda store, key: store.exists(key), id="exists"),
        pytest.param(lambda store, key: store.set(key, VALUE), id="set"),
        pytest.param(lambda store, key: store.set_if_not_exists(key, VALUE), id="set-if-not-exists"),
        pytest.param(lambda store, key: store._set_many([(key, VALUE)]), id="set-many"),
        pytest.param(lambda store, key: store.delete(key), id="delete"),
        pytest.param(lambda store, key: store.delete_dir(key), id="delete-dir"),
        pytest.param(lambda store, key: collect(store.list_dir(key)), id="list-dir"),
        pytest.param(lambda store, key: collect(store.list_prefix(key)), id="list-prefix"),
    ],
)
@pytest.mark.parametrize("key", ["../victim", "planes/../../victim", "/etc/passwd", "link/notes.txt", "link"])
@pytest.mark.parametrize("kind", ["local", "memory"])
def test_every_method_refuses_keys_outside(tmp_path, use, key, kind):
    if kind == "memory" and key.startswith("link"):
        pytest.skip("object stores have no links")
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "notes.txt").write_text("mine")
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "s.zarr" / "link").symlink_to(tmp_path / "victim")
    location = as_location(tmp_path / "s.zarr" if kind == "local" else "memory:///s.zarr")
    with pytest.raises(StoreError, match="is no key of a store|leads out of the store"):
        sync(_call(use, location.zarr(writable=True), key))
    assert (tmp_path / "victim" / "notes.txt").read_text() == "mine"
    assert [file.name for file in (tmp_path / "victim").iterdir()] == ["notes.txt"]


async def _call(use, store, key):
    return await use(store, key)
