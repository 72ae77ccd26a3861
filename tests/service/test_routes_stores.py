"""The list and the description of stores."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from time import monotonic
from types import SimpleNamespace

import numpy as np
import pytest

from hsifeat import extract
from hsifeat.errors import StoreError
from hsifeat.service.problems import ProblemError
from hsifeat.service.store_index import StoreIndex
from hsifeat.service.store_models import Summaries
from hsifeat.store.location import as_location
from hsifeat.store.remote_location import BucketLocation
from hsifeat.store.store import Store
from tests.helpers.cached_stores import make, set_created


def test_the_list_finds_the_store(service, reader):
    page = reader.get("/stores").json()
    (summary,) = page["stores"]
    assert page["total"] == 1 and page["next"] is None
    assert (summary["key"], summary["rows"], summary["cols"], summary["bands"]) == (service.key, 75, 53, 12)
    assert (summary["state"], summary["planes"], summary["unfinished"]) == ("complete", 8, 0)
    assert reader.get("/stores", params={"search": "SMALL"}).json()["total"] == 1
    assert reader.get("/stores", params={"search": "houston"}).json()["stores"] == []
    assert reader.get("/stores", params={"state": "interrupted"}).json()["total"] == 0
    assert reader.get("/stores", params={"after": service.key}).json()["stores"] == []


def test_the_description_of_a_store(service, reader, scene):
    details = reader.get(f"/stores/{service.key[:10]}").json()
    store = Store.open(service.path)
    assert details["facts"]["wavelengths_nm"] == pytest.approx(scene.wavelengths_nm)
    assert [plane["plane"] for plane in details["plane_list"]] == [str(plane.id) for plane in store.planes]
    for plane in details["plane_list"]:
        metadata = json.loads((service.path / plane["path"] / "zarr.json").read_text())
        assert plane["bytes"] == np.prod(metadata["shape"]) * np.dtype(metadata["data_type"]).itemsize
        assert plane["channels"] == metadata["shape"][-1] and plane["units_done"] == plane["units"]
    (fields,) = details["label_maps"]
    numbers, counts = np.unique(scene.labels["fields"].classes, return_counts=True)
    found = {c["number"]: c["pixels"] for c in fields["classes"]}
    assert found == {int(n): int(c) for n, c in zip(numbers, counts, strict=True) if n}
    assert str(service.folder) not in json.dumps(details), "folders of the machine are private"


def test_requests_for_jobs_and_stores_use_one_index(service):
    assert service.app.state.jobs.context.stores is service.app.state.service.stores


@pytest.mark.parametrize(("key", "status"), [("0" * 64, 404), ("ab", 422), ("../../x", 404), ("z" * 8, 422)])
def test_unknown_stores(reader, key, status):
    response = reader.get(f"/stores/{key}")
    assert response.status_code == status and response.headers["content-type"] == "application/problem+json"


def test_the_catalogue_is_served_without_a_folder(store_path, tmp_path):
    make(store_path, tmp_path / "elsewhere" / "mine.zarr", used=1)
    (store,) = StoreIndex().stores()
    assert store.location.path == tmp_path / "elsewhere" / "mine.zarr"


def test_links_out_of_the_folder_and_damaged_stores_are_not_served(store_path, tmp_path):
    (tmp_path / "stores" / "damaged.zarr").mkdir(parents=True)
    (tmp_path / "stores" / "damaged.zarr" / "zarr.json").write_text("{")
    (tmp_path / "stores" / "link.zarr").symlink_to(store_path)
    assert StoreIndex(str(tmp_path / "stores")).stores() == []


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("cache", [True, False])
def test_of_two_stores_with_one_key_the_earlier_is_served(store_path, tmp_path, caplog, first, cache):
    names = ("a", "b") if first == "a" else ("b", "a")
    index = StoreIndex(str(tmp_path / "stores") if cache else None)
    for second, name in enumerate(names):
        path = tmp_path / "stores" / f"{name}.zarr"
        make(store_path, path, used=1)
        set_created(path, f"2026-01-01T00:00:0{second}Z")
        index._pause = 0
        for stores in (index, StoreIndex(index.cache)):
            (served,) = stores.stores()
            assert served.location.name == first == stores.find(served.key).location.name
            assert stores.features(served).store.location.name == first
    warnings = [message for message in caplog.messages if "is not served" in message]
    assert len(warnings) == 2, "one of each index"
    assert all(f"{names[1]}.zarr is not served, because " in message for message in warnings)


def test_a_new_store_is_found_soon_and_features_are_opened_once(store_path, tmp_path):
    (tmp_path / "stores").mkdir()
    index = StoreIndex(str(tmp_path / "stores"))
    assert index.stores() == []
    make(store_path, tmp_path / "stores" / "s.zarr", used=1)
    store = index.find(Store.open(store_path).key[:8])
    assert index.features(store) is index.features(store)


def test_a_store_that_another_one_replaced_is_found_elsewhere_or_not_at_all(store_path, scene, tmp_path, monkeypatch):
    monkeypatch.setattr("hsifeat.service.store_index._PAUSE_PER_SEARCH", 0)
    folder = tmp_path / "stores"
    make(store_path, folder / "s.zarr", used=1)
    index = StoreIndex(str(folder))
    (store,) = index.stores()
    (folder / "s.zarr").rename(tmp_path / "aside.zarr")
    extract(scene, backbone="context", layers=["mean-5"], out=folder / "s.zarr")
    for _ in range(2):
        with pytest.raises(ProblemError, match=f"{store.key}: GET /stores lists"):
            index.features(index.find(store.key))
    (tmp_path / "aside.zarr").rename(folder / "elsewhere.zarr")
    assert index.features(index.find(store.key)).name == "elsewhere"


def test_a_store_in_a_bucket_that_another_one_replaced_is_not_found(store_path, scene, tmp_path, monkeypatch):
    from obstore.store import LocalStore

    path, location, index = tmp_path / "s.zarr", BucketLocation("s3://bucket/s.zarr"), StoreIndex()
    shutil.copytree(store_path, path)
    location.__dict__["objects"] = LocalStore(path)
    monkeypatch.setattr(index, "_locations", lambda: [location])
    (store,) = index.stores()
    shutil.rmtree(path)
    extract(scene, backbone="context", layers=["mean-5"], out=path)
    with pytest.raises(ProblemError, match=f"another store has replaced the store {store.key}"):
        index.open(index.find(store.key))
    monkeypatch.setattr("hsifeat.service.store_index._REMOTE_SCAN_SECONDS", 0)
    with pytest.raises(ProblemError, match=f"no store {store.key}"):
        index.find(store.key)


def test_open_features_do_not_wait_for_a_search(store_path, tmp_path, monkeypatch):
    make(store_path, tmp_path / "stores" / "s.zarr", used=1)
    index = StoreIndex(str(tmp_path / "stores"))
    (store,) = index.stores()
    features, answers = index.features(store), []

    def search():
        answers.append(pool.submit(index.features, store).result(timeout=3))
        return [store.location]

    monkeypatch.setattr(index, "_locations", search)
    monkeypatch.setattr(index, "_pause", 0)
    with ThreadPoolExecutor(1) as pool:
        assert index.stores() == [store]
    assert answers == [features]


def test_a_bucket_that_can_not_be_reached_is_not_searched_for_each_request(store_path, monkeypatch):
    index, clock, searches = StoreIndex("s3://bucket"), SimpleNamespace(now=100.0), []
    monkeypatch.setattr("hsifeat.service.store_index.time", SimpleNamespace(monotonic=lambda: clock.now))

    def search():
        searches.append(clock.now)
        if len(searches) == 1:
            clock.now += 60  # the time after which the attempt ends
            raise StoreError("the bucket can't be reached")
        return [as_location(store_path)]

    monkeypatch.setattr(index, "_locations", search)
    for _ in range(3):
        with pytest.raises(StoreError, match="the bucket can't be reached"):
            index.stores()
    clock.now += 16
    assert len(index.stores()) == 1
    assert searches == [100, 176]


def test_while_a_bucket_does_not_answer_other_threads_have_the_last_version(monkeypatch):
    location, index, asked, answered = BucketLocation("s3://bucket/s.zarr"), StoreIndex(), Event(), Event()
    answers = iter([("first",), ("second",)])

    def ask(_):
        asked.set()
        assert answered.wait(10)
        return next(answers)

    monkeypatch.setattr("hsifeat.service.store_index._remote_version", ask)
    answered.set()
    assert index.version(location) == ("first",)
    answered.clear()
    asked.clear()
    clock = SimpleNamespace(monotonic=lambda: monotonic() + 16)
    monkeypatch.setattr("hsifeat.service.store_index.time", clock)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(index.version, location)
        assert asked.wait(10)
        assert index.version(location) == ("first",)
        answered.set()
        assert waiting.result(10) == index.version(location) == ("second",)


def test_threads_that_first_ask_for_a_store_in_a_bucket_at_the_same_time_all_have_its_version(monkeypatch):
    location, index, together = BucketLocation("s3://bucket/s.zarr"), StoreIndex(), Barrier(2)

    def ask(_):
        together.wait(5)
        return ("first",)

    monkeypatch.setattr("hsifeat.service.store_index._remote_version", ask)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(index.version, [location] * 2)) == [("first",)] * 2


def test_a_store_in_a_bucket_is_opened_again_only_after_a_change(store_path, tmp_path, monkeypatch):
    from obstore.store import LocalStore

    path = shutil.copytree(store_path, tmp_path / "s.zarr")
    location = BucketLocation("s3://bucket/s.zarr")
    location.__dict__["objects"] = LocalStore(path)
    index = StoreIndex()
    monkeypatch.setattr(index, "_locations", lambda: [location])
    summaries = Summaries(index)
    ((store, entry),) = summaries.search("SMALL")
    features = index.features(store)
    assert summaries.search()[0][1] is entry
    assert index.features(store) is features
    (path / "checksums.json").touch()
    assert index.features(store) is features, "a bucket is asked at most every 15 seconds"
    monkeypatch.setattr("hsifeat.service.store_index._REMOTE_SCAN_SECONDS", 0)
    assert summaries.search()[0][1] is not entry
    assert index.features(store) is not features
