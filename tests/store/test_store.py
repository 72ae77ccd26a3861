"""An open store knows everything that is written through it. The arrays are compared with those that Zarr reads."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import zarr

from hsifeat import mapped_arrays
from hsifeat.errors import StoreError
from hsifeat.store.location import LocalLocation
from hsifeat.store.plane_layout import PlaneSpec, SceneLayout
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from hsifeat.types import PlaneId, Window
from tests.helpers.small_stores import COLS, LAYOUTS, PIXELS, ROWS, manifest_of, scene_arrays, values_of, write_units


def test_a_store_is_written_through_one_opening(small_store, arrays, tmp_path):
    """The store that writes planes, progress and label maps lists them at once. A store that is opened later lists them too."""
    coarse, fine = (PlaneSpec(PlaneId(50, f"layer.{s}"), s, 3, "float16") for s in (4, 1))
    values = {plane: values_of(small_store, plane) for plane in (coarse, fine)}
    for plane in (fine, coarse, fine):
        small_store.add_planes([plane])
    assert small_store.planes == [coarse, fine] and not small_store.done(coarse.id).any()
    write_units(small_store, coarse, values[coarse], small_store.units)
    write_units(small_store, fine, values[fine], small_store.units[:1])
    small_store.write_record_checksums()
    for number in (1, 2):
        small_store.add_labels(
            "fields", np.full((ROWS, COLS), number, np.uint8), {"class_names": {str(number): "corn"}}
        )
    for reader in (small_store, Store.open(tmp_path / "s.zarr")):
        assert reader.planes == [coarse, fine] and reader.labels == ["fields"]
        assert reader.is_complete(coarse.id) and reader.done(fine.id).sum() == 1
        np.testing.assert_array_equal(reader.label_array("fields")[:], 2)
        height, width, _ = values[coarse].shape
        np.testing.assert_array_equal(
            reader.read(coarse.id, Window(0, 0, height, width)), values[coarse].astype(np.float32)
        )
        np.testing.assert_array_equal(reader.read_scene(Window(3, 2, 9, 9)), arrays.cube[3:12, 2:11].astype(np.float32))
    raw = zarr.open_group(tmp_path / "s.zarr", mode="r")
    np.testing.assert_array_equal(raw["planes/t0050/layer.4"][:], values[coarse])
    assert raw["planes/t0050/layer.4"].metadata.dimension_names == small_store.layout.dimension_names(coarse)
    result = verify(small_store.location)
    assert result.damages == () and result.unfinished == (fine,)
    small_store.recreate_plane(coarse)
    assert not small_store.done(coarse.id).any() and verify(small_store.location).damages == ()


def test_the_mask_of_a_large_scene_lies_in_a_file(tmp_path, monkeypatch):
    valid = np.random.default_rng(0).random((ROWS, COLS)) > 0.5
    Store.create(tmp_path / "s.zarr", manifest_of(LAYOUTS["scene"]), replace(scene_arrays(), valid=valid))
    monkeypatch.setattr(mapped_arrays, "_MAX_MASK_BYTES", 0)
    found = Store.open(tmp_path / "s.zarr").valid
    assert isinstance(found.base, np.memmap)
    np.testing.assert_array_equal(found, valid)


def test_listed_pixels_come_back(small_store):
    if isinstance(small_store.layout, SceneLayout):
        assert small_store.pixels is None
    else:
        np.testing.assert_array_equal(small_store.pixels, PIXELS)


def test_a_store_is_created_once_and_notices_another_writer(arrays, tmp_path):
    manifest = manifest_of(LAYOUTS["scene"])
    assert Store.find(tmp_path / "s.zarr") is None
    created = Store.create(tmp_path / "s.zarr", manifest, arrays)
    created.add_planes([PlaneSpec(PlaneId(0, "a"), 1, 2, "float16")])
    opened = Store.open(tmp_path / "s.zarr", writable=True)
    assert opened.planes == created.planes
    opened.add_planes([PlaneSpec(PlaneId(1, "a"), 1, 2, "float16")])
    with pytest.raises(StoreError, match=r"s\.zarr exists already"):
        Store.create(tmp_path / "s.zarr", manifest, arrays)
    with pytest.raises(StoreError, match="another machine has changed .* meanwhile"):
        created.add_planes([PlaneSpec(PlaneId(2, "a"), 1, 2, "float16")])


@pytest.mark.parametrize("writes", range(6))
def test_killed_changes_of_the_manifest_leave_the_old_or_the_new_one(arrays, tmp_path, monkeypatch, writes):
    store = Store.create(tmp_path / "s.zarr", manifest_of(LAYOUTS["scene"]), arrays)
    names, plain = ("old", "new"), LocalLocation.put
    store.replace_facts(store.manifest.scene.model_copy(update={"name": names[0]}))
    done = []

    def put(self, key, content):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(key)
        plain(self, key, content)

    with monkeypatch.context() as patch:
        patch.setattr(LocalLocation, "put", put)
        with suppress(KeyboardInterrupt):
            store.replace_facts(store.manifest.scene.model_copy(update={"name": names[1]}))
    again = Store.open(store.location.path, writable=True)
    assert again.manifest.scene.name == names[writes >= 2]
    assert len(done) == min(writes, 4)
    again.replace_facts(again.manifest.scene)
    assert not verify(again.location).damages and Store.open(store.location.path).manifest == again.manifest
