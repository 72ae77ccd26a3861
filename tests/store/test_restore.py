"""Restoration without a model: copies are used, units are revoked, and what cannot be restored is returned."""

from hsifeat.store.location import as_location
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.restore import planes_to_recompute, restore
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from hsifeat.types import PlaneId
from tests.helpers.small_stores import values_of, write_units


def test_copies_are_used_and_units_revoked(small_store, tmp_path):
    plane = PlaneSpec(PlaneId(7, "mid"), 2, 3, "float16")
    small_store.add_planes([plane])
    write_units(small_store, plane, values_of(small_store, plane), small_store.units)
    small_store.write_record_checksums()
    path, before = tmp_path / "s.zarr", {p: p.read_bytes() for p in (tmp_path / "s.zarr").rglob("*") if p.is_file()}
    for key in ("zarr.json", "checksums.copy.json", "planes/t0007/mid/zarr.json"):
        (path / key).unlink()
    (path / "planes/t0007/mid/c/0/0/0").write_bytes(b"torn")
    (path / "thesis.txt").write_text("extra")
    location = as_location(path)
    damages, store = verify(location).damages, Store.open(location, writable=True)
    assert planes_to_recompute(store, damages) == (plane.id,)
    # The plane's metadata are lost, so its units are not looked at yet.
    assert restore(store, damages, {plane.id: plane}) == ()
    (damage,) = verify(location).damages
    assert damage.key == "planes/t0007/mid/c/0/0/0" and damage.unit == store.units[0]
    store = Store.open(location, writable=True)
    assert restore(store, [damage], {}) == () and not store.is_complete(plane.id)
    restored = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    changed = {
        p.relative_to(path).as_posix() for p in before.keys() | restored.keys() if before.get(p) != restored.get(p)
    }
    assert changed == {
        "checksums.json",
        "checksums.copy.json",
        "planes/t0007/mid/c/0/0/0",
        "progress/t0007/mid/c/0/0/0",
    }


def test_parts_of_the_scene_cannot_be_restored(small_store, tmp_path):
    (tmp_path / "s.zarr/scene/valid/c/0/0").unlink()
    (damage,) = verify(small_store.location).damages
    assert restore(small_store, [damage], {}) == (damage,)
    assert planes_to_recompute(small_store, [damage]) == ()


def test_damaged_checksums_are_written_again_before_other_metadata(small_store, tmp_path):
    """Dropping the plane saves the checksums, whose file has just been restored."""
    plane = PlaneSpec(PlaneId(7, "mid"), 2, 3, "float16")
    small_store.add_planes([plane])
    write_units(small_store, plane, values_of(small_store, plane), small_store.units)
    small_store.write_record_checksums()
    path, location = tmp_path / "s.zarr", small_store.location
    (path / "checksums.json").write_text("{}")
    (path / "planes/t0007/mid/c/0/0/0").write_bytes(b"torn")
    damages, store = verify(location).damages, Store.open(location, writable=True)
    assert {damage.key for damage in damages} == {"checksums.json", "planes/t0007/mid/c/0/0/0"}
    assert restore(store, damages, {}) == ()
    assert not Store.open(location).is_complete(plane.id)
    assert [d.key for d in verify(location).damages] == []
