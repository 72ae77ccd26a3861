"""Progress records: hashlib is the oracle; a torn record counts as none."""

import hashlib
import shutil

import numpy as np
import pytest

from hsifeat.features.features import Features
from hsifeat.store import progress
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from hsifeat.types import PlaneId
from tests.helpers.small_stores import values_of, write_units


def test_records_are_the_sha256_of_the_values(small_store, monkeypatch):
    plane = PlaneSpec(PlaneId(7, "mid"), 2, 3, "float32")
    small_store.add_planes([plane])
    values, unit = values_of(small_store, plane), small_store.units[0]
    write_units(small_store, plane, values, [unit])
    part = np.ascontiguousarray(values[small_store.layout.slices(unit, 2)])
    assert (
        small_store.progress.digest(plane.id, unit)
        == progress.digest_of(part)
        == hashlib.sha256(part.tobytes()).digest()
    )
    before = small_store.fingerprint(plane.id)
    monkeypatch.setattr(progress, "_RECORDS_AT_A_TIME", 1)
    assert small_store.fingerprint(plane.id) == before and len(small_store.units) > 2
    write_units(small_store, plane, values, [unit])
    assert small_store.fingerprint(plane.id) == before
    small_store.progress.revoke(plane.id, unit)
    assert small_store.progress.digest(plane.id, unit) is None and not small_store.done(plane.id).any()
    assert not small_store.done(PlaneId(8, "mid")).any(), "a plane that does not exist has no unit done"


@pytest.mark.parametrize("content", [b"", b"short", bytes(32)])
def test_a_torn_record_counts_as_none(small_store, tmp_path, content):
    plane = PlaneSpec(PlaneId(7, "mid"), 2, 3, "float16")
    small_store.add_planes([plane])
    values = values_of(small_store, plane)
    write_units(small_store, plane, values, small_store.units)
    unit = small_store.units[0]
    (tmp_path / "s.zarr/progress/t0007/mid/c/0/0/0").write_bytes(content)
    assert small_store.progress.digest(plane.id, unit) is None
    done = small_store.done(plane.id)
    assert not done[unit.index] and done.sum() == len(small_store.units) - 1
    others = [np.ascontiguousarray(values[small_store.layout.slices(other, 2)]) for other in small_store.units[1:]]
    digests = b"".join(hashlib.sha256(part.tobytes()).digest() for part in others)
    assert small_store.fingerprint(plane.id) == bytes(32) + digests


def test_a_lost_record_of_a_complete_plane_is_missed(small_store, tmp_path):
    plane = PlaneSpec(PlaneId(7, "mid"), 2, 3, "float16")
    small_store.add_planes([plane])
    write_units(small_store, plane, values_of(small_store, plane), small_store.units)
    (tmp_path / "s.zarr/progress/t0007/mid/c/0/0/0").rename(tmp_path / "record")
    assert verify(small_store.location).damages == (), "an interrupted run leaves units without a record"
    (tmp_path / "record").rename(tmp_path / "s.zarr/progress/t0007/mid/c/0/0/0")
    small_store.write_record_checksums()
    (tmp_path / "s.zarr/progress/t0007/mid/c/0/0/0").unlink()
    verification = verify(small_store.location)
    assert [str(d) for d in verification.damages] == ["missing: progress/t0007/mid/c/0/0/0"]
    assert verification.unfinished == (plane,) and not small_store.done(plane.id).all()


def test_a_complete_plane_is_listed_without_reading_its_records(small_store, tmp_path):
    """A scene of 3,600 units has as many records."""
    planes = [PlaneSpec(PlaneId(7, layer), 2, 3, "float16") for layer in ("complete", "lost", "unfinished")]
    for plane in planes:
        small_store.add_planes([plane])
        write_units(small_store, plane, values_of(small_store, plane), small_store.units)
    small_store.progress.revoke(planes[2].id, small_store.units[0])
    small_store.write_record_checksums()
    (tmp_path / "s.zarr/progress/t0007/lost/c/0/0/0").unlink()
    shutil.rmtree(tmp_path / "s.zarr/progress/t0007/complete")
    assert Features(Store.open(small_store.location)).planes == tuple(planes[:2])
    small_store.prepare_planes(planes[1:])
    assert Features(Store.open(small_store.location)).planes == (planes[0],), "a lost unit is computed again"
